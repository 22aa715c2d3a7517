/* How much of the log one object may fill, on a clock of the test's own. */
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "control/base/log_limit.h"
#include "tests/unit/unit.h"

static struct log_limit limit;
static uint64_t reported, reports;
static char last_reported[LOG_LIMIT_TEXT];
static int worst;

static void on_report(int level, const char *subject, uint64_t left_out, const char *last)
{
	reported += left_out;
	reports++;
	worst = level;
	snprintf(last_reported, sizeof(last_reported), "%s", last);
}

static int setup(void **state)
{
	log_limit_init(&limit, 77);
	reported = reports = 0;
	return 0;
}

/* How many of n lines about it are written; what was left out before them is added to `reported`. */
static unsigned lines(const char *subject, unsigned n, int64_t now_ms)
{
	unsigned written = 0;
	char text[32];

	for (unsigned i = 0; i < n; i++) {
		uint64_t left_out = 0;

		snprintf(text, sizeof(text), "line %u", i);
		written +=
			log_limit_take(&limit, now_ms, subject, i ? LOG_INFO : LOG_WARNING, text, &left_out);
		reported += left_out;
	}
	return written;
}

static void an_object_has_a_burst_and_then_one_in_a_while(void **state)
{
	assert_int_equal(lines("port a", LOG_LIMIT_BURST, 1), LOG_LIMIT_BURST);
	assert_int_equal(lines("port a", 1, 1), 0);
	assert_int_equal(lines("port b", 5, 1), 5);
	assert_int_equal(lines("port a", 5, 1 + LOG_LIMIT_EVERY_MS), 1);
	assert_int_equal(lines("port a", 100, 1000000), LOG_LIMIT_BURST);
}

static void what_is_left_out_is_reported_once_with_the_last_line(void **state)
{
	assert_int_equal(lines("port a", 2000, 1), LOG_LIMIT_BURST);
	assert_false(!log_limit_report(&limit, 1 + LOG_LIMIT_REPORT_MS - 1, false, on_report));
	assert_int_equal(reports, 0);
	assert_false(log_limit_report(&limit, 1 + LOG_LIMIT_REPORT_MS, false, on_report));
	assert_int_equal(reported, 2000 - LOG_LIMIT_BURST);
	assert_int_equal(reports, 1);
	assert_string_equal(last_reported, "line 1999");
	assert_false(log_limit_report(&limit, 1000000, true, on_report));
	assert_int_equal(reports, 1);
}

static void a_line_that_is_written_tells_of_those_before_it(void **state)
{
	lines("port a", LOG_LIMIT_BURST + 7, 1);
	assert_int_equal(lines("port a", 1, 1 + LOG_LIMIT_EVERY_MS), 1);
	assert_int_equal(reported, 7);
	assert_false(log_limit_report(&limit, 1000000, true, on_report));
	assert_int_equal(reports, 0);
}

/* Ten thousand objects, far more than the table holds, and a hundred times as many lines as all may write. */
static void many_objects_share_a_limit_and_every_line_is_counted(void **state)
{
	unsigned written = 0, all = 0;
	char subject[32];

	for (unsigned round = 0; round < 10; round++)
		for (unsigned i = 0; i < 10000; i++) {
			snprintf(subject, sizeof(subject), "port %u", i);
			written += lines(subject, 1, 1 + round);
			all++;
		}
	assert_true(written >= LOG_LIMIT_ALL_BURST && written <= LOG_LIMIT_ALL_BURST + 10);
	assert_true(log_limit_report(&limit, 100000, false, on_report));
	assert_int_equal(reports, LOG_LIMIT_REPORTS + 1);
	assert_false(log_limit_report(&limit, 100000, true, on_report));
	assert_int_equal(written + reported, all);
}

static void names_longer_than_the_room_are_one_object(void **state)
{
	char subject[4 * LOG_LIMIT_SUBJECT];

	memset(subject, 'x', sizeof(subject));
	subject[sizeof(subject) - 1] = '\0';
	assert_int_equal(lines(subject, 100, 1), LOG_LIMIT_BURST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_object_has_a_burst_and_then_one_in_a_while, setup),
		cmocka_unit_test_setup(what_is_left_out_is_reported_once_with_the_last_line, setup),
		cmocka_unit_test_setup(a_line_that_is_written_tells_of_those_before_it, setup),
		cmocka_unit_test_setup(many_objects_share_a_limit_and_every_line_is_counted, setup),
		cmocka_unit_test_setup(names_longer_than_the_room_are_one_object, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
