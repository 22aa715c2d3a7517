/* How many flood copies a port may cause in a turn, and that it spends nobody else's. */
#include <linux/virtio_net.h>
#include <string.h>

#include "tests/pipeline/harness.h"
#include "tests/pipeline/packets.h"
#include "tests/unit/unit.h"

enum { RECEIVERS = 4 };

static struct dp *dp;
static struct test_port a, b, receiver[RECEIVERS];
static uint16_t net;

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
	harness_port(dp, &a, net, NULL);
	harness_port(dp, &b, net, NULL);
	for (unsigned i = 0; i < RECEIVERS; i++)
		harness_port(dp, &receiver[i], net, NULL);
	return 0;
}

static int unmake(void **state)
{
	assert_int_equal(harness_balance(dp, net), 0);
	for (unsigned i = 0; i < RECEIVERS; i++)
		dp_port_del(dp, receiver[i].port->id);
	dp_port_del(dp, a.port->id);
	dp_port_del(dp, b.port->id);
	assert_int_equal(dp_network_del(dp, net), 0);
	return 0;
}

/* A frame from `from` in the turn that runs. What is received is thrown away, so that no receiver is full. */
static void send_off(struct test_port *from, const uint8_t *frame, size_t len, struct offload off)
{
	dp->worker[0]->turn--; /* harness_send() begins another */
	harness_send(dp, from, frame, len, off, 0);
	a.count = b.count = 0;
	for (unsigned k = 0; k < RECEIVERS; k++)
		receiver[k].count = 0;
}

static void broadcast(struct test_port *from, const uint8_t *mac, unsigned n)
{
	uint8_t buf[2048];
	size_t len = packet_eth(buf, MAC_BROADCAST, mac, 46);

	for (unsigned i = 0; i < n; i++)
		send_off(from, buf, len, (struct offload){0});
}

static uint64_t received(const struct test_port *port)
{
	struct dp_port_info info;

	assert_int_equal(dp_port_info(dp, port->port->id, &info), 0);
	return info.tx_packets;
}

static void test_one_past_the_budget_is_dropped(void **state)
{
	dp->worker[0]->turn++;
	broadcast(&a, MAC_A, FLOOD_BUDGET / (RECEIVERS + 1));
	assert_int_equal(harness_drops(dp, "flood-budget"), 0);
	broadcast(&a, MAC_A, 1); /* 2,048 is not a multiple of five: three copies are left */
	assert_int_equal(harness_drops(dp, "flood-budget"), 2);
	broadcast(&a, MAC_A, 1);
	assert_int_equal(harness_drops(dp, "flood-budget"), 2 + RECEIVERS + 1);
	dp->worker[0]->turn++;
	broadcast(&a, MAC_A, 1);
	assert_int_equal(harness_drops(dp, "flood-budget"), 2 + RECEIVERS + 1);
}

static void test_a_port_spends_its_own(void **state)
{
	uint64_t before;

	dp->worker[0]->turn++;
	broadcast(&a, MAC_A, FLOOD_BUDGET);
	before = received(&receiver[RECEIVERS - 1]);
	broadcast(&b, MAC_B, 100); /* in the same turn */
	assert_int_equal(received(&receiver[RECEIVERS - 1]), before + 100);
}

static void test_ports_that_are_down_cost_nothing(void **state)
{
	for (unsigned i = 0; i < RECEIVERS; i++)
		port_set_link(receiver[i].port, false);
	dp->worker[0]->turn++;
	broadcast(&a, MAC_A, FLOOD_BUDGET);
	assert_int_equal(harness_drops(dp, "flood-budget"), 0);
	assert_int_equal(received(&b), FLOOD_BUDGET);
	assert_int_equal(harness_drops(dp, "link-down"), FLOOD_BUDGET * RECEIVERS);
	broadcast(&a, MAC_A, 1);
	assert_int_equal(harness_drops(dp, "flood-budget"), 1);
}

/* One large frame is as many copies for each receiver as it has segments. */
static void test_large_frames_cost_their_segments(void **state)
{
	enum { HEADERS = 54, SEGMENTS = 64, SIZE = 100, COPIES = SEGMENTS * (RECEIVERS + 1) };
	const struct offload off = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = HEADERS,
		.gso_size = SIZE,
		.csum_start = 34,
		.csum_offset = 16};
	const struct packet p = {.dst = MAC_BROADCAST,
		.src = MAC_A,
		.from = ip4("10.0.0.1"),
		.to = ip4("10.0.0.2"),
		.proto = 6,
		.payload = SEGMENTS * SIZE};
	uint8_t buf[8192];
	size_t len = packet_ip4(buf, &p);

	assert_int_equal(len, HEADERS + SEGMENTS * SIZE);
	dp->worker[0]->turn++;
	for (unsigned i = 0; i < FLOOD_BUDGET / COPIES; i++)
		send_off(&a, buf, len, off);
	assert_int_equal(harness_drops(dp, "flood-budget"), 0);
	assert_int_equal(received(&b), FLOOD_BUDGET / COPIES * SEGMENTS);
	/* 128 are left: for two receivers of five */
	send_off(&a, buf, len, off);
	assert_int_equal(harness_drops(dp, "flood-budget"), RECEIVERS + 1 - FLOOD_BUDGET % COPIES / SEGMENTS);
}

/* One that goes on whole costs what its bytes do. */
static void test_long_frames_cost_their_bytes(void **state)
{
	static uint8_t buf[32 * FLOOD_UNIT];
	size_t len = packet_eth(buf, MAC_BROADCAST, MAC_A, sizeof(buf) - 14);

	b.port->mtu = UINT16_MAX;
	for (unsigned i = 0; i < RECEIVERS; i++)
		port_set_link(receiver[i].port, false);
	dp->worker[0]->turn++;
	for (unsigned i = 0; i < FLOOD_BUDGET / 32; i++)
		send_off(&a, buf, len, (struct offload){0});
	assert_int_equal(harness_drops(dp, "flood-budget"), 0);
	assert_int_equal(received(&b), FLOOD_BUDGET / 32);
	send_off(&a, buf, len, (struct offload){0});
	assert_int_equal(harness_drops(dp, "flood-budget"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_past_the_budget_is_dropped, make, unmake),
		cmocka_unit_test_setup_teardown(test_a_port_spends_its_own, make, unmake),
		cmocka_unit_test_setup_teardown(test_ports_that_are_down_cost_nothing, make, unmake),
		cmocka_unit_test_setup_teardown(test_large_frames_cost_their_segments, make, unmake),
		cmocka_unit_test_setup_teardown(test_long_frames_cost_their_bytes, make, unmake),
	};

	return cmocka_run_group_tests_name("flood_budget", tests, setup, teardown);
}
