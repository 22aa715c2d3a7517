/* Percentiles of the bench's histogram against the sorted values themselves. */
#include <stdlib.h>
#include <string.h>

#include "bench/host/histogram.h"
#include "tests/unit/unit.h"

enum { VALUES = 20000 };

static struct histogram h;
static uint64_t value[VALUES];

static int clear(void **state)
{
	memset(&h, 0, sizeof(h));
	return 0;
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void test_buckets_follow_each_other(void **state)
{
	uint64_t last = 0;

	assert_int_equal(histogram_bucket(0), 0);
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		uint64_t upper = histogram_upper(i);

		assert_int_equal(histogram_bucket(upper), i);
		assert_true(i == 0 || histogram_bucket(last + 1) == i);
		assert_true(upper - last <= 1 || upper - last <= upper / HISTOGRAM_PARTS + 1);
		last = upper;
	}
	assert_int_equal(histogram_bucket(last + 1), HISTOGRAM_BUCKETS - 1);
	assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static void test_small_values_are_exact(void **state)
{
	for (unsigned i = 1; i <= 50; i++)
		histogram_add(&h, i, 1);
	assert_int_equal(histogram_percentile(&h, 2), 1);
	assert_int_equal(histogram_percentile(&h, 50), 25);
	assert_int_equal(histogram_percentile(&h, 98), 49);
	assert_int_equal(histogram_percentile(&h, 100), 50);
}

static void test_percentiles_of_few_values(void **state)
{
	assert_int_equal(histogram_percentile(&h, 50), 0);
	histogram_add(&h, 1000000, 1);
	assert_int_equal(histogram_percentile(&h, 0.1), 1000000);
	assert_int_equal(histogram_percentile(&h, 99.9), 1000000);
	histogram_add(&h, 7, 999);
	assert_int_equal(histogram_percentile(&h, 99.9), 7);
	assert_int_equal(histogram_percentile(&h, 100), 1000000);
}

static void test_too_great_a_value_is_still_the_maximum(void **state)
{
	histogram_add(&h, UINT64_MAX, 1);
	assert_int_equal(histogram_percentile(&h, 50), UINT64_MAX);
	assert_int_equal(h.max, UINT64_MAX);
}

static void test_percentiles_of_many_values(void **state)
{
	static const double percent[] = {0.1, 1, 10, 50, 90, 99, 99.9, 99.99, 100};

	srandom(1);
	for (unsigned i = 0; i < VALUES; i++) {
		value[i] = (uint64_t)random() >> random() % 31;
		histogram_add(&h, value[i], 1);
	}
	qsort(value, VALUES, sizeof(value[0]), ascending);
	for (unsigned i = 0; i < sizeof(percent) / sizeof(percent[0]); i++) {
		uint64_t exact = value[(uint64_t)(percent[i] * VALUES / 100 + 0.999) - 1];
		uint64_t told = histogram_percentile(&h, percent[i]);

		assert_true(told >= exact);
		assert_true(told <= exact + exact / HISTOGRAM_PARTS);
	}
}

static void test_the_greatest_values_are_forgotten(void **state)
{
	for (unsigned i = 1; i <= 50; i++)
		histogram_add(&h, i, 2);
	histogram_add(&h, 1000000, 3);
	histogram_trim(&h, 2);
	assert_int_equal(histogram_percentile(&h, 100), 1000000);
	histogram_trim(&h, 4);
	assert_int_equal(h.count, 97);
	assert_int_equal(histogram_percentile(&h, 100), 49);
	histogram_trim(&h, 1000);
	assert_int_equal(h.count, 0);
	assert_int_equal(histogram_percentile(&h, 100), 0);
}

static void test_json_holds_every_value(void **state)
{
	json_t *list, *pair;
	uint64_t sum = 0;
	double last = -1;
	size_t i;

	for (unsigned k = 0; k < 1000; k++)
		histogram_add(&h, k * k, 2);
	list = histogram_json(&h, 0.5);
	json_array_foreach (list, i, pair) {
		assert_true(json_real_value(json_array_get(pair, 0)) > last);
		last = json_real_value(json_array_get(pair, 0));
		sum += (uint64_t)json_integer_value(json_array_get(pair, 1));
	}
	assert_int_equal(sum, 2000);
	assert_true(last >= 999 * 999 * 0.5);
	json_decref(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_buckets_follow_each_other, clear),
		cmocka_unit_test_setup(test_small_values_are_exact, clear),
		cmocka_unit_test_setup(test_percentiles_of_few_values, clear),
		cmocka_unit_test_setup(test_too_great_a_value_is_still_the_maximum, clear),
		cmocka_unit_test_setup(test_percentiles_of_many_values, clear),
		cmocka_unit_test_setup(test_the_greatest_values_are_forgotten, clear),
		cmocka_unit_test_setup(test_json_holds_every_value, clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
