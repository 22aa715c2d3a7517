/* registry/store/file.c, registry/store/repair.c: a file that something happened to is refused, and what is sound of it saved. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "registry/store/file.h"
#include "registry/store/repair.h"
#include "tests/unit/unit.h"

enum { LINES = 40, FLIPS = 500, TEXT = 65536 };

static char path[64], aside[96];
static char whole[TEXT]; /* of a file that is sound */
static size_t whole_len;
static char told[TEXT], before[TEXT]; /* what lines said: "key=value\n" */
static struct journal_file_err why;

static void on_line(void *arg, const char *key, const char *value)
{
	size_t at = strlen(told);

	snprintf(told + at, sizeof(told) - at, "%s=%s\n", key, value ? value : "gone");
}

static void put_file(const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	close(fd);
}

static size_t get_file(char *text)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, text, TEXT);

	assert_true(fd >= 0 && n >= 0);
	close(fd);
	return (size_t)n;
}

/* What a start makes of the file. `told` is what it read. */
static int try_file(void)
{
	struct journal_file file;
	int rc;

	told[0] = '\0';
	rc = journal_file_open(&file, path, on_line, NULL, &why);
	journal_file_close(&file);
	return rc;
}

static void append(struct journal_file *file, const char *key, const char *value)
{
	char *change = journal_change(key, value);

	assert_int_equal(journal_file_append(file, change, strlen(change)), 0);
	free(change);
}

/* A file that was written in two sittings, once anew. */
static int setup(void **state)
{
	struct journal_file file;
	char key[16], value[64];

	strcpy(path, "/tmp/sluice-damage-XXXXXX");
	close(mkstemp(path));
	unlink(path);
	snprintf(aside, sizeof(aside), "%s.damaged-1", path);
	assert_int_equal(journal_file_open(&file, path, on_line, NULL, &why), 0);
	for (unsigned i = 0; i < LINES; i++) {
		snprintf(key, sizeof(key), "service/w%u", i % 7);
		snprintf(
			value, sizeof(value), "{\"Name\":\"w%u\",\"Tags\":[\"a\tb\"],\"Port\":%u}", i % 7, i);
		append(&file, key, i % 5 == 4 ? NULL : value);
		if (i == LINES / 2)
			assert_int_equal(journal_file_compact(&file), 0);
	}
	journal_file_close(&file);
	whole_len = get_file(whole);
	assert_int_equal(try_file(), 0);
	strcpy(before, told);
	return 0;
}

static int teardown(void **state)
{
	unlink(path);
	unlink(aside);
	return 0;
}

