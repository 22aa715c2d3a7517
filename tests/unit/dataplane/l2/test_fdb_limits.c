/* How many MACs a port and a network may have, at each limit and one past it; how often a MAC moves. */
#include <errno.h>
#include <pthread.h>

#include "dataplane/l2/fdb.h"
#include "tests/unit/unit.h"

enum { A = 1, B = 2 };

static struct fdb *fdb;

static int make(void **state)
{
	return fdb_open(1024, &fdb);
}

static int unmake(void **state)
{
	fdb_close(fdb);
	return 0;
}

static uint64_t key_of(uint16_t net, uint32_t i)
{
	uint8_t mac[6] = {2, 0, (uint8_t)(i >> 24), (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};

	return fdb_key(net, mac);
}

static enum fdb_learned learn_at(uint64_t key, uint16_t target, uint8_t moves, uint16_t now)
{
	struct fdb_seen seen = {.target = target, .moves = moves, .now = now};
	uint64_t was;

	return fdb_learn(fdb, key, &seen, &was);
}

static enum fdb_learned learn(uint16_t net, uint32_t i, uint16_t target)
{
	return learn_at(key_of(net, i), target, 0, 1);
}

static uint16_t target_of(uint64_t key)
{
	return fdb_target(fdb_lookup(fdb, key));
}

static void test_a_port_has_mac_limit_macs_at_most(void **state)
{
	fdb_limit_port(fdb, A, 100, false);
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(learn(0, i, A), FDB_LEARNED);
	assert_int_equal(learn(0, 100, A), FDB_PORT_FULL);
	assert_int_equal(learn(0, 50, A), FDB_KEPT);
	assert_int_equal(learn(0, 100, B), FDB_LEARNED);
	assert_int_equal(learn(0, 100, A), FDB_PORT_FULL); /* nor may it move there */
	assert_int_equal(target_of(key_of(0, 100)), B);
	assert_int_equal(fdb_port_macs(fdb, A), 100);
	assert_int_equal(fdb_remove(fdb, key_of(0, 7)), 0);
	assert_int_equal(learn(0, 100, A), FDB_MOVED);
	assert_int_equal(fdb_port_macs(fdb, A), 100);
	assert_int_equal(fdb_port_macs(fdb, B), 0);
	fdb_limit_port(fdb, A, 10, false); /* less than it has: those stay */
	assert_int_equal(learn(0, 50, A), FDB_KEPT);
	assert_int_equal(learn(0, 101, A), FDB_PORT_FULL);
	fdb_limit_port(fdb, A, 0, false);
	assert_int_equal(learn(0, 101, A), FDB_LEARNED);
}

static void test_static_ones_do_not_count(void **state)
{
	fdb_limit_port(fdb, A, 1, false);
	assert_int_equal(learn(0, 1, A), FDB_LEARNED);
	assert_int_equal(fdb_add_static(fdb, key_of(0, 2), A, 0), 0);
	assert_int_equal(learn(0, 3, A), FDB_PORT_FULL);
	assert_int_equal(fdb_add_static(fdb, key_of(0, 1), A, 0), 0); /* the learned one becomes static */
	assert_int_equal(fdb_port_macs(fdb, A), 0);
	assert_int_equal(learn(0, 3, A), FDB_LEARNED);
	assert_int_equal(fdb_remove(fdb, key_of(0, 1)), 0);
	assert_int_equal(fdb_port_macs(fdb, A), 1);
}

static void test_its_own_mac_is_over_no_limit(void **state)
{
	struct fdb_seen own = {.target = A, .own = true, .moves = 1, .now = 1};
	uint64_t was;

	fdb_limit_port(fdb, A, 1, false);
	fdb_limit_port(fdb, B, 0, true);
	assert_int_equal(learn(0, 1, A), FDB_LEARNED);
	assert_int_equal(learn(0, 2, B), FDB_LEARNED);
	assert_int_equal(learn(0, 2, A), FDB_STICKY);
	assert_int_equal(fdb_learn(fdb, key_of(0, 2), &own, &was), FDB_MOVED);
	assert_int_equal(fdb_port_macs(fdb, A), 2);
}

static void test_what_a_sticky_port_has_stays(void **state)
{
	fdb_limit_port(fdb, A, 2, true);
	assert_int_equal(learn(0, 1, A), FDB_LEARNED);
	assert_int_equal(learn(0, 2, A), FDB_LEARNED);
	assert_int_equal(learn(0, 3, A), FDB_PORT_FULL);
	assert_int_equal(learn(0, 1, B), FDB_STICKY);
	assert_int_equal(target_of(key_of(0, 1)), A);
	fdb_limit_port(fdb, A, 2, false);
	assert_int_equal(learn(0, 1, B), FDB_MOVED);
}

/* Two networks: a quarter of the table is guaranteed to each, and half is for who comes first. */
static void test_no_network_keeps_another_out(void **state)
{
	uint32_t learned = 0;

	share_set_networks(fdb->share, 2);
	assert_int_equal(share_part(fdb->share), 256);
	for (uint32_t i = 0; i < 5000; i++)
		learned += learn(1, i, A) == FDB_LEARNED;
	assert_int_equal(learned, 768);
	assert_int_equal(learn(1, 5000, A), FDB_NET_FULL);
	for (uint32_t i = 0; i < 256; i++)
		assert_int_equal(learn(2, i, B), FDB_LEARNED);
	assert_int_equal(learn(2, 256, B), FDB_NET_FULL);
	for (uint32_t i = 0; i < 256; i++) /* and none of its own was pushed out */
		assert_int_equal(target_of(key_of(2, i)), B);
	assert_int_equal(fdb_remove(fdb, key_of(1, 0)), 0);
	assert_int_equal(learn(2, 256, B), FDB_LEARNED); /* what the one no longer has beyond its part */
	assert_int_equal(learn(1, 0, A), FDB_NET_FULL);
}

static void test_a_network_that_comes_late_gets_its_part(void **state)
{
	share_set_networks(fdb->share, 1);
	for (uint32_t i = 0; i < 1024; i++)
		assert_int_equal(learn(1, i, A), FDB_LEARNED);
	assert_int_equal(learn(1, 1024, A), FDB_NET_FULL);
	share_set_networks(fdb->share, 4);
	for (uint32_t i = 0; i < 128; i++)
		assert_int_equal(learn(2, i, B), FDB_LEARNED);
	assert_int_equal(learn(2, 128, B), FDB_NET_FULL);
	assert_int_equal(learn(1, 1024, A), FDB_NET_FULL);
}

static void test_a_network_s_own_limit(void **state)
{
	atomic_store(&fdb->share->of[1].limit, 10);
	for (uint32_t i = 0; i < 10; i++)
		assert_int_equal(learn(1, i, A), FDB_LEARNED);
	assert_int_equal(learn(1, 10, A), FDB_NET_FULL);
	assert_int_equal(share_used(fdb->share, 1), 10);
	assert_int_equal(fdb_port_macs(fdb, A), 10);
}

static void test_a_mac_moves_so_often_and_no_more(void **state)
{
	const uint64_t key = key_of(0, 1);
	uint16_t at = A;

	learn_at(key, at, 10, 1);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(learn_at(key, at = A + B - at, 10, 1), FDB_MOVED);
	assert_int_equal(learn_at(key, A + B - at, 10, 1), FDB_HOLDS); /* told once */
	assert_int_equal(learn_at(key, A + B - at, 10, 1), FDB_HELD);
	assert_int_equal(target_of(key), at);
	/* it has not calmed down: one move in each second */
	for (uint16_t now = 2; now < 6; now++) {
		assert_int_equal(learn_at(key, at = A + B - at, 10, now), FDB_MOVED);
		assert_int_equal(learn_at(key, A + B - at, 10, now), FDB_HOLDS);
		assert_int_equal(target_of(key), at);
	}
	/* where it is seen in the next second, it is */
	assert_int_equal(learn_at(key, at = A + B - at, 10, 6), FDB_MOVED);
	assert_int_equal(learn_at(key, at, 10, 7), FDB_KEPT);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(learn_at(key, at = A + B - at, 10, 8), FDB_MOVED);
	assert_int_equal(learn_at(key, A + B - at, 10, 8), FDB_HOLDS);
}

static void test_limits_of_moves(void **state)
{
	const uint64_t key = key_of(0, 1);

	for (unsigned i = 0; i < 1000; i++) /* 0: any number */
		learn_at(key, i & 1 ? A : B, 0, 1);
	assert_int_equal(learn_at(key, B, 0, 1), FDB_MOVED);
	for (unsigned i = 0; i < FDB_MOVES - 1; i++)
		assert_int_equal(learn_at(key, i & 1 ? B : A, FDB_MOVES - 1, 1), FDB_MOVED);
	assert_int_equal(learn_at(key, A, FDB_MOVES - 1, 1), FDB_HOLDS);
	assert_int_equal(fdb_flags(fdb_lookup(fdb, key)), FDB_VALID);
	assert_int_equal(target_of(key), B);
}

/* Learners at two ports and a sweeper: afterwards everything is counted right, and no limit was passed. */
enum { RACE_LIMIT = 200, RACE_KEYS = 512, RACE_ROUNDS = 300 };

static void *race(void *arg)
{
	const uint16_t *port = arg;

	for (unsigned round = 0; round < RACE_ROUNDS; round++)
		for (uint32_t i = 0; i < RACE_KEYS; i++) {
			learn_at(key_of(1, i), *port, 0, (uint16_t)round);
			if (i % 5 == round % 5)
				fdb_remove(fdb, key_of(1, i));
		}
	return NULL;
}

static bool count_entry(void *arg, uint64_t key, uint64_t value)
{
	unsigned *count = arg;

	count[fdb_target(value)]++;
	return false;
}

static void test_counts_hold_under_a_race(void **state)
{
	uint16_t port[2] = {A, B};
	unsigned count[FDB_PORTS] = {0};
	pthread_t thread[2];

	fdb_limit_port(fdb, A, RACE_LIMIT, false);
	fdb_limit_port(fdb, B, RACE_LIMIT, false);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, race, &port[i]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	fdb_scan(fdb, 0, UINT32_MAX, count_entry, count); /* second copies go */
	assert_int_equal(fdb_port_macs(fdb, A), count[A]);
	assert_int_equal(fdb_port_macs(fdb, B), count[B]);
	assert_int_equal(share_used(fdb->share, 1), count[A] + count[B]);
	/* what was counted meanwhile may have been more: an entry that is moved within the table is there twice */
	assert_in_range(count[A], 0, RACE_LIMIT);
	assert_in_range(count[B], 0, RACE_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_port_has_mac_limit_macs_at_most, make, unmake),
		cmocka_unit_test_setup_teardown(test_static_ones_do_not_count, make, unmake),
		cmocka_unit_test_setup_teardown(test_its_own_mac_is_over_no_limit, make, unmake),
		cmocka_unit_test_setup_teardown(test_what_a_sticky_port_has_stays, make, unmake),
		cmocka_unit_test_setup_teardown(test_no_network_keeps_another_out, make, unmake),
		cmocka_unit_test_setup_teardown(test_a_network_that_comes_late_gets_its_part, make, unmake),
		cmocka_unit_test_setup_teardown(test_a_network_s_own_limit, make, unmake),
		cmocka_unit_test_setup_teardown(test_a_mac_moves_so_often_and_no_more, make, unmake),
		cmocka_unit_test_setup_teardown(test_limits_of_moves, make, unmake),
		cmocka_unit_test_setup_teardown(test_counts_hold_under_a_race, make, unmake),
	};

	return cmocka_run_group_tests_name("fdb_limits", tests, NULL, NULL);
}
