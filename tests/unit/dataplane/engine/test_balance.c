/* Which queue moves to which worker, by what was measured. */
#include "dataplane/engine/balance.h"
#include "tests/unit/unit.h"

static unsigned which, to;

static bool choose_but(const struct balance_queue *q, unsigned n, unsigned workers, uint64_t reserved)
{
	which = to = 1000;
	return balance_choose(q, n, workers, reserved, &which, &to);
}

static bool choose(const struct balance_queue *q, unsigned n, unsigned workers)
{
	return choose_but(q, n, workers, 0);
}

static void test_even_loads_stay(void **state)
{
	const struct balance_queue q[] = {{0, 0, 0, 0.8f}, {1, 0, 1, 0.7f}};

	assert_false(choose(q, 2, 2));
	assert_false(choose(q, 0, 2));
	assert_false(choose(q, 2, 1));
}

static void test_idle_workers_are_left_alone(void **state)
{
	const struct balance_queue q[] = {{0, 0, 0, 0.2f}, {1, 0, 0, 0.2f}};

	assert_false(choose(q, 2, 2));
}

static void test_one_busy_queue_alone_does_not_move(void **state)
{
	const struct balance_queue q[] = {{0, 0, 0, 0.95f}, {1, 0, 1, 0.0f}};

	assert_false(choose(q, 2, 2));
}

static void test_two_busy_queues_get_a_worker_each(void **state)
{
	const struct balance_queue q[] = {{0, 0, 0, 0.5f}, {1, 0, 0, 0.45f}, {2, 0, 1, 0.02f}};

	assert_true(choose(q, 3, 2));
	assert_int_equal(q[which].worker, 0);
	assert_int_equal(to, 1);
}

static void test_the_queue_that_evens_out_most_moves(void **state)
{
	const struct balance_queue q[] = {
		{0, 0, 2, 0.1f}, {1, 0, 2, 0.3f}, {1, 1, 2, 0.6f}, {2, 0, 0, 0.4f}, {3, 0, 1, 0.5f}};

	assert_true(choose(q, 5, 3));
	assert_int_equal(which, 1); /* 0.7 and 0.7, not 0.9 and 0.5, not 0.4 and 1.0 */
	assert_int_equal(to, 0);
}

static void test_reserved_workers_neither_give_nor_take(void **state)
{
	const struct balance_queue q[] = {
		{0, 0, 0, 0.5f}, {1, 0, 0, 0.45f}, {2, 0, 2, 0.3f}, {3, 0, 3, 0.45f}, {4, 0, 3, 0.5f}};

	assert_true(choose_but(q, 5, 4, 1 << 1 | 1 << 3));
	assert_int_equal(q[which].worker, 0);
	assert_int_equal(to, 2);
	assert_false(choose_but(q, 5, 4, 1 << 1 | 1 << 2 | 1 << 3));
	assert_false(choose_but(q, 5, 4, 1 << 0 | 1 << 1 | 1 << 2));
	assert_true(choose_but(q, 5, 4, 1 << 0 | 1 << 2));
	assert_int_equal(q[which].worker, 3);
	assert_int_equal(to, 1);
}

static void test_moves_come_to_an_end(void **state)
{
	struct balance_queue q[40];
	unsigned moves = 0;

	for (unsigned i = 0; i < 40; i++)
		q[i] = (struct balance_queue){(uint16_t)i, 0, 0, (float)(i % 7) / 20};
	while (choose(q, 40, 8)) {
		q[which].worker = (uint16_t)to;
		assert_true(++moves < 100);
	}
	assert_true(moves > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_even_loads_stay),
		cmocka_unit_test(test_idle_workers_are_left_alone),
		cmocka_unit_test(test_one_busy_queue_alone_does_not_move),
		cmocka_unit_test(test_two_busy_queues_get_a_worker_each),
		cmocka_unit_test(test_the_queue_that_evens_out_most_moves),
		cmocka_unit_test(test_reserved_workers_neither_give_nor_take),
		cmocka_unit_test(test_moves_come_to_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
