/* A worker's gaps: which bucket counts how long a one, and which milliseconds are counted at all. */
#include <math.h>
#include <string.h>

#include "dataplane/core/account.h"
#include "tests/unit/unit.h"

enum { CYCLES_US = 2500 };

static struct account a;

static int clear(void **state)
{
	memset(&a, 0, sizeof(a));
	a.ms = 1000 * CYCLES_US;
	return 0;
}

/* Polls at the times given, in microseconds. */
static void poll_at(const double *us, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		account_gap(&a, (uint64_t)((1e6 + us[i]) * CYCLES_US));
}

static uint64_t counted(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < DP_GAPS; i++)
		sum += a.gaps[i];
	return sum;
}

static void test_a_bucket_ends_where_the_next_begins(void **state)
{
	assert_int_equal(account_gap_bucket(0), 0);
	for (unsigned i = 0; i < DP_GAPS - 1; i++) {
		uint64_t end = (uint64_t)(dp_gap_us(i) * 1e3 + 0.5);

		assert_int_equal(account_gap_bucket(end - 1), i);
		assert_int_equal(account_gap_bucket(end), i + 1);
	}
	assert_true(isinf(dp_gap_us(DP_GAPS - 1)));
	assert_int_equal(account_gap_bucket(UINT64_MAX), DP_GAPS - 1);
}

static void test_a_millisecond_counts_its_longest_gap(void **state)
{
	static const double us[] = {0, 1, 2, 52, 53, 63, 900, 1001};

	poll_at(us, 7);
	assert_int_equal(counted(), 0);
	poll_at(&us[7], 1);
	assert_int_equal(counted(), 1);
	assert_int_equal(a.gaps[account_gap_bucket(837000)], 1);
}

static void test_a_long_gap_counts_for_every_millisecond_of_it(void **state)
{
	static const double us[] = {0, 5500};

	poll_at(us, 2);
	assert_int_equal(counted(), 6);
	assert_int_equal(a.gaps[account_gap_bucket(5500000)], 6);
	assert_int_equal(a.longest_gap, 5500 * CYCLES_US);
}

static void test_sleep_is_no_gap(void **state)
{
	static const double us[] = {0, 100}, later[] = {50000, 50001, 50900, 51002};

	poll_at(us, 2);
	a.last_turn = 0; /* as a worker says that slept */
	poll_at(later, 4);
	assert_int_equal(counted(), 2);
	assert_int_equal(a.gaps[account_gap_bucket(100000)], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_a_bucket_ends_where_the_next_begins, clear),
		cmocka_unit_test_setup(test_a_millisecond_counts_its_longest_gap, clear),
		cmocka_unit_test_setup(test_a_long_gap_counts_for_every_millisecond_of_it, clear),
		cmocka_unit_test_setup(test_sleep_is_no_gap, clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