static size_t count_lines(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

/* Every line that was told is one of those that were there, in their order. */
static void assert_some_of(const char *all, const char *some)
{
	while (*some) {
		size_t n = strcspn(some, "\n") + 1;
		const char *at = all;

		while (*at && strncmp(at, some, n) != 0)
			at += strcspn(at, "\n") + 1;
		assert_true(*at != '\0');
		all = at + n;
		some += n;
	}
}

/* Repairs, and starts: `lost` lines at most are missing, and the rest is what it was. */
static struct journal_repair repair(size_t lost)
{
	struct journal_repair done;
	struct reg_err err;

	assert_int_equal(journal_repair(path, &done, &err), 0);
	assert_int_equal(try_file(), 0);
	assert_int_equal(why.found, JOURNAL_SOUND);
	assert_some_of(before, told);
	assert_in_range(count_lines(told) + lost, count_lines(before), count_lines(before) + lost);
	assert_int_equal(access(aside, F_OK) == 0, done.file[0] != '\0');
	unlink(aside);
	return done;
}

static void a_flipped_bit_is_found(void **state)
{
	static char text[TEXT];
	unsigned refused = 0;

	srand(7);
	for (unsigned i = 0; i < FLIPS; i++) {
		size_t bit = (size_t)rand() % (whole_len * 8);

		memcpy(text, whole, whole_len);
		text[bit / 8] ^= (char)(1 << bit % 8);
		put_file(text, whole_len);
		if (try_file() == 0) {
			assert_string_equal(told, before);
			continue;
		}
		refused++;
		assert_true(why.found == JOURNAL_DAMAGED || why.found == JOURNAL_OTHER);
		assert_in_range(why.line, 1, LINES + 1);
		assert_int_equal(get_file(told), whole_len); /* left as it was */
		assert_memory_equal(told, text, whole_len);
		repair(1);
	}
	assert_int_equal(refused, FLIPS);
}

static const char *line_at(unsigned n, size_t *len)
{
	const char *at = whole;

	while (n--)
		at = (const char *)memchr(at, '\n', TEXT) + 1;
	*len = (size_t)((const char *)memchr(at, '\n', TEXT) - at) + 1;
	return at;
}

static unsigned lines_in_all(void)
{
	return (unsigned)count_lines(whole);
}

/* The file with its lines in this order. */
static void put_lines(const unsigned *order, unsigned n)
{
	static char text[2 * TEXT];
	size_t len = 0, l;

	for (unsigned i = 0; i < n; i++) {
		const char *line = line_at(order[i], &l);

		memcpy(text + len, line, l);
		len += l;
	}
	put_file(text, len);
}

static void a_line_that_is_missing_is_found(void **state)
{
	unsigned n = lines_in_all(), order[TEXT / 32];

	for (unsigned gone = 0; gone + 1 < n; gone++) { /* all but the last: that is as if it never was */
		for (unsigned i = 0; i < n - 1; i++)
			order[i] = i < gone ? i : i + 1;
		put_lines(order, n - 1);
		assert_int_equal(try_file(), -EBADMSG);
		assert_int_equal(why.line, gone + 1);
		assert_int_equal(repair(1).missing, gone > 0);
	}
}

static void lines_that_are_swapped_are_found_and_put_right(void **state)
{
	unsigned n = lines_in_all(), order[TEXT / 32];

	for (unsigned at = 0; at + 1 < n; at++) {
		for (unsigned i = 0; i < n; i++)
			order[i] = i == at ? at + 1 : i == at + 1 ? at : i;
		put_lines(order, n);
		assert_int_equal(try_file(), -EBADMSG);
		assert_int_equal(why.line, at + 1);
		assert_int_equal(repair(0).aside, 0);
		assert_string_equal(told, before);
	}
}

static void a_line_that_is_there_twice_is_found(void **state)
{
	unsigned n = lines_in_all(), order[TEXT / 32];

	for (unsigned twice = 0; twice < n; twice++) {
		for (unsigned i = 0; i <= n; i++)
			order[i] = i == n ? twice : i; /* at the end, where a torn one would be */
		put_lines(order, n + 1);
		assert_int_equal(try_file(), -EBADMSG);
		assert_int_equal(why.line, n + 1);
		repair(0);
		assert_string_equal(told, before);
	}
}

static void a_line_of_an_older_file_is_found(void **state)
{
	static char text[TEXT], old[TEXT];
	struct journal_file file;
	size_t len, head = (size_t)((char *)memchr(whole, '\n', TEXT) - whole) + 1;

	memcpy(old, whole + head, whole_len - head); /* those after the head */
	assert_int_equal(journal_file_open(&file, path, on_line, NULL, &why), 0);
	assert_int_equal(journal_file_compact(&file), 0);
	append(&file, "service/new", "{}");
	journal_file_close(&file);
	assert_int_equal(try_file(), 0);
	strcpy(before, told);
	len = get_file(text);
	memcpy(text + len, old, whole_len - head);
	put_file(text, len + whole_len - head);
	assert_int_equal(try_file(), -EBADMSG);
	assert_true(repair(0).aside > 0);
	assert_string_equal(told, before);
}

/* Cut at each byte: within what was written at once it is refused, in what was appended it is as after a crash. */
static void a_torn_end_is_cut_off(void **state)
{
	size_t len, appended = 0, at_once = 0, lines;
	unsigned version;
	struct journal_line head;
	const char *first = line_at(0, &len);

	assert_true(journal_line_sound(first, len - 1, &head));
	assert_true(journal_line_is_head(&head, &version, &lines));
	assert_in_range(lines, 1, LINES);
	at_once = (size_t)(line_at((unsigned)lines + 1, &len) - whole);
	for (size_t cut = 0; cut < whole_len; cut++) {
		put_file(whole, cut);
		if (cut < at_once) {
			assert_int_equal(try_file(), -EBADMSG);
			repair(count_lines(before));
			continue;
		}
		assert_int_equal(try_file(), 0);
		assert_true(why.found == (whole[cut - 1] == '\n' ? JOURNAL_SOUND : JOURNAL_TORN));
		assert_memory_equal(told, before, strlen(told));
		assert_int_equal(get_file(told), (char *)memrchr(whole, '\n', cut) + 1 - whole);
		assert_int_equal(try_file(), 0);
		assert_int_equal(why.found, JOURNAL_SOUND);
		appended++;
	}
	assert_true(appended > 100);
}

static void files_of_other_versions_are_refused(void **state)
{
	static const char old[] = "[\"service/a\",\"{}\"]\n[\"service/b\",null]\n";
	struct journal_repair done;
	struct reg_err err;

	put_file(old, strlen(old));
	assert_int_equal(try_file(), -EBADMSG);
	assert_int_equal(why.found, JOURNAL_OTHER);
	assert_int_equal(journal_repair(path, &done, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "older version"));
	assert_int_equal(try_file(), -EBADMSG); /* left alone */
}

static void nothing_is_left_when_all_is_damaged(void **state)
{
	struct journal_repair done;

	put_file("\0\0\0\0 nonsense\n\n]x[\"\n", 20);
	assert_int_equal(try_file(), -EBADMSG);
	before[0] = '\0';
	done = repair(0);
	assert_int_equal(done.kept, 0);
	assert_int_equal(done.aside, 2);
	put_file("", 0);
	assert_int_equal(try_file(), -EBADMSG);
	assert_int_equal(repair(0).aside, 0);
}

/* What an earlier repair put aside stays. */
static void what_is_aside_is_never_written_over(void **state)
{
	struct journal_repair done;
	struct reg_err err;
	char second[96];

	for (unsigned i = 1; i <= 2; i++) {
		put_file(whole, whole_len);
		whole[100] ^= 1;
		put_file(whole, whole_len);
		whole[100] ^= 1;
		assert_int_equal(journal_repair(path, &done, &err), 0);
	}
	snprintf(second, sizeof(second), "%s.damaged-2", path);
	assert_string_equal(done.file, second);
	assert_int_equal(access(aside, F_OK), 0);
	assert_int_equal(unlink(second), 0);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_flipped_bit_is_found),
		T(a_line_that_is_missing_is_found),
		T(lines_that_are_swapped_are_found_and_put_right),
		T(a_line_that_is_there_twice_is_found),
		T(a_line_of_an_older_file_is_found),
		T(a_torn_end_is_cut_off),
		T(files_of_other_versions_are_refused),
		T(nothing_is_left_when_all_is_damaged),
		T(what_is_aside_is_never_written_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
