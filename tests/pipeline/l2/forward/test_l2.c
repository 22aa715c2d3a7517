/* Learning, forwarding, flooding and what keeps networks and ports apart. */
#include <stdlib.h>
#include <string.h>

#include "dataplane/core/dp.h"
#include "dataplane/l2/fdb_sweep.h"
#include "tests/pipeline/harness.h"
#include "tests/pipeline/packets.h"
#include "tests/unit/unit.h"

static struct dp *dp;
static struct test_port a, b, c, other;
static uint16_t net, net2;
static const struct offload PLAIN;

static int setup(void **state)
{
	dp = harness_open();
	return 0;
}

static int teardown(void **state)
{
	harness_close(dp);
	return 0;
}

static int make(void **state)
{
	net = harness_network(dp, NULL);
	net2 = harness_network(dp, NULL);
	harness_port(dp, &a, net, NULL);
	harness_port(dp, &b, net, NULL);
	harness_port(dp, &c, net, NULL);
	harness_port(dp, &other, net2, NULL);
	return 0;
}

static int unmake(void **state)
{
	struct test_port *all[] = {&a, &b, &c, &other};

	assert_int_equal(harness_balance(dp, net), 0);
	for (unsigned i = 0; i < 4; i++)
		if (all[i]->port)
			dp_port_del(dp, all[i]->port->id);
	assert_int_equal(dp_network_del(dp, net), 0);
	assert_int_equal(dp_network_del(dp, net2), 0);
	return 0;
}

static void send_eth(struct test_port *from, const uint8_t *dst, const uint8_t *src, size_t payload)
{
	uint8_t buf[2048];
	size_t len = packet_eth(buf, dst, src, payload);

	harness_send(dp, from, buf, len, PLAIN, 100);
}

/* Frames received by a, b, c, other since the ports were made. */
static void expect(unsigned na, unsigned nb, unsigned nc, unsigned nother)
{
	assert_int_equal(a.count, na);
	assert_int_equal(b.count, nb);
	assert_int_equal(c.count, nc);
	assert_int_equal(other.count, nother);
}

static void test_unknown_is_flooded_then_learned(void **state)
{
	send_eth(&a, MAC_B, MAC_A, 1000);
	expect(0, 1, 1, 0);
	assert_int_equal(b.got[0].len, 1014);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(b.got[0].data[14 + i], (uint8_t)i);
	send_eth(&b, MAC_A, MAC_B, 50);
	expect(1, 1, 1, 0);
	send_eth(&a, MAC_B, MAC_A, 50);
	expect(1, 2, 1, 0);
}

/* A port's own MAC is known before its machine has sent anything, as long as it is there. */
static void test_a_silent_port_is_sent_what_is_for_its_own_mac(void **state)
{
	const struct dp_port spec = {.mac = {2, 0, 0, 0, 0, 0x77}};
	uint64_t back = harness_drops(dp, "same-port");
	struct test_port silent;

	harness_port(dp, &silent, net, &spec);
	send_eth(&a, spec.mac, MAC_A, 46);
	assert_int_equal(silent.count, 1);
	expect(0, 0, 0, 0);
	send_eth(&silent, spec.mac, MAC_B, 46); /* to itself */
	assert_int_equal(harness_drops(dp, "same-port"), back + 1);
	expect(0, 0, 0, 0);
	atomic_store(&silent.port->up, false); /* its machine may be elsewhere now */
	send_eth(&a, spec.mac, MAC_A, 46);
	expect(0, 1, 1, 0);
	assert_int_equal(dp_port_del(dp, silent.port->id), 0);
}

static void test_broadcast_reaches_all_but_the_sender(void **state)
{
	send_eth(&a, MAC_BROADCAST, MAC_A, 46);
	expect(0, 1, 1, 0);
}

static void test_never_back_where_it_came_from(void **state)
{
	send_eth(&a, MAC_B, MAC_A, 46);
	send_eth(&a, MAC_A, MAC_B, 46); /* both are behind a */
	expect(0, 1, 1, 0);
	assert_int_equal(harness_drops(dp, "same-port"), 1);
}

static void test_station_moves(void **state)
{
	send_eth(&a, MAC_BROADCAST, MAC_A, 46);
	send_eth(&b, MAC_BROADCAST, MAC_A, 46);
	expect(1, 1, 2, 0);
	send_eth(&c, MAC_A, MAC_C, 46);
	expect(1, 2, 2, 0);
}

static void test_same_mac_in_two_networks(void **state)
{
	send_eth(&a, MAC_BROADCAST, MAC_A, 46);
	send_eth(&other, MAC_BROADCAST, MAC_B, 46);
	send_eth(&other, MAC_A, MAC_B, 46);
	expect(0, 1, 1, 0);
	assert_int_equal(harness_drops(dp, "no-receiver"), 2);
}

static void test_bad_sources(void **state)
{
	static const mac_t zero = {0}, multicast = {1, 0, 0x5e, 0, 0, 1};

	send_eth(&a, MAC_B, zero, 46);
	send_eth(&a, MAC_B, multicast, 46);
	send_eth(&a, MAC_B, dp_router_mac, 46);
	expect(0, 0, 0, 0);
	assert_int_equal(harness_drops(dp, "source-mac"), 3);
}

static void test_full_receiver_is_counted(void **state)
{
	send_eth(&b, MAC_BROADCAST, MAC_B, 46);
	b.room = 0;
	send_eth(&a, MAC_B, MAC_A, 46);
	expect(1, 0, 1, 0);
	assert_int_equal(harness_drops(dp, "ring-full"), 1);
}

