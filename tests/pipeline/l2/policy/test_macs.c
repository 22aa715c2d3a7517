/* MACs that a port may have and keep: frames over its limit, its own MAC, MACs that move. */
#include <string.h>

#include "dataplane/l2/fdb.h"
#include "tests/pipeline/harness.h"
#include "tests/pipeline/packets.h"
#include "tests/unit/unit.h"

static struct dp *dp;
static struct test_port a, b, c;
static uint16_t net;
static struct dp_move told;
static unsigned tellings;

static void on_move(void *ctx, const struct dp_move *move)
{
	told = *move;
	tellings++;
}

static int setup(void **state)
{
	dp = harness_open();
	dp->config.on_move = on_move;
	return 0;
}

static int teardown(void **state)
{
	harness_close(dp);
	return 0;
}

static int make(void **state)
{
	static const struct dp_network edit = {.mode = DP_BRIDGE, .age_s = 300, .mac_moves = 10};

	net = harness_network(dp, &edit);
	harness_port(dp, &a, net, NULL);
	harness_port(dp, &b, net, NULL);
	harness_port(dp, &c, net, NULL);
	for (unsigned i = 0; i < MOVES_SLOTS; i++)
		harness_tick(dp); /* what the last test left */
	tellings = 0;
	return 0;
}

static int unmake(void **state)
{
	harness_tick(dp);
	assert_int_equal(harness_balance(dp, net), 0);
	dp_port_del(dp, a.port->id);
	dp_port_del(dp, b.port->id);
	dp_port_del(dp, c.port->id);
	assert_int_equal(dp_network_del(dp, net), 0);
	return 0;
}

static void send_eth(struct test_port *from, const uint8_t *dst, const uint8_t *src)
{
	uint8_t buf[2048];

	harness_send(dp, from, buf, packet_eth(buf, dst, src, 46), (struct offload){0}, 0);
	if (a.count > 100 || b.count > 100 || c.count > 100)
		a.count = b.count = c.count = 0;
}

static void mac_of(unsigned i, mac_t mac)
{
	const mac_t made = {2, 0x77, 0, 0, (uint8_t)(i >> 8), (uint8_t)i};

	memcpy(mac, made, sizeof(made));
}

static void send_many(struct test_port *from, unsigned first, unsigned n)
{
	mac_t mac;

	for (unsigned i = first; i < first + n; i++) {
		mac_of(i, mac);
		send_eth(from, MAC_BROADCAST, mac);
	}
}

static void limit(struct test_port *port, uint32_t macs, enum dp_mac_action action)
{
	struct dp_port spec = port->port->spec;
	struct dp_err err;

	memcpy(spec.mac, port->port->mac, 6);
	spec.mac_limit = macs;
	spec.mac_action = action;
	assert_int_equal(dp_port_set(dp, port->port->id, &spec, &err), 0);
}

static struct dp_port_info info_of(const struct test_port *port)
{
	struct dp_port_info info;

	assert_int_equal(dp_port_info(dp, port->port->id, &info), 0);
	return info;
}

static struct dp_net_info net_info(void)
{
	struct dp_net_info info;

	assert_int_equal(dp_network_info(dp, net, &info), 0);
	return info;
}

/* Whom a frame to the MAC reaches: 1 a, 2 b, 4 c. */
static unsigned reaches(const uint8_t *mac, struct test_port *from)
{
	mac_t prober = {2, 0x99, 0, 0, 0, (uint8_t)from->port->id};
	struct test_port *all[] = {&a, &b, &c};
	unsigned before[3], who = 0;

	a.count = b.count = c.count = 0;
	for (unsigned i = 0; i < 3; i++)
		before[i] = all[i]->count;
	send_eth(from, mac, prober);
	for (unsigned i = 0; i < 3; i++)
		who |= (all[i]->count > before[i]) << i;
	return who;
}

static void test_over_the_limit_is_dropped(void **state)
{
	mac_t mac;

	limit(&a, 100, DP_MAC_DROP);
	send_many(&a, 0, 100);
	assert_int_equal(info_of(&a).mac_limit_drops, 0);
	send_many(&a, 100, 1);
	assert_int_equal(info_of(&a).mac_limit_drops, 1);
	assert_int_equal(info_of(&a).rx_drops, 1);
	send_many(&a, 0, 100); /* those that are known go on */
	assert_int_equal(info_of(&a).mac_limit_drops, 1);
	assert_int_equal(info_of(&a).macs, 100);
	assert_int_equal(net_info().macs, 100);
	send_many(&b, 200, 300); /* another port has none */
	assert_int_equal(info_of(&b).mac_limit_drops, 0);
	mac_of(100, mac);
	assert_int_equal(reaches(mac, &c), 3); /* not learned */
	limit(&a, 101, DP_MAC_DROP);
	send_many(&a, 100, 1);
	assert_int_equal(reaches(mac, &c), 1);
}

static void test_over_the_limit_goes_on_unlearned(void **state)
{
	mac_t mac;

	limit(&a, 1, DP_MAC_FLOOD);
	send_many(&a, 0, 3);
	assert_int_equal(info_of(&a).mac_limit_drops, 0);
	assert_int_equal(info_of(&a).unlearned, 2);
	assert_int_equal(info_of(&a).macs, 1);
	assert_int_equal(b.count, 3);
	mac_of(0, mac);
	assert_int_equal(reaches(mac, &c), 1);
	mac_of(1, mac);
	assert_int_equal(reaches(mac, &c), 3);
}

