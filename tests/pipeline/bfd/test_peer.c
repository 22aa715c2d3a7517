/* A peer played packet by packet at the uplink; the test takes the turns of the BFD thread, by a clock of its own. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "dataplane/bfd/bfd.h"
#include "dataplane/bfd/packet.h"
#include "dataplane/overlay/vxlan.h"
#include "tests/pipeline/harness.h"
#include "tests/pipeline/packets.h"
#include "tests/unit/unit.h"

static struct dp *dp;
static struct test_port a, uplink;
static uint16_t net, watched, other;
static uint64_t now;	/* microseconds */
static uint32_t theirs; /* the switch's discriminator */
static const struct offload PLAIN;
static const mac_t MAC_UP = {2, 0, 0, 0, 0, 1}, MAC_HOP = {2, 0, 0, 0, 0, 2};

enum { VNI = 77, BFD_AT = 42, MS = 1000, MINE = 0x1234 };

static void answer_arp(const char *ip)
{
	uint8_t buf[2048];

	harness_send(
		dp, &uplink, buf, packet_arp(buf, MAC_UP, MAC_HOP, 2, ip4(ip), ip4("192.0.2.1")), PLAIN, 0);
	harness_tick(dp);
}

/* Has the thread's turn, and what it sends on its way. */
static void turn(uint64_t later)
{
	now += later;
	bfd_turn(dp, now);
	harness_tick(dp);
}

static int setup(void **state)
{
	struct dp_port up = {.mac = {2, 0, 0, 0, 0, 1},
		.address = {ip_from4(ip4("192.0.2.1")), IP_PREFIX4 + 24},
		.vxlan_port = 4789,
		.mtu = 1500};
	struct dp_network spec = {.mode = DP_OVERLAY, .vni = VNI, .mtu = 1450};
	struct timespec clock;

	dp = harness_open();
	net = harness_network(dp, &spec);
	harness_port(dp, &a, net, NULL);
	harness_port(dp, &uplink, DP_NET_NONE, &up);
	assert_int_equal(dp_vtep_add(dp, net, ip_from4(ip4("192.0.2.2")), &watched, NULL), 0);
	assert_int_equal(dp_vtep_add(dp, net, ip_from4(ip4("192.0.2.3")), &other, NULL), 0);
	assert_int_equal(dp_vtep_watch(dp, watched, 100, 3), 0);
	harness_tick(dp);
	answer_arp("192.0.2.2");
	answer_arp("192.0.2.3");
	clock_gettime(CLOCK_MONOTONIC, &clock); /* what control goes by */
	now = (uint64_t)clock.tv_sec * 1000000 + (uint64_t)clock.tv_nsec / 1000;
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
	a.count = uplink.count = 0;
	return 0;
}

static void say_as(const char *from, uint8_t ttl, uint8_t state, uint32_t yours)
{
	struct packet p = {.dst = MAC_UP,
		.src = MAC_HOP,
		.from = ip4(from),
		.to = ip4("192.0.2.1"),
		.proto = 17,
		.from_port = 50000,
		.to_port = 3784,
		.payload = BFD_PACKET_LEN};
	struct bfd_packet packet = {.state = state,
		.multiplier = 3,
		.mine = MINE,
		.yours = yours,
		.min_tx_us = 100 * MS,
		.min_rx_us = 100 * MS};
	uint8_t buf[2048];
	size_t len = packet_ip4(buf, &p);

	buf[22] = ttl;
	bfd_packet_write(buf + BFD_AT, &packet);
	harness_send(dp, &uplink, buf, len, PLAIN, 0);
}

static void say(uint8_t state)
{
	say_as("192.0.2.2", 255, state, theirs);
}

static struct bfd_packet heard(unsigned i)
{
	const uint8_t *out = uplink.got[i].data;
	struct bfd_packet packet;

	assert_int_equal(uplink.got[i].len, BFD_AT + BFD_PACKET_LEN);
	assert_memory_equal(out, MAC_HOP, 6);
	assert_memory_equal(out + 6, MAC_UP, 6);
	assert_int_equal(out[22], 255);
	assert_true((out[34] << 8 | out[35]) >= 49152);
	assert_int_equal(out[36] << 8 | out[37], 3784);
	assert_true(packet_checksums_right(out, uplink.got[i].len));
	assert_true(out[40] || out[41]);
	assert_true(bfd_packet_read(out + BFD_AT, BFD_PACKET_LEN, &packet));
	return packet;
}

static const char *state_of(struct dp_peer *peer)
{
	assert_int_equal(dp_peer_info(dp, ip_from4(ip4("192.0.2.2")), peer), 0);
	return peer->state;
}

static void test_it_is_asked_and_comes_up(void **state)
{
	struct dp_peer peer;

	turn(0);
	assert_int_equal(uplink.count, 1);
	assert_int_equal(heard(0).state, BFD_DOWN);
	assert_int_equal(heard(0).min_tx_us, 1000 * MS);
	assert_int_equal(heard(0).yours, 0);
	theirs = heard(0).mine;
	say_as("192.0.2.2", 255, BFD_DOWN, 0);
	turn(10);
	assert_int_equal(heard(1).state, BFD_INIT);
	assert_int_equal(heard(1).yours, MINE);
	say(BFD_UP);
	turn(10);
	assert_string_equal(state_of(&peer), "up");
	assert_true(heard(2).poll); /* another interval */
	assert_int_equal(heard(2).min_tx_us, 100 * MS);
}