static void test_link_down_is_counted(void **state)
{
	send_eth(&b, MAC_BROADCAST, MAC_B, 46);
	port_set_link(b.port, false);
	send_eth(&a, MAC_B, MAC_A, 46);
	expect(1, 0, 1, 0);
	assert_int_equal(harness_drops(dp, "link-down"), 1);
}

static void test_too_long_is_counted(void **state)
{
	send_eth(&b, MAC_BROADCAST, MAC_B, 46);
	send_eth(&a, MAC_B, MAC_A, 1500);
	send_eth(&a, MAC_B, MAC_A, 1501);
	expect(1, 1, 1, 0);
	assert_int_equal(harness_drops(dp, "mtu"), 1);
}

static void test_deleted_port_is_forgotten(void **state)
{
	struct dp_fdb_entry entry = {.net = net, .port = b.port->id, .vtep = UINT16_MAX};

	memcpy(entry.mac, MAC_B, 6);
	send_eth(&c, MAC_BROADCAST, MAC_C, 46);
	assert_int_equal(dp_fdb_add(dp, &entry), 0);
	dp_port_del(dp, b.port->id);
	b.port = NULL;
	send_eth(&a, MAC_B, MAC_A, 46);
	expect(1, 1, 1, 0);
	assert_int_equal(dp_fdb_del(dp, net, MAC_B), -2);
}

static void test_static_and_flush(void **state)
{
	struct dp_fdb_entry entry = {.net = net, .port = c.port->id, .vtep = UINT16_MAX};

	memcpy(entry.mac, MAC_C, 6);
	assert_int_equal(dp_fdb_add(dp, &entry), 0);
	send_eth(&b, MAC_BROADCAST, MAC_B, 46);
	send_eth(&b, MAC_BROADCAST, MAC_C, 46); /* a static address does not move */
	dp_fdb_flush(dp, net);
	send_eth(&a, MAC_C, MAC_A, 46);
	expect(2, 0, 3, 0);
	send_eth(&a, MAC_B, MAC_A, 46); /* forgotten: flooded */
	expect(2, 1, 4, 0);
}

static bool take_age(void *arg, const struct dp_fdb_entry *entry)
{
	*(int *)arg = entry->age_s;
	return true;
}

/* The age of the one entry there is, -1: there is none. */
static int listed_age(void)
{
	int age = -1;

	dp_fdb_walk(dp, take_age, &age);
	return age;
}

static void sweep_everything(void)
{
	for (unsigned i = 0; i < SWEEP_PARTS; i++)
		sweep_fdb(dp);
}

static void test_an_entry_ages_by_its_worker_s_clock(void **state)
{
	uint32_t clock = dp->worker[0]->now_s;

	dp->worker[0]->now_s = dp_now_s(dp) + 2; /* a second begins while control sweeps */
	send_eth(&a, MAC_BROADCAST, MAC_A, 46);
	sweep_everything();
	assert_int_equal(listed_age(), 0);
	dp->worker[0]->now_s = dp_now_s(dp) - 302; /* age_s is 300 */
	send_eth(&a, MAC_BROADCAST, MAC_A, 46);
	assert_in_range(listed_age(), 301, 400);
	sweep_everything();
	assert_int_equal(listed_age(), -1);
	dp->worker[0]->now_s = clock;
}

static void test_point_to_point(void **state)
{
	struct dp_network p2p = {.mode = DP_P2P};
	struct test_port *x = calloc(2, sizeof(*x)), *y = x + 1;
	uint16_t id = harness_network(dp, &p2p);

	harness_port(dp, x, id, NULL);
	send_eth(x, MAC_B, MAC_A, 46);
	assert_int_equal(harness_drops(dp, "no-receiver"), 1);
	harness_port(dp, y, id, NULL);
	send_eth(x, MAC_B, MAC_A, 46);
	send_eth(y, MAC_BROADCAST, MAC_A, 46); /* the same source behind both ends: nobody learns */
	assert_int_equal(x->count, 1);
	assert_int_equal(y->count, 1);
	assert_int_equal(harness_balance(dp, id), 0);
	dp_port_del(dp, x->port->id);
	dp_port_del(dp, y->port->id);
	dp_network_del(dp, id);
	free(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_unknown_is_flooded_then_learned, make, unmake),
		cmocka_unit_test_setup_teardown(
			test_a_silent_port_is_sent_what_is_for_its_own_mac, make, unmake),
		cmocka_unit_test_setup_teardown(test_broadcast_reaches_all_but_the_sender, make, unmake),
		cmocka_unit_test_setup_teardown(test_never_back_where_it_came_from, make, unmake),
		cmocka_unit_test_setup_teardown(test_station_moves, make, unmake),
		cmocka_unit_test_setup_teardown(test_same_mac_in_two_networks, make, unmake),
		cmocka_unit_test_setup_teardown(test_bad_sources, make, unmake),
		cmocka_unit_test_setup_teardown(test_full_receiver_is_counted, make, unmake),
		cmocka_unit_test_setup_teardown(test_link_down_is_counted, make, unmake),
		cmocka_unit_test_setup_teardown(test_too_long_is_counted, make, unmake),
		cmocka_unit_test_setup_teardown(test_deleted_port_is_forgotten, make, unmake),
		cmocka_unit_test_setup_teardown(test_static_and_flush, make, unmake),
		cmocka_unit_test_setup_teardown(test_an_entry_ages_by_its_worker_s_clock, make, unmake),
		cmocka_unit_test_setup_teardown(test_point_to_point, make, unmake),
	};

	return cmocka_run_group_tests_name("l2", tests, setup, teardown);
}
