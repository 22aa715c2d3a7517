/* Segments of one connection reach a port that takes large frames as one, and are counted as what they were. */
#include <linux/virtio_net.h>
#include <string.h>

#include "dataplane/frame/csum.h"
#include "tests/pipeline/harness.h"
#include "tests/pipeline/packets.h"
#include "tests/unit/unit.h"

enum { N = 8, PAYLOAD = 1000, HEADERS = 54, LARGE = PORT_CSUM | PORT_TSO4 | PORT_TSO6 | PORT_MERGE };

static struct dp *dp;
static struct test_port a, b;
static uint16_t net;
static uint8_t data[N][2048];
static const struct offload PARTIAL = {
	.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};

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
	struct dp_port spec = {.mtu = 1500, .trusted = true};
	uint8_t *hello = data[0];

	net = harness_network(dp, NULL);
	harness_port(dp, &a, net, &spec);
	harness_port(dp, &b, net, &spec);
	harness_send(dp, &b, hello, packet_eth(hello, MAC_BROADCAST, MAC_B, 46), (struct offload){0}, 0);
	a.count = b.count = 0;
	return 0;
}

static int unmake(void **state)
{
	assert_int_equal(harness_balance(dp, net), 0);
	dp_port_del(dp, a.port->id);
	dp_port_del(dp, b.port->id);
	assert_int_equal(dp_network_del(dp, net), 0);
	return 0;
}

/* Segment `i`, with an id and a sequence number that follow. Returns its length. */
static size_t segment(unsigned i)
{
	struct packet p = {.dst = MAC_B,
		.src = MAC_A,
		.from = ip4("10.0.0.5"),
		.to = ip4("10.0.0.6"),
		.proto = 6,
		.from_port = 1000,
		.to_port = 2000,
		.tcp_flags = 0x10,
		.payload = PAYLOAD};
	size_t len = packet_ip4(data[i], &p);
	uint8_t *ip = data[i] + 14;

	ip[5] = (uint8_t)i;
	ip[26] = (uint8_t)(i * PAYLOAD >> 8);
	ip[27] = (uint8_t)(i * PAYLOAD);
	csum_store(ip + 10, 0);
	csum_store(ip + 10, (uint16_t)~csum_fold(csum_add(0, ip, 20)));
	return len;
}

/* N segments in one burst. */
static void send_all(void)
{
	harness_begin(dp, &a);
	for (unsigned i = 0; i < N; i++)
		assert_true(harness_add(dp, data[i], segment(i), PARTIAL, 0));
	harness_run(dp);
}

static struct dp_port_info shown(const struct test_port *tp)
{
	struct dp_port_info info;

	assert_int_equal(dp_port_info(dp, tp->port->id, &info), 0);
	return info;
}

static void test_one_large_frame(void **state)
{
	struct dp_port_info info;

	atomic_store(&b.port->offloads, LARGE);
	send_all();
	info = shown(&b);
	assert_int_equal(b.count, 1);
	assert_int_equal(b.got[0].len, HEADERS + N * PAYLOAD);
	assert_int_equal(b.got[0].off.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(b.got[0].off.gso_size, PAYLOAD);
	assert_int_equal(info.tx_packets, N);
	assert_int_equal(info.tx_bytes, N * (HEADERS + PAYLOAD));
}

/* A guest that takes large frames but no merged buffers gets what it always got. */
static void test_not_for_others(void **state)
{
	static const uint32_t offloads[] = {
		0, PORT_CSUM, PORT_CSUM | PORT_TSO4, PORT_CSUM | PORT_TSO6 | PORT_MERGE};

	for (unsigned k = 0; k < sizeof(offloads) / sizeof(offloads[0]); k++) {
		atomic_store(&b.port->offloads, offloads[k]);
		b.count = 0;
		send_all();
		assert_int_equal(b.count, N);
		for (unsigned i = 0; i < N; i++)
			assert_int_equal(b.got[i].len, HEADERS + PAYLOAD);
	}
}

/* Where the receiver is full, what the frame stands for is dropped. */
static void test_drops_are_counted_as_segments(void **state)
{
	uint64_t before = harness_drops(dp, "ring-full");

	atomic_store(&b.port->offloads, LARGE);
	b.room = 0;
	send_all();
	assert_int_equal(b.count, 0);
	assert_int_equal(shown(&b).tx_packets, 0);
	assert_int_equal(harness_drops(dp, "ring-full") - before, N);
}

/* Flooded frames are other receivers' too: they stay what they are. */
static void test_flooded_frames_stay_alone(void **state)
{
	atomic_store(&b.port->offloads, LARGE);
	harness_begin(dp, &a);
	for (unsigned i = 0; i < N; i++) {
		size_t len = segment(i);

		memcpy(data[i], MAC_C, 6);
		assert_true(harness_add(dp, data[i], len, PARTIAL, 0));
	}
	harness_run(dp);
	assert_int_equal(b.count, N);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_large_frame, make, unmake),
		cmocka_unit_test_setup_teardown(test_not_for_others, make, unmake),
		cmocka_unit_test_setup_teardown(test_drops_are_counted_as_segments, make, unmake),
		cmocka_unit_test_setup_teardown(test_flooded_frames_stay_alone, make, unmake),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
