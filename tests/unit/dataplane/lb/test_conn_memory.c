/* Memory for connections to come is there before a worker writes to it. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/lb/conn_table.h"
#include "tests/unit/unit.h"

enum { SIZE = 1 << 19, AHEAD = 1 << 18, TICKS = 100 };
enum { HUGE_PAGE = 2 << 20 }; /* one may reach over into the array beside */

/* How many bytes of the array are in memory. */
static size_t resident(void *array, size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = (bytes + page - 1) / page, n = 0;
	unsigned char *there = malloc(pages);

	assert_non_null(there);
	assert_int_equal(mincore(array, bytes, there), 0);
	for (size_t i = 0; i < pages; i++)
		n += there[i] & 1;
	free(there);
	return n * page;
}

static size_t sides(const struct conn_table *t, size_t entries)
{
	return resident(t->side, entries * 2 * sizeof(*t->side));
}

static void tick(struct conn_table *t, bool ip6)
{
	for (unsigned i = 0; i < TICKS; i++)
		conn_touch_ahead(t, ip6, false);
}

static size_t index_bytes(const struct conn_table *t)
{
	return ((size_t)t->bucket_mask + 1) * sizeof(*t->bucket);
}

static int make(void **state)
{
	struct conn_table *t = conn_open(SIZE, 1);

	assert_non_null(t);
	*state = t;
	return 0;
}

static int unmake(void **state)
{
	conn_close(*state);
	return 0;
}

static void test_nothing_is_taken_before_it_is_asked_for(void **state)
{
	struct conn_table *t = *state;

	assert_int_equal(sides(t, SIZE), 0);
	assert_int_equal(resident(t->bucket, index_bytes(t)), 0);
}

static void test_a_call_takes_no_more_than_a_part(void **state)
{
	struct conn_table *t = *state;

	conn_touch_ahead(t, true, false);
	assert_true(resident(t->bucket, index_bytes(t)) <= (8 << 20) + HUGE_PAGE);
	assert_true(sides(t, SIZE) <= HUGE_PAGE);
}

static void test_the_index_and_what_comes_next_are_there(void **state)
{
	struct conn_table *t = *state;

	tick(t, false);
	assert_int_equal(resident(t->bucket, index_bytes(t)), index_bytes(t));
	assert_int_equal(sides(t, AHEAD), AHEAD * 2 * sizeof(*t->side));
	assert_true(sides(t, SIZE) < SIZE * 2 * sizeof(*t->side));
	assert_true(resident(t->wide, (size_t)SIZE * 2 * sizeof(*t->wide)) <= HUGE_PAGE);
}

static void test_it_stays_ahead_of_the_entries_in_use_to_the_end(void **state)
{
	struct conn_table *t = *state;

	tick(t, false);
	atomic_store(&t->fresh, SIZE / 4);
	tick(t, false);
	assert_int_equal(sides(t, SIZE / 4 + AHEAD), (SIZE / 4 + AHEAD) * 2 * sizeof(*t->side));
	assert_true(sides(t, SIZE) < SIZE * 2 * sizeof(*t->side));
	atomic_store(&t->fresh, SIZE);
	tick(t, false);
	assert_int_equal(sides(t, SIZE), SIZE * 2 * sizeof(*t->side));
}

static void test_ip6_has_its_own(void **state)
{
	struct conn_table *t = *state;

	tick(t, true);
	assert_int_equal(
		resident(t->wide, (size_t)AHEAD * 2 * sizeof(*t->wide)), AHEAD * 2 * sizeof(*t->wide));
}

static void test_small_and_odd_tables_are_taken_whole(void **state)
{
	struct conn_table *t = conn_open(1025, 1);

	tick(t, true);
	assert_true(sides(t, 1025) >= 1025 * 2 * sizeof(*t->side));
	conn_close(t);
}

/* With huge pages all was taken at the start. */
static void test_what_is_there_is_not_taken_again(void **state)
{
	struct conn_table *t = *state;

	conn_touch(t);
	tick(t, false);
	assert_int_equal(sides(t, SIZE), SIZE * 2 * sizeof(*t->side));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_is_taken_before_it_is_asked_for, make, unmake),
		cmocka_unit_test_setup_teardown(test_a_call_takes_no_more_than_a_part, make, unmake),
		cmocka_unit_test_setup_teardown(test_the_index_and_what_comes_next_are_there, make, unmake),
		cmocka_unit_test_setup_teardown(
			test_it_stays_ahead_of_the_entries_in_use_to_the_end, make, unmake),
		cmocka_unit_test_setup_teardown(test_ip6_has_its_own, make, unmake),
		cmocka_unit_test(test_small_and_odd_tables_are_taken_whole),
		cmocka_unit_test_setup_teardown(test_what_is_there_is_not_taken_again, make, unmake),
	};
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (madvise(page, 4096, MADV_POPULATE_WRITE) < 0 && errno == EINVAL) {
		fprintf(stderr, "skipped: the kernel cannot take memory ahead of need (5.14)\n");
		return EXIT_SKIPPED;
	}
	return cmocka_run_group_tests_name("conn memory", tests, NULL, NULL);
}
