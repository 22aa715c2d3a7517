/* Durations as Go writes them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "registry/base/duration.h"
#include "tests/unit/unit.h"

static void what_is_read(void **state)
{
	static const struct {
		const char *text;
		int64_t us;
	} rows[] = {
		{"0", 0},
		{"0s", 0},
		{"10s", 10000000},
		{"1m30s", 90000000},
		{"120000ms", 120000000},
		{"1.5h", 5400000000},
		{"100us", 100},
		{"100\xc2\xb5s", 100},
		{"1500ns", 1},
		{".5s", 500000},
		{"-3s", -3000000},
		{"+3s", 3000000},
		{"1h1m1s1ms1us", 3661001001},
	};
	int64_t us;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(duration_parse(rows[i].text, &us), 0);
		assert_int_equal(us, rows[i].us);
	}
}

static void what_is_refused(void **state)
{
	static const char *const rows[] = {
		"", "s", "10", "10 s", "1d", "1s ", " 1s", "-", ".s", "1.s.", "1e3s", "--1s", "1sm"};
	int64_t us;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(duration_parse(rows[i], &us), -EINVAL);
	assert_int_equal(duration_parse("99999999999999999999s", &us), -ERANGE);
	assert_int_equal(duration_parse("9999999999h", &us), -ERANGE);
	assert_int_equal(duration_parse("2000000h2000000h", &us), -ERANGE);
}

static void what_is_written(void **state)
{
	static const struct {
		int64_t us;
		const char *text;
	} rows[] = {{0, "0s"}, {1, "1\xc2\xb5s"}, {1500, "1.5ms"}, {10000000, "10s"}, {90000000, "1m30s"},
		{3600000000, "1h0m0s"}, {1250000, "1.25s"}, {-1000000, "-1s"}};
	char text[DURATION_TEXT];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(duration_text(rows[i].us, text), rows[i].text);
}

static void what_is_written_is_read_again(void **state)
{
	char text[DURATION_TEXT];
	int64_t us;

	srand(7);
	for (unsigned i = 0; i < 100000; i++) {
		int64_t value = ((int64_t)rand() << 20 ^ rand()) >> rand() % 50;

		assert_int_equal(duration_parse(duration_text(value, text), &us), 0);
		assert_int_equal(us, value);
	}
}

static void rubbish_does_no_harm(void **state)
{
	static const char letters[] = "0123456789.hmsnu-+ \xc2\xb5";
	char text[24];
	int64_t us;

	srand(8);
	for (unsigned i = 0; i < 200000; i++) {
		size_t len = (size_t)rand() % (sizeof(text) - 1);

		for (size_t c = 0; c < len; c++)
			text[c] = letters[(size_t)rand() % (sizeof(letters) - 1)];
		text[len] = '\0';
		switch (duration_parse(text, &us)) {
		case 0:
		case -EINVAL:
		case -ERANGE:
			break;
		default:
			fail_msg("%s", text);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_read),
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(what_is_written),
		cmocka_unit_test(what_is_written_is_read_again),
		cmocka_unit_test(rubbish_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
