/* What the switch answers inside a network: ARP for the gateway, and the answers to its own requests. */
#include <string.h>

#include "dataplane/l2/neigh.h"
#include "tests/pipeline/harness.h"
#include "tests/pipeline/packets.h"
#include "tests/unit/unit.h"

static struct dp *dp;
static struct test_port a, b, gateway;
static uint16_t net;
static const struct offload PLAIN;

static int setup(void **state)
{
	const struct dp_port gw = {.gateway = true, .mac = {2, 0x53, 0x4c, 0, 0, 1}};
	struct dp_network spec = {
		.mode = DP_BRIDGE, .subnet = ip4("10.0.0.0"), .prefix = 24, .gateway = ip4("10.0.0.1")};

	dp = harness_open();
	net = harness_network(dp, &spec);
	harness_port(dp, &a, net, NULL);
	harness_port(dp, &b, net, NULL);
	harness_port(dp, &gateway, net, &gw);
	return 0;
}

static int teardown(void **state)
{
	assert_int_equal(harness_balance(dp, net), 0);
	harness_close(dp);
	return 0;
}

static int clear(void **state)
{
	a.count = b.count = gateway.count = 0;
	return 0;
}

static void test_gateway_arp_is_answered_at_the_port(void **state)
{
	uint8_t buf[2048];
	size_t len = packet_arp(buf, MAC_BROADCAST, MAC_A, 1, ip4("10.0.0.5"), ip4("10.0.0.1"));

	harness_send(dp, &a, buf, len, PLAIN, 0);
	assert_int_equal(a.count, 1);
	assert_int_equal(b.count + gateway.count, 0);
	assert_memory_equal(a.got[0].data, MAC_A, 6);
	assert_memory_equal(a.got[0].data + 6, dp_router_mac, 6);
	assert_int_equal(a.got[0].data[21], 2);
	assert_memory_equal(a.got[0].data + 22, dp_router_mac, 6);
	assert_memory_equal(a.got[0].data + 28, "\x0a\x00\x00\x01", 4);
	assert_memory_equal(a.got[0].data + 32, MAC_A, 6);
	assert_memory_equal(a.got[0].data + 38, "\x0a\x00\x00\x05", 4);
}

static void test_other_arp_is_flooded(void **state)
{
	uint8_t buf[2048];
	size_t len = packet_arp(buf, MAC_BROADCAST, MAC_A, 1, ip4("10.0.0.5"), ip4("10.0.0.6"));

	harness_send(dp, &a, buf, len, PLAIN, 0);
	assert_int_equal(a.count, 0);
	assert_int_equal(b.count, 1);
	assert_int_equal(gateway.count, 1);
}

static void test_router_mac_goes_to_the_gateway(void **state)
{
	uint8_t buf[2048];
	struct packet ping = {.dst = dp_router_mac,
		.src = MAC_A,
		.from = ip4("10.0.0.5"),
		.to = ip4("10.0.0.1"),
		.proto = 1};

	harness_send(dp, &a, buf, packet_ip4(buf, &ping), PLAIN, 0);
	assert_int_equal(gateway.count, 1);
	assert_int_equal(a.count + b.count, 0);
}

static void test_gateway_sends_with_the_router_mac(void **state)
{
	uint8_t buf[2048];

	harness_send(dp, &a, buf, packet_eth(buf, MAC_BROADCAST, MAC_A, 46), PLAIN, 0);
	clear(NULL);
	harness_send(dp, &gateway, buf, packet_eth(buf, MAC_A, dp_router_mac, 46), PLAIN, 0);
	assert_int_equal(a.count, 1);
	harness_send(dp, &b, buf, packet_eth(buf, dp_router_mac, MAC_B, 46), PLAIN, 0);
	assert_int_equal(gateway.count, 1);
}

struct heard {
	unsigned calls;
	mac_t mac;
};

static void on_mac(void *arg, struct ip_addr ip, const uint8_t *mac)
{
	struct heard *heard = arg;

	heard->calls++;
	memcpy(heard->mac, mac, 6);
}

static void test_neighbour_is_asked_and_heard(void **state)
{
	struct neigh_scope scope = {.net = net, .uplink = UINT16_MAX};
	struct heard heard = {0};
	uint8_t buf[2048];
	size_t len;

	assert_int_equal(neigh_want(dp, scope, ip_from4(ip4("10.0.0.7")), on_mac, &heard), 0);
	harness_tick(dp);
	assert_int_equal(heard.calls, 0);
	assert_int_equal(b.count, 1);
	assert_memory_equal(b.got[0].data + 28, "\0\0\0\0", 4); /* a probe: it teaches nobody */
	len = packet_arp(buf, b.got[0].data + 6, MAC_B, 2, ip4("10.0.0.7"), 0);
	harness_send(dp, &b, buf, len, PLAIN, 0);
	harness_tick(dp);
	assert_int_equal(heard.calls, 1);
	assert_memory_equal(heard.mac, MAC_B, 6);
	neigh_release(dp, scope, ip_from4(ip4("10.0.0.7")), on_mac, &heard);
}

/* How many requests have come to `b` after some ticks. */
static unsigned asked_after(unsigned ticks)
{
	b.count = 0;
	for (unsigned i = 0; i < ticks; i++)
		harness_tick(dp);
	return b.count;
}

static void flap(struct test_port *port)
{
	port_set_link(port->port, false);
	harness_tick(dp);
	port_set_link(port->port, true);
}

