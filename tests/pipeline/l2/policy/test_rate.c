/* Bounds of ports: what a guest floods, what it sends, what is delivered to it; at the edge, and one past it. */
#include <pthread.h>
#include <rte_cycles.h>
#include <string.h>

#include "dataplane/l2/policy/rate.h"
#include "tests/pipeline/harness.h"
#include "tests/pipeline/packets.h"
#include "tests/unit/unit.h"

enum { SYN = 2, LARGE = 60000, FRAME = 1000 };

static struct dp *dp;
static struct test_port a, b, c;
static uint16_t net;
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

static void say(struct test_port *port, const uint8_t *src)
{
	uint8_t buf[2048];

	harness_send(dp, port, buf, packet_eth(buf, MAC_BROADCAST, src, 46), PLAIN, 0);
}

static int make(void **state)
{
	net = harness_network(dp, NULL);
	harness_port(dp, &a, net, NULL);
	harness_port(dp, &b, net, NULL);
	harness_port(dp, &c, net, NULL);
	say(&a, MAC_A);
	say(&b, MAC_B);
	a.count = b.count = c.count = 0;
	return 0;
}

static int unmake(void **state)
{
	assert_int_equal(harness_balance(dp, net), 0);
	dp_port_del(dp, a.port->id);
	dp_port_del(dp, b.port->id);
	dp_port_del(dp, c.port->id);
	assert_int_equal(dp_network_del(dp, net), 0);
	return 0;
}

static void bound(struct test_port *port, struct dp_port spec)
{
	struct dp_err err;

	spec.mtu = 1500;
	assert_int_equal(dp_port_set(dp, port->port->id, &spec, &err), 0);
}

static void send_eth(struct test_port *from, const uint8_t *dst, const uint8_t *src, size_t len)
{
	uint8_t buf[2048];

	harness_send(dp, from, buf, packet_eth(buf, dst, src, len - 14), PLAIN, 0);
}

static uint64_t now_s(void)
{
	return rte_rdtsc() / rte_get_tsc_hz();
}

static struct dp_port_info info_of(const struct test_port *port)
{
	struct dp_port_info info;

	assert_int_equal(dp_port_info(dp, port->port->id, &info), 0);
	return info;
}

/* Sent within `since` and now at one unit a second: a burst, and what came meanwhile. */
static void assert_passed(unsigned passed, unsigned burst, uint64_t since)
{
	assert_in_range(passed, burst, burst + now_s() - since + 1);
}

static void test_a_storm_ends_at_its_bound(void **state)
{
	static const mac_t group = {1, 0, 0x5e, 0, 0, 1}, unknown = {2, 0, 0, 0, 0, 0x77};
	const uint8_t *to[] = {MAC_BROADCAST, group, unknown};
	uint64_t since = now_s();

	bound(&a, (struct dp_port){.storm_pps = 1}); /* 32 at once */
	for (unsigned i = 0; i < 120; i++)
		send_eth(&a, to[i % 3], MAC_A, 60);
	assert_passed(b.count, 32, since);
	assert_int_equal(c.count, b.count);
	assert_int_equal(info_of(&a).storm_drops, 120 - b.count);
	assert_int_equal(info_of(&a).rx_drops, 120 - b.count);
	assert_int_equal(harness_drops(dp, "storm"), 120 - b.count);
}

static void test_a_storm_leaves_all_else_alone(void **state)
{
	uint64_t since = now_s();

	bound(&a, (struct dp_port){.storm_pps = 1});
	for (unsigned i = 0; i < 40; i++)
		send_eth(&a, MAC_BROADCAST, MAC_A, 60);
	c.count = b.count = 0;
	for (unsigned i = 0; i < 100; i++)
		send_eth(&a, MAC_B, MAC_A, 60); /* to one that is known */
	for (unsigned i = 0; i < 100; i++)
		send_eth(&c, MAC_BROADCAST, MAC_C, 60); /* of another port */
	assert_passed(c.count, 0, since);
	assert_in_range(b.count, 200, 200 + c.count);
	assert_in_range(a.count, 100, 100);
}