static void test_sticky_macs_stay(void **state)
{
	mac_t mac;

	limit(&a, 1, DP_MAC_STICKY);
	send_many(&a, 0, 2);
	assert_int_equal(info_of(&a).mac_limit_drops, 1);
	send_many(&b, 0, 1);
	mac_of(0, mac);
	assert_int_equal(reaches(mac, &c), 1);
	assert_int_equal(net_info().mac_moves_held, 1);
	assert_int_equal(net_info().mac_moves, 0);
}

static void give_mac(struct test_port *port, const uint8_t *mac)
{
	struct dp_port spec = port->port->spec;
	struct dp_err err;

	memcpy(spec.mac, mac, 6);
	assert_int_equal(dp_port_set(dp, port->port->id, &spec, &err), 0);
}

static void test_a_port_s_own_mac_is_learned_nowhere_else(void **state)
{
	send_eth(&b, MAC_BROADCAST, MAC_A); /* before it is a's */
	assert_int_equal(reaches(MAC_A, &c), 2);
	give_mac(&a, MAC_A);
	send_eth(&b, MAC_BROADCAST, MAC_A);
	assert_int_equal(reaches(MAC_A, &c), 1); /* before a has sent anything */
	send_eth(&a, MAC_BROADCAST, MAC_A);
	for (unsigned i = 0; i < 50; i++)
		send_eth(&b, MAC_BROADCAST, MAC_A);
	assert_int_equal(reaches(MAC_A, &c), 1);
	assert_int_equal(net_info().mac_moves_held, 51);
	harness_tick(dp);
	assert_int_equal(told.what, DP_MOVE_OWNED);
	assert_int_equal(told.from.port, a.port->id);
	assert_int_equal(told.to.port, b.port->id);
	give_mac(&a, MAC_C); /* then it is anybody's */
	send_eth(&b, MAC_BROADCAST, MAC_A);
	assert_int_equal(reaches(MAC_A, &c), 2);
}

static void test_its_own_mac_gets_through_a_full_limit(void **state)
{
	give_mac(&a, MAC_A);
	limit(&a, 1, DP_MAC_DROP);
	send_many(&a, 0, 1);
	send_eth(&a, MAC_BROADCAST, MAC_A);
	assert_int_equal(info_of(&a).mac_limit_drops, 0);
	assert_int_equal(reaches(MAC_A, &c), 1);
}

static void test_moves_are_reported_and_a_flapping_mac_is_held(void **state)
{
	send_eth(&a, MAC_BROADCAST, MAC_A);
	send_eth(&b, MAC_BROADCAST, MAC_A);
	harness_tick(dp);
	assert_int_equal(tellings, 1);
	assert_int_equal(told.net, net);
	assert_memory_equal(told.mac, MAC_A, 6);
	assert_int_equal(told.from.port, a.port->id);
	assert_int_equal(told.to.port, b.port->id);
	assert_int_equal(told.to.vtep, UINT16_MAX);
	assert_int_equal(told.what, DP_MOVED);
	for (unsigned i = 0; i < 1000; i++)
		send_eth(i & 1 ? &b : &a, MAC_BROADCAST, MAC_A);
	assert_int_equal(net_info().mac_moves, 10);
	assert_int_equal(net_info().mac_moves_held, 496); /* each second one comes from where it is */
	for (unsigned i = 0; i < 10; i++)
		harness_tick(dp);
	assert_int_equal(tellings, 11); /* ten moves, and that it is held */
	assert_int_equal(told.what, DP_MOVE_HELD);
	assert_int_equal(told.left_out, 0);
}

/* A hundred MACs that move: control hears of a few at a time, and how many it did not hear of. */
static void test_more_moves_than_are_reported_are_counted(void **state)
{
	unsigned left_out = 0;

	send_many(&a, 0, 100);
	send_many(&b, 0, 100);
	for (unsigned i = 0; i < 20; i++) {
		unsigned before = tellings;

		harness_tick(dp);
		assert_in_range(tellings - before, 0, 4);
		if (tellings != before)
			left_out += (unsigned)told.left_out;
	}
	assert_int_equal(tellings, MOVES_SLOTS);
	assert_in_range(left_out, 0, 100 - MOVES_SLOTS);
	send_many(&a, 0, 1);
	harness_tick(dp);
	assert_int_equal(tellings, MOVES_SLOTS + 1);
	assert_int_equal(net_info().mac_moves, 101);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_over_the_limit_is_dropped, make, unmake),
		cmocka_unit_test_setup_teardown(test_over_the_limit_goes_on_unlearned, make, unmake),
		cmocka_unit_test_setup_teardown(test_sticky_macs_stay, make, unmake),
		cmocka_unit_test_setup_teardown(test_a_port_s_own_mac_is_learned_nowhere_else, make, unmake),
		cmocka_unit_test_setup_teardown(test_its_own_mac_gets_through_a_full_limit, make, unmake),
		cmocka_unit_test_setup_teardown(
			test_moves_are_reported_and_a_flapping_mac_is_held, make, unmake),
		cmocka_unit_test_setup_teardown(test_more_moves_than_are_reported_are_counted, make, unmake),
	};

	return cmocka_run_group_tests_name("macs", tests, setup, teardown);
}
