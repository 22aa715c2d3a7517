/* journal.c: what was put is there again, whatever the disk and the program's end did. */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "registry/store/journal.h"
#include "tests/unit/registry/world.h"
#include "tests/unit/unit.h"

static struct world *world;
static char path[64];
static struct journal *journal;
static char restored[4096];
static unsigned told;
static int told_rc; /* with the last */

static void on_restore(void *arg, const char *key, const char *value)
{
	size_t at = strlen(restored);

	snprintf(restored + at, sizeof(restored) - at, "%s=%.20s ", key, value);
}

static void on_disk(void *arg, int rc)
{
	told++;
	told_rc = rc;
}

static void open_it(void)
{
	struct reg_err err;

	assert_int_equal(journal_open(world->base, path, world->reg, &journal, &err), 0);
}

/* What the next start finds. */
static const char *reopen(void)
{
	journal_close(journal);
	open_it();
	restored[0] = '\0';
	journal_restore(journal, on_restore, NULL);
	return restored;
}

static void wait_for_disk(void)
{
	unsigned before = told;

	assert_int_equal(journal_wait(journal, on_disk, NULL), 0);
	assert_int_equal(told, before); /* never before it returns */
	for (unsigned i = 0; i < 1000 && told == before; i++)
		event_base_loop(world->base, EVLOOP_ONCE);
	assert_int_equal(told, before + 1);
	assert_int_equal(told_rc, 0);
}

static off_t size(void)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static int setup(void **state)
{
	strcpy(path, "/tmp/sluice-journal-XXXXXX");
	close(mkstemp(path));
	unlink(path);
	assert_int_equal(world_setup(state), 0);
	world = *state;
	open_it();
	return 0;
}

static int teardown(void **state)
{
	journal_close(journal);
	unlink(path);
	return world_teardown(state);
}

static void what_was_put_is_there_again(void **state)
{
	journal_put(journal, "a", "1");
	journal_put(journal, "b", "2");
	journal_put(journal, "c", "3");
	journal_put(journal, "a", "4");
	journal_put(journal, "b", NULL);
	journal_put(journal, "b", "5"); /* put first after the others */
	assert_string_equal(journal_get(journal, "a"), "4");
	assert_null(journal_get(journal, "x"));
	assert_string_equal(reopen(), "a=4 c=3 b=5 ");
	assert_string_equal(reopen(), "a=4 c=3 b=5 ");
}

static void a_waiter_is_told_when_it_is_on_disk(void **state)
{
	off_t empty = size();

	journal_put(journal, "a", "1");
	assert_int_equal(size(), empty);
	wait_for_disk();
	assert_int_equal(size(), empty + (off_t)strlen("[\"0123456789abcdef\",2,\"a\",\"1\"]\n"));
	wait_for_disk(); /* also when there is nothing to write */
}

/* Text that no JSON can have keeps nothing else from the disk. */
static void what_is_no_text_is_left_out(void **state)
{
	journal_put(journal, "kv/\xff", "1");
	journal_put(journal, "a", "\xc0\xaf");
	journal_put(journal, "b", "2");
	wait_for_disk();
	assert_string_equal(reopen(), "b=2 ");
}

static void a_torn_end_is_cut_off(void **state)
{
	int fd;

	journal_put(journal, "a", "1");
	journal_put(journal, "b", "2");
	reopen();
	fd = open(path, O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "[\"01234567", 10), 10);
	close(fd);
	assert_string_equal(reopen(), "a=1 b=2 ");
	journal_put(journal, "d", "4");
	assert_string_equal(reopen(), "a=1 b=2 d=4 ");
}

/* History goes when it is most of the file, and only history. */
static void history_is_taken_away(void **state)
{
	static char value[1 << 18];
	off_t most = 0;

	journal_put(journal, "first", "1");
	for (unsigned round = 0; round < 16; round++) {
		memset(value, 'a' + (int)(round % 26), sizeof(value) - 1);
		journal_put(journal, "again", value);
		journal_put(journal, "gone", round % 2 ? "here" : NULL);
		wait_for_disk();
		most = size() > most ? size() : most;
	}
	journal_put(journal, "last", "2");
	assert_string_equal(reopen(), "first=1 again=pppppppppppppppppppp gone=here last=2 ");
	assert_in_range(most, 1 << 20, 3 << 20); /* of 4 MB that were put */
	assert_true(size() < 2 << 20);
}

