/* path_watch.c: files that appear, in directories that may appear first. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/core/path_watch.h"
#include "tests/unit/loop.h"
#include "tests/unit/unit.h"

struct seen {
	struct path_watch watch;
	struct path_watches **all;
	char path[128];
	unsigned told;
	bool ends; /* deletes its watch when it is told */
};

static struct loop loop;
static struct dp_loop ops;
static struct path_watches *all;
static char dir[64];

static void on_event(void *arg)
{
	struct seen *seen = arg;

	seen->told++;
	if (seen->ends)
		path_watch_del(&all, &seen->watch);
}

static void watch(struct seen *seen, const char *name)
{
	memset(seen, 0, sizeof(*seen));
	snprintf(seen->path, sizeof(seen->path), "%s/%s", dir, name);
	seen->watch = (struct path_watch){.path = seen->path, .fn = on_event, .arg = seen};
	assert_int_equal(path_watch_add(&all, &ops, &seen->watch), 0);
}

static void make(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_CREAT | O_WRONLY | O_EXCL, 0600);
	assert_true(fd >= 0);
	close(fd);
}

static void make_dir(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void turns(void)
{
	for (unsigned i = 0; i < 4; i++)
		loop_turn(&loop, 0);
}

static int setup(void **state)
{
	strcpy(dir, "/tmp/sluice-paths-XXXXXX");
	assert_non_null(mkdtemp(dir));
	memset(&loop, 0, sizeof(loop));
	ops = loop_ops(&loop);
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	assert_null(all);
	assert_int_equal(loop_count(&loop), 0);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static void a_file_that_appears_calls_its_watches(void **state)
{
	struct seen a, b;

	watch(&a, "a");
	watch(&b, "b");
	make("b");
	make("c");
	turns();
	assert_int_equal(a.told, 0);
	assert_int_equal(b.told, 1);
	path_watch_del(&all, &b.watch);
	make("a");
	turns();
	assert_int_equal(a.told, 1);
	path_watch_del(&all, &a.watch);
}

static void a_file_moved_there_counts(void **state)
{
	char from[128], to[128];
	struct seen a;

	watch(&a, "a");
	make("x");
	snprintf(from, sizeof(from), "%s/x", dir);
	snprintf(to, sizeof(to), "%s/a", dir);
	assert_int_equal(rename(from, to), 0);
	turns();
	assert_int_equal(a.told, 1);
	path_watch_del(&all, &a.watch);
}

static void directories_may_be_missing_and_come_one_by_one(void **state)
{
	struct seen deep;
	unsigned before;

	watch(&deep, "one/two/a");
	make_dir("one");
	turns();
	make_dir("one/two");
	turns();
	before = deep.told;
	make("one/two/a");
	turns();
	assert_int_equal(deep.told, before + 1);
	path_watch_del(&all, &deep.watch);
}

/* Made between two looks: when it is told of the first, it is to look at the file anyhow. */
static void directories_made_in_one_go_are_noticed(void **state)
{
	struct seen deep;
	unsigned before;

	watch(&deep, "one/two/a");
	make_dir("one");
	make_dir("one/two");
	make("one/two/a");
	turns();
	assert_true(deep.told >= 1);
	before = deep.told;
	make("one/two/b");
	turns();
	assert_int_equal(deep.told, before);
	path_watch_del(&all, &deep.watch);
}

static void a_directory_may_go_and_come_back(void **state)
{
	char path[128];
	unsigned before;
	struct seen a;

	make_dir("d");
	watch(&a, "d/a");
	snprintf(path, sizeof(path), "%s/d", dir);
	assert_int_equal(rmdir(path), 0);
	turns();
	make_dir("d");
	turns();
	before = a.told;
	make("d/a");
	turns();
	assert_int_equal(a.told, before + 1);
	path_watch_del(&all, &a.watch);
}

static void a_watch_may_end_in_its_own_call(void **state)
{
	struct seen a, b, last;

	watch(&a, "x");
	watch(&b, "x");
	watch(&last, "x");
	a.ends = b.ends = last.ends = true;
	make("x");
	turns();
	assert_int_equal(a.told + b.told + last.told, 3);
	assert_null(all);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_file_that_appears_calls_its_watches),
		T(a_file_moved_there_counts),
		T(directories_may_be_missing_and_come_one_by_one),
		T(directories_made_in_one_go_are_noticed),
		T(a_directory_may_go_and_come_back),
		T(a_watch_may_end_in_its_own_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