static void test_the_default_storm_is_a_second_of_ten_thousand(void **state)
{
	bound(&a, (struct dp_port){.storm_pps = 10000}); /* 1000 at once */
	b.room = 0;					 /* counted by drops, not kept */
	for (unsigned i = 0; i < 1000; i++)
		send_eth(&a, MAC_BROADCAST, MAC_A, 60);
	assert_int_equal(info_of(&a).storm_drops, 0);
}

static void test_a_guest_sends_up_to_its_packets(void **state)
{
	uint64_t since = now_s();

	bound(&a, (struct dp_port){.in = {.packets = 1, .packet_burst = 10}});
	for (unsigned i = 0; i < 50; i++)
		send_eth(&a, MAC_B, MAC_A, FRAME);
	assert_passed(b.count, 10, since);
	assert_int_equal(info_of(&a).rate_in_drops, 50 - b.count);
	assert_int_equal(info_of(&a).rate_out_drops, 0);
	assert_int_equal(info_of(&a).rx_drops, 50 - b.count);
	for (unsigned i = 0; i < 50; i++)
		send_eth(&b, MAC_A, MAC_B, FRAME); /* what comes to it is not bound */
	assert_int_equal(a.count, 50);
}

static void test_a_guest_is_sent_up_to_its_packets(void **state)
{
	uint64_t since = now_s();

	bound(&b, (struct dp_port){.out = {.packets = 1, .packet_burst = 10}});
	for (unsigned i = 0; i < 20; i++) {
		send_eth(&a, MAC_B, MAC_A, FRAME);
		send_eth(&a, MAC_BROADCAST, MAC_A, FRAME); /* a copy counts at each receiver */
	}
	assert_passed(b.count, 10, since);
	assert_int_equal(c.count, 20);
	assert_int_equal(info_of(&b).rate_out_drops, 40 - b.count);
	assert_int_equal(info_of(&b).rate_in_drops, 0);
	assert_int_equal(info_of(&b).rx_drops, 0);
	assert_int_equal(info_of(&b).tx_drops, 40 - b.count);
	assert_int_equal(harness_drops(dp, "rate"), 40 - b.count);
}

/* The frame that finds anything in the bucket passes, so that a burst smaller than a frame is no dead end. */
static void test_bytes_to_the_edge_and_one_frame_past_it(void **state)
{
	uint64_t since = now_s();
	unsigned came;

	bound(&a, (struct dp_port){.in = {.bits = 8000, .burst = 10 * FRAME + 1}});
	for (unsigned i = 0; i < 30; i++)
		send_eth(&a, MAC_B, MAC_A, FRAME);
	came = b.count;
	assert_passed(came, 11, since);
	bound(&a, (struct dp_port){.in = {.bits = 8000, .burst = 10 * FRAME}});
	since = now_s();
	for (unsigned i = 0; i < 30; i++)
		send_eth(&a, MAC_B, MAC_A, FRAME);
	assert_passed(b.count - came, 10, since);
}

static void send_large(struct test_port *from, uint16_t gso_size)
{
	static uint8_t buf[14 + 20 + 20 + LARGE];
	struct offload off = {.flags = 1,
		.gso_type = 1,
		.hdr_len = 54,
		.gso_size = gso_size,
		.csum_start = 34,
		.csum_offset = 16};
	const size_t len = 54 + LARGE;

	packet_ip4(buf, &(struct packet){MAC_B, MAC_A, ip4("10.0.0.5"), ip4("10.0.0.6"), 6, 1, 2, 16, 1000});
	buf[16] = (uint8_t)((len - 14) >> 8);
	buf[17] = (uint8_t)(len - 14);
	harness_send(dp, from, buf, len, off, 0);
}

static void test_a_large_frame_counts_as_its_segments(void **state)
{
	uint64_t since = now_s();

	atomic_store(&b.port->offloads, PORT_CSUM | PORT_TSO4);
	bound(&a, (struct dp_port){.in = {.packets = 1, .packet_burst = 121}});
	for (unsigned i = 0; i < 10; i++)
		send_large(&a, 1000); /* 60 packets each: the third finds one left */
	assert_passed(b.count, 3, since);
	b.count = 0;
	since = now_s();
	bound(&b, (struct dp_port){.out = {.bits = 8000, .burst = 2 * (60054 + 59 * 54)}});
	bound(&a, (struct dp_port){.in = {0}});
	for (unsigned i = 0; i < 10; i++)
		send_large(&a, 1000);
	assert_passed(b.count, 2, since);
}