static struct rlimit before;

/* No file may grow over `bytes`: the nearest to a full disk that a process can do to itself. */
static void let_files_grow_to(rlim_t bytes)
{
	struct rlimit limit = {bytes, before.rlim_max};

	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void wait_until_told(int rc)
{
	told = 0;
	assert_int_equal(journal_wait(journal, on_disk, NULL), 0);
	for (unsigned i = 0; i < 1000 && !told; i++)
		event_base_loop(world->base, EVLOOP_ONCE);
	assert_int_equal(told, 1);
	assert_int_equal(told_rc, rc);
}

static bool is_in_file(const char *text)
{
	char all[4096];
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, all, sizeof(all) - 1);

	assert_true(n >= 0);
	close(fd);
	all[n] = '\0';
	return strstr(all, text);
}

/* A disk that is full: who waits is told so, nothing is lost, and there is room again without a new start. */
static void what_is_flushed_is_on_disk_at_once(void **state)
{
	off_t empty = size();

	journal_flush(NULL);
	journal_flush(journal); /* there is nothing */
	assert_int_equal(size(), empty);
	journal_put(journal, "a", "flushed");
	assert_int_equal(size(), empty);
	journal_flush(journal);
	assert_true(is_in_file("\"a\",\"flushed\"")); /* a kill would not take it away */
	journal_put(journal, "b", "2");
	wait_for_disk();
	assert_string_equal(reopen(), "a=flushed b=2 ");
}

static void a_full_disk_is_tried_again(void **state)
{
	signal(SIGXFSZ, SIG_IGN);
	journal_put(journal, "a", "1");
	wait_for_disk();
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	let_files_grow_to((rlim_t)size() + 4); /* not even a line fits */
	journal_put(journal, "b", "2");
	assert_null(journal_failing(journal));
	wait_until_told(-EFBIG);
	assert_string_equal(journal_failing(journal), strerror(EFBIG));
	assert_string_equal(world->not_kept, strerror(EFBIG));
	journal_put(journal, "c", "3");
	wait_until_told(-EFBIG);
	let_files_grow_to(before.rlim_cur);
	wait_for_disk();
	assert_true(is_in_file("\"b\",\"2\"") && is_in_file("\"c\",\"3\"")); /* what was told is so */
	assert_null(journal_failing(journal));
	assert_string_equal(world->not_kept, "");
	assert_string_equal(reopen(), "a=1 b=2 c=3 ");
}

/* While nothing can be written, what waits is bounded by what there is, however much changes. */
static void a_full_disk_fills_no_memory(void **state)
{
	static char value[1 << 18];

	signal(SIGXFSZ, SIG_IGN);
	journal_put(journal, "first", "1");
	wait_for_disk();
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	let_files_grow_to((rlim_t)size() + 4);
	for (unsigned round = 0; round < 64; round++) {
		memset(value, 'a' + (int)(round % 26), sizeof(value) - 1);
		journal_put(journal, "again", value);
		if (round % 16 == 0)
			wait_until_told(-EFBIG);
		assert_in_range(journal_waiting(journal), 0, 6 << 20);
	}
	let_files_grow_to(before.rlim_cur);
	wait_for_disk();
	assert_true(size() < 2 << 20);
	assert_string_equal(reopen(), "first=1 again=llllllllllllllllllll ");
}

static void the_forgotten_are_not_told(void **state)
{
	journal_put(journal, "a", "1");
	told = 0;
	assert_int_equal(journal_wait(journal, on_disk, world), 0);
	journal_forget(journal, world);
	wait_for_disk();
	assert_int_equal(told, 1);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(what_was_put_is_there_again),
		T(a_waiter_is_told_when_it_is_on_disk),
		T(what_is_flushed_is_on_disk_at_once),
		T(what_is_no_text_is_left_out),
		T(a_torn_end_is_cut_off),
		T(history_is_taken_away),
		T(a_full_disk_is_tried_again),
		T(a_full_disk_fills_no_memory),
		T(the_forgotten_are_not_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
