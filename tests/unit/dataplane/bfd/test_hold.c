/* Who is believed lost, and when nobody is. */
#include "dataplane/bfd/hold.h"
#include "tests/unit/unit.h"

enum { S = 1000000, MANY = 100 };

static struct hold_peer peer[MANY], *list[MANY];

static void all_up(unsigned n)
{
	for (unsigned i = 0; i < MANY; i++) {
		peer[i] = (struct hold_peer){.seen = i < n};
		list[i] = i < n ? &peer[i] : NULL;
	}
}

static unsigned cut(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < MANY; i++)
		n += peer[i].cut;
	return n;
}

static void test_few_are_cut_at_once(void **state)
{
	all_up(10);
	for (unsigned i = 0; i < 3; i++) { /* 30 %, and not more */
		peer[i].lost_at = S;
		assert_false(hold_decide(list, MANY, S));
		assert_int_equal(cut(), i + 1);
	}
	peer[3].lost_at = S;
	assert_true(hold_decide(list, MANY, S));
	assert_int_equal(cut(), 0);
	peer[0].lost_at = 0; /* one is back: the others are what is lost */
	assert_false(hold_decide(list, MANY, 2 * S));
	assert_int_equal(cut(), 3);
}

static void test_fewer_than_three_are_never_many(void **state)
{
	for (unsigned n = 1; n <= 2; n++) {
		all_up(n);
		for (unsigned i = 0; i < n; i++)
			peer[i].lost_at = S;
		assert_false(hold_decide(list, MANY, S));
		assert_int_equal(cut(), n);
	}
	all_up(3);
	for (unsigned i = 0; i < 3; i++)
		peer[i].lost_at = S;
	assert_true(hold_decide(list, MANY, S));
	assert_int_equal(cut(), 0);
}

static void test_who_was_lost_alone_stays_cut(void **state)
{
	all_up(10);
	peer[0].lost_at = S;
	assert_false(hold_decide(list, MANY, S));
	assert_false(hold_decide(list, MANY, S + HOLD_WINDOW_US));
	for (unsigned i = 1; i < 10; i++)
		peer[i].lost_at = 60 * (uint64_t)S;
	assert_true(hold_decide(list, MANY, 60 * (uint64_t)S));
	assert_int_equal(cut(), 1);
	assert_true(peer[0].cut);
	peer[0].lost_at = 0;
	assert_true(hold_decide(list, MANY, 61 * (uint64_t)S));
	assert_int_equal(cut(), 0);
	assert_false(peer[0].sure);
}

static void test_a_hold_lasts_until_most_are_back(void **state)
{
	all_up(MANY);
	for (unsigned i = 0; i < 50; i++)
		peer[i].lost_at = S;
	assert_true(hold_decide(list, MANY, S));
	assert_true(hold_decide(list, MANY, 3600 * (uint64_t)S)); /* an hour makes nobody sure */
	assert_int_equal(cut(), 0);
	for (unsigned i = 0; i < 20; i++)
		peer[i].lost_at = 0;
	assert_false(hold_decide(list, MANY, 3601 * (uint64_t)S));
	assert_int_equal(cut(), 30);
}

static void test_who_was_never_up_is_not_lost(void **state)
{
	all_up(4);
	peer[0].seen = false;
	peer[0].lost_at = S;
	assert_false(hold_decide(list, MANY, S));
	assert_int_equal(cut(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_few_are_cut_at_once),
		cmocka_unit_test(test_fewer_than_three_are_never_many),
		cmocka_unit_test(test_who_was_lost_alone_stays_cut),
		cmocka_unit_test(test_a_hold_lasts_until_most_are_back),
		cmocka_unit_test(test_who_was_never_up_is_not_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