static void refused(const char *from, uint8_t ttl, uint8_t state, uint32_t yours)
{
	uint64_t before = harness_drops(dp, "bfd-refused");
	struct dp_peer peer;

	say_as(from, ttl, state, yours);
	turn(10);
	assert_int_equal(harness_drops(dp, "bfd-refused"), before + 1);
	assert_string_equal(state_of(&peer), "up");
}

static void test_lies_are_refused_by_the_worker(void **state)
{
	refused("192.0.2.3", 255, BFD_ADMIN_DOWN, theirs); /* a vtep, but nobody watches it */
	refused("192.0.2.2", 254, BFD_ADMIN_DOWN, theirs);
	refused("192.0.2.2", 255, BFD_ADMIN_DOWN, theirs + 1);
	refused("192.0.2.2", 255, BFD_UP, 0);
}

static void test_a_peer_has_its_share_and_no_more(void **state)
{
	struct dp_peer peer;

	for (unsigned i = 0; i < 1000; i++)
		say(BFD_UP);
	assert_true(harness_drops(dp, "bfd-flood") >= 900); /* 32, and what time gives */
	turn(10);
	assert_string_equal(state_of(&peer), "up");
	assert_int_equal(harness_drops(dp, "not-for-us"), 0);
}

static void test_a_silent_one_is_cut(void **state)
{
	uint8_t buf[2048];
	struct dp_vtep_info info;
	struct dp_peer peer;
	uint64_t before;
	size_t len = packet_eth(buf, MAC_BROADCAST, MAC_A, 100);

	for (unsigned i = 0; i < 4; i++) /* a late turn would forgive it: in steps */
		for (unsigned k = 0; k < 10; k++)
			turn(10 * MS);
	assert_string_equal(state_of(&peer), "down");
	assert_true(peer.cut);
	dp_vtep_info(dp, watched, &info);
	assert_int_equal(info.state, DP_VTEP_DOWN);
	uplink.count = 0;
	harness_send(dp, &a, buf, len, PLAIN, 0);
	assert_int_equal(uplink.count, 1); /* to the other alone */
	assert_int_equal(uplink.got[0].data[33], 3);
	assert_int_equal(harness_drops(dp, "peer-down"), 0);

	assert_int_equal(
		dp_fdb_add(dp,
			&(struct dp_fdb_entry){
				.net = net, .mac = {2, 0, 0, 0, 9, 9}, .port = UINT16_MAX, .vtep = watched}),
		0);
	before = harness_drops(dp, "peer-down");
	len = packet_eth(buf, (mac_t){2, 0, 0, 0, 9, 9}, MAC_A, 100);
	harness_send(dp, &a, buf, len, PLAIN, 0);
	assert_int_equal(uplink.count, 1);
	assert_int_equal(harness_drops(dp, "peer-down"), before + 1);
}

static void test_it_is_back_with_its_first_packets(void **state)
{
	struct dp_peer peer;
	uint8_t buf[2048];

	say_as("192.0.2.2", 255, BFD_DOWN, 0);
	turn(10);
	say(BFD_INIT);
	turn(10);
	assert_string_equal(state_of(&peer), "up");
	assert_false(peer.cut);
	uplink.count = 0;
	harness_send(dp, &a, buf, packet_eth(buf, MAC_BROADCAST, MAC_A, 100), PLAIN, 0);
	assert_int_equal(uplink.count, 2);
}

static void test_nobody_watches_any_longer(void **state)
{
	struct dp_peer peer;

	assert_int_equal(dp_vtep_watch(dp, watched, 0, 0), 0);
	turn(10);
	assert_int_equal(uplink.count, 1);
	assert_int_equal(heard(0).state, BFD_ADMIN_DOWN);
	assert_int_equal(heard(0).diag, BFD_ADMIN);
	assert_int_equal(dp_peer_info(dp, ip_from4(ip4("192.0.2.2")), &peer), -ENOENT);
	say(BFD_DOWN);
	assert_int_equal(harness_drops(dp, "not-for-us"), 1); /* no port of ours */
}

/* Of two vteps at a host the one goes that watched it. */
static void test_the_other_vtep_forgets_it_too(void **state)
{
	struct dp_network spec = {.mode = DP_OVERLAY, .vni = VNI + 1, .mtu = 1450};
	uint16_t beside, second = harness_network(dp, &spec);

	assert_int_equal(dp_vtep_watch(dp, watched, 100, 3), 0);
	assert_int_equal(dp_vtep_add(dp, second, ip_from4(ip4("192.0.2.2")), &beside, NULL), 0);
	assert_int_not_equal(dp_get_vtep(dp, beside)->peer, BFD_NO_PEER);
	assert_int_equal(dp_vtep_del(dp, watched), 0);
	assert_int_equal(dp_get_vtep(dp, beside)->peer, BFD_NO_PEER);
	assert_int_equal(dp_vtep_del(dp, beside), 0);
	assert_int_equal(dp_network_del(dp, second), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_it_is_asked_and_comes_up, clear),
		cmocka_unit_test_setup(test_lies_are_refused_by_the_worker, clear),
		cmocka_unit_test_setup(test_a_silent_one_is_cut, clear),
		cmocka_unit_test_setup(test_it_is_back_with_its_first_packets, clear),
		/* late: the bucket fills by the real clock */
		cmocka_unit_test_setup(test_a_peer_has_its_share_and_no_more, clear),
		cmocka_unit_test_setup(test_nobody_watches_any_longer, clear),
		cmocka_unit_test_setup(test_the_other_vtep_forgets_it_too, clear),
	};

	return cmocka_run_group_tests_name("peer", tests, setup, teardown);
}