static void test_who_comes_up_is_asked_at_once(void **state)
{
	struct neigh_scope scope = {.net = net, .uplink = UINT16_MAX};
	struct heard heard = {0};
	uint8_t buf[2048];

	port_set_link(b.port, false);
	assert_int_equal(neigh_want(dp, scope, ip_from4(ip4("10.0.0.6")), on_mac, &heard), 0);
	assert_int_equal(asked_after(1), 0); /* nobody there to hear it */
	port_set_link(b.port, true);
	assert_int_equal(asked_after(1), 1); /* not a second later */
	flap(&b);
	assert_int_equal(asked_after(1), 0); /* a guest cannot have the others flooded with requests */
	harness_send(dp, &b, buf, packet_arp(buf, dp->probe_mac, MAC_B, 2, ip4("10.0.0.6"), 0), PLAIN, 0);
	asked_after(8); /* two seconds */
	assert_int_equal(heard.calls, 1);
	flap(&b);
	assert_int_equal(asked_after(1), 0); /* who has answered lately is not asked again */
	neigh_release(dp, scope, ip_from4(ip4("10.0.0.6")), on_mac, &heard);
}

/* Each of them has the same neighbour to ask for. */
static void test_many_that_come_up_at_once_ask_once(void **state)
{
	struct neigh_scope scope = {.net = net, .uplink = UINT16_MAX};
	struct test_port *const ports[] = {&a, &b, &gateway};
	struct heard heard = {0};

	for (unsigned i = 0; i < 3; i++)
		port_set_link(ports[i]->port, false);
	asked_after(4); /* the second in which each asks once is over */
	assert_int_equal(neigh_want(dp, scope, ip_from4(ip4("10.0.0.8")), on_mac, &heard), 0);
	assert_int_equal(asked_after(1), 0);
	for (unsigned i = 0; i < 3; i++)
		port_set_link(ports[i]->port, true);
	assert_int_equal(asked_after(1), 2); /* by the first at once, for the others by the tick */
	neigh_release(dp, scope, ip_from4(ip4("10.0.0.8")), on_mac, &heard);
}

static struct dp_port_info info_of(const struct test_port *port)
{
	struct dp_port_info info;

	assert_int_equal(dp_port_info(dp, port->port->id, &info), 0);
	return info;
}

/* A guest that answers what nobody asked: control hears of some, and another port's answer comes through. */
static void test_a_flood_of_answers_is_bounded(void **state)
{
	struct neigh_scope scope = {.net = net, .uplink = UINT16_MAX};
	uint64_t before = info_of(&a).punts_left_out;
	struct heard heard = {0};
	uint8_t buf[2048];
	size_t len;

	assert_int_equal(neigh_want(dp, scope, ip_from4(ip4("10.0.0.8")), on_mac, &heard), 0);
	for (unsigned i = 0; i < 5000; i++) {
		len = packet_arp(buf, dp->probe_mac, MAC_A, 2, ip4("10.0.0.9"), 0);
		harness_send(dp, &a, buf, len, PLAIN, 0);
	}
	assert_true(info_of(&a).punts_left_out - before >= 4000);
	len = packet_arp(buf, dp->probe_mac, MAC_B, 2, ip4("10.0.0.8"), 0);
	harness_send(dp, &b, buf, len, PLAIN, 0);
	for (unsigned i = 0; i < 4 && !heard.calls; i++) /* 64 at a time */
		harness_tick(dp);
	assert_int_equal(heard.calls, 1);
	assert_memory_equal(heard.mac, MAC_B, 6);
	neigh_release(dp, scope, ip_from4(ip4("10.0.0.8")), on_mac, &heard);
}

/* Each of ten thousand is found among the others, and gone when it is released. */
static void test_many_neighbours(void **state)
{
	enum { MANY = 10000 };
	struct neigh_scope scope = {.net = net, .uplink = UINT16_MAX};
	struct heard heard = {0};
	uint8_t buf[2048];
	size_t len;

	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(
			neigh_want(dp, scope, ip_from4(__builtin_bswap32(0x0a010000 + i)), on_mac, &heard),
			0);
	for (uint32_t i = 0; i < MANY; i += 997) {
		len = packet_arp(buf, dp->probe_mac, MAC_B, 2, __builtin_bswap32(0x0a010000 + i), 0);
		neigh_input(dp, net, b.port->id, buf, (uint16_t)len);
	}
	assert_int_equal(heard.calls, (MANY + 996) / 997);
	for (uint32_t i = 0; i < MANY; i++)
		neigh_release(dp, scope, ip_from4(__builtin_bswap32(0x0a010000 + i)), on_mac, &heard);
	len = packet_arp(buf, dp->probe_mac, MAC_A, 2, __builtin_bswap32(0x0a010000), 0);
	neigh_input(dp, net, b.port->id, buf, (uint16_t)len);
	assert_int_equal(heard.calls, (MANY + 996) / 997);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_gateway_arp_is_answered_at_the_port, clear),
		cmocka_unit_test_setup(test_other_arp_is_flooded, clear),
		cmocka_unit_test_setup(test_router_mac_goes_to_the_gateway, clear),
		cmocka_unit_test_setup(test_gateway_sends_with_the_router_mac, clear),
		cmocka_unit_test_setup(test_neighbour_is_asked_and_heard, clear),
		cmocka_unit_test_setup(test_who_comes_up_is_asked_at_once, clear),
		cmocka_unit_test_setup(test_many_that_come_up_at_once_ask_once, clear),
		cmocka_unit_test_setup(test_a_flood_of_answers_is_bounded, clear),
		cmocka_unit_test_setup(test_many_neighbours, clear),
	};

	return cmocka_run_group_tests_name("local", tests, setup, teardown);
}