/* The packets that a second bucket refuses do not cost what the first one gave. */
static void test_what_one_bucket_refuses_the_other_gets_back(void **state)
{
	uint64_t since = now_s();

	bound(&a,
		(struct dp_port){.in = {.bits = 8000, .burst = 20 * FRAME, .packets = 1, .packet_burst = 5}});
	for (unsigned i = 0; i < 100; i++)
		send_eth(&a, MAC_B, MAC_A, FRAME);
	assert_passed(b.count, 5, since);
	bound(&a, (struct dp_port){.in = {.bits = 8000, .burst = 20 * FRAME}}); /* the bytes' bucket stays */
	for (unsigned i = 0; i < 100; i++)
		send_eth(&a, MAC_B, MAC_A, FRAME);
	assert_in_range(b.count, 20, 20 + 2 * (now_s() - since + 1));
}

static void test_bounds_are_changed_and_taken_away(void **state)
{
	bound(&a, (struct dp_port){.storm_pps = 1, .in = {.bits = 8000, .burst = 1500}});
	for (unsigned i = 0; i < 20; i++)
		send_eth(&a, MAC_B, MAC_A, FRAME);
	assert_in_range(b.count, 2, 19);
	bound(&a, (struct dp_port){
			  .in = {.bits = UINT64_C(1000000000000)}}); /* no debt of the slow rate is left */
	b.count = 0;
	for (unsigned i = 0; i < 200; i++)
		send_eth(&a, MAC_B, MAC_A, FRAME);
	assert_int_equal(b.count, 200);
	bound(&a, (struct dp_port){0});
	b.count = 0;
	for (unsigned i = 0; i < 200; i++)
		send_eth(&a, MAC_BROADCAST, MAC_A, FRAME);
	assert_int_equal(b.count, 200);
}

enum { TAKERS = 2, TAKES = 3000 };

/* Frames of a port that several workers take from at once: one bucket for all, to the packet. */
static void *taker(void *arg)
{
	uint64_t *passed = arg;
	static _Thread_local struct burst burst;

	for (unsigned i = 0; i < TAKES; i++) {
		burst.in = a.port;
		burst.count = BURST_MAX;
		for (unsigned k = 0; k < BURST_MAX; k++) {
			frame_init(&burst.frame[k]);
			burst.frame[k].len = 60;
		}
		rate_limit_in(&burst);
		for (unsigned k = 0; k < BURST_MAX; k++)
			*passed += burst.frame[k].verdict == V_NONE;
	}
	return NULL;
}

static void test_workers_share_one_bucket(void **state)
{
	uint64_t passed[TAKERS] = {0}, since = now_s();
	pthread_t thread[TAKERS];

	bound(&a, (struct dp_port){.in = {.packets = 1, .packet_burst = 50000}});
	for (unsigned i = 0; i < TAKERS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, taker, &passed[i]), 0);
	for (unsigned i = 0; i < TAKERS; i++)
		pthread_join(thread[i], NULL);
	assert_passed((unsigned)(passed[0] + passed[1]), 50000, since);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, unmake)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_storm_ends_at_its_bound),
		TEST(test_a_storm_leaves_all_else_alone),
		TEST(test_the_default_storm_is_a_second_of_ten_thousand),
		TEST(test_a_guest_sends_up_to_its_packets),
		TEST(test_a_guest_is_sent_up_to_its_packets),
		TEST(test_bytes_to_the_edge_and_one_frame_past_it),
		TEST(test_a_large_frame_counts_as_its_segments),
		TEST(test_what_one_bucket_refuses_the_other_gets_back),
		TEST(test_bounds_are_changed_and_taken_away),
		TEST(test_workers_share_one_bucket),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
