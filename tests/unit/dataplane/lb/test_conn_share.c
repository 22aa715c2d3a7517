/* How networks share the connection table: none keeps another out of its part. */
#include <errno.h>
#include <stdbool.h>

#include "dataplane/core/share.h"
#include "dataplane/lb/conn.h"
#include "tests/unit/unit.h"

enum { TCP = 6, OWNERS = 8 };

/* Connection i of a network, from a client of its own. */
static struct conn_new of_net(const struct conn_table *t, uint16_t net, uint32_t i)
{
	uint32_t client = 0x0a000000 + i, backend = 0x0b000000 + i % OWNERS;
	struct conn_new c = {
		.key = {conn_key(CONN_FORWARD, net, TCP, client, 99, 1000, 80),
			conn_key(CONN_REPLY, net, TCP, backend, client, 8080, 1000)},
		.end = {{backend, 8080, (uint16_t)(i % OWNERS)}, {99, 80, (uint16_t)(i % OWNERS)}},
		.now_s = 1,
	};

	conn_hash(t, c.key, c.hash, 2);
	return c;
}

static bool known(struct conn_table *t, uint16_t net, uint32_t i)
{
	struct conn_new c = of_net(t, net, i);
	struct conn_hit hit;

	return conn_find(t, &c.key[0], c.hash[0], CONN_NONE, &hit);
}

static int begin(struct conn_table *t, uint16_t net, uint32_t i, bool established)
{
	struct conn_new c = of_net(t, net, i);
	struct conn_hit hit;
	int rc;

	if (established)
		c.flags[0] = c.flags[1] = CONN_SEEN;
	rc = conn_insert(t, &c, &hit);
	if (rc == 0)
		assert_true(known(t, net, i));
	return rc;
}

/* Whatever one network does, the other's part of the table is there, and what it has there stays. */
static void no_network_keeps_another_out(bool established)
{
	enum { N = 1000 };
	struct conn_table *t = conn_open(N, OWNERS);

	share_set_networks(conn_share(t), 2);
	for (uint32_t i = 0; i < 10 * N; i++)
		begin(t, 1, i, established);
	assert_int_equal(share_used(conn_share(t), 1), N * 3 / 4);
	assert_int_equal(conn_spill_s(t, 2), 0);
	for (uint32_t i = 0; i < N / 4; i++)
		assert_int_equal(begin(t, 2, i, false), 0);
	for (uint32_t i = 10 * N; i < 20 * N; i++) /* and the first goes on */
		begin(t, 1, i, established);
	for (uint32_t i = 0; i < N / 4; i++)
		assert_true(known(t, 2, i));
	assert_int_equal(share_used(conn_share(t), 2), N / 4);
	assert_int_equal(conn_count(t), N);
	conn_close(t);
}

static void test_half_open_ones_keep_nobody_out(void **state)
{
	no_network_keeps_another_out(false);
}

static void test_established_ones_keep_nobody_out(void **state)
{
	no_network_keeps_another_out(true);
}

/* The table is full of one network's established connections when a second network comes. */
static void test_a_network_that_comes_late_gets_its_part(void **state)
{
	enum { N = 1000 };
	struct conn_table *t = conn_open(N, OWNERS);
	uint32_t lost = 0;

	for (uint32_t i = 0; i < N; i++)
		assert_int_equal(begin(t, 1, i, true), 0);
	assert_int_equal(begin(t, 1, N, false), -ENOSPC);
	share_set_networks(conn_share(t), 2);
	for (uint32_t i = 0; i < N / 4; i++)
		assert_int_equal(begin(t, 2, i, false), 0);
	for (uint32_t i = 0; i < N / 4; i++)
		assert_true(known(t, 2, i));
	for (uint32_t i = 0; i < N; i++)
		lost += !known(t, 1, i);
	assert_int_equal(lost, N / 4);
	assert_int_equal(conn_spill_s(t, 1), 1); /* their packets go on without an entry */
	assert_int_equal(conn_count(t), N);
	conn_close(t);
}

static void test_a_network_over_its_share_takes_only_its_own(void **state)
{
	enum { N = 64 };
	struct conn_table *t = conn_open(N, OWNERS);
	uint32_t begun = 0;

	share_set_networks(conn_share(t), 2);
	for (uint32_t i = 0; i < N / 4; i++)
		assert_int_equal(begin(t, 2, i, false), 0);
	for (uint32_t i = 0; i < 100 * N; i++)
		begun += begin(t, 1, i, false) == 0;
	assert_true(begun > 50 * N); /* half-open ones make room for later ones of the same network */
	assert_true(known(t, 1, 100 * N - 1) || conn_spill_s(t, 1) == 1);
	for (uint32_t i = 0; i < N / 4; i++)
		assert_true(known(t, 2, i));
	conn_close(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_half_open_ones_keep_nobody_out),
		cmocka_unit_test(test_established_ones_keep_nobody_out),
		cmocka_unit_test(test_a_network_that_comes_late_gets_its_part),
		cmocka_unit_test(test_a_network_over_its_share_takes_only_its_own),
	};

	return cmocka_run_group_tests_name("conn_share", tests, NULL, NULL);
}
