/* What a sender is told of a packet that is longer than its receiver takes, and who is told nothing. */
#include <linux/virtio_net.h>
#include <string.h>

#include "tests/pipeline/harness.h"
#include "tests/pipeline/packets.h"
#include "tests/unit/unit.h"

enum { SMALL = 1300, ETH = 14, TAG = 4 };

static struct dp *dp;
static struct test_port a, b, gateway;
static uint16_t net;
static uint8_t buf[4096];
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

static void add(struct test_port *tp, uint16_t mtu, bool is_gateway)
{
	struct dp_port spec = {
		.mtu = mtu, .gateway = is_gateway, .trusted = true}; /* headers without end pass */

	harness_port(dp, tp, net, &spec);
}

/* Everybody's address is known, and only b takes no more than SMALL. */
static int make(void **state)
{
	struct dp_network spec = {.mode = DP_BRIDGE, .age_s = 300, .gateway = ip4("10.0.0.1"), .mtu = 9000};

	net = harness_network(dp, &spec);
	add(&a, 9000, false);
	add(&b, SMALL, false);
	add(&gateway, 9000, true);
	harness_send(dp, &b, buf, packet_eth(buf, MAC_BROADCAST, MAC_B, 46), PLAIN, 0);
	harness_send(dp, &a, buf, packet_eth(buf, MAC_BROADCAST, MAC_A, 46), PLAIN, 0);
	a.count = b.count = gateway.count = 0;
	return 0;
}

static int unmake(void **state)
{
	assert_int_equal(harness_balance(dp, net), 0);
	dp_port_del(dp, a.port->id);
	dp_port_del(dp, b.port->id);
	dp_port_del(dp, gateway.port->id);
	assert_int_equal(dp_network_del(dp, net), 0);
	return 0;
}

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static struct packet datagram(size_t payload)
{
	return (struct packet){.dst = MAC_B,
		.src = MAC_A,
		.from = ip4("10.0.0.5"),
		.to = ip4("10.0.0.6"),
		.proto = 17,
		.from_port = 1000,
		.to_port = 2000,
		.payload = payload};
}

/* Changes the flags and fragment offset of an IPv4 packet in `buf` and keeps its checksum right. */
static void set_fragment(uint8_t *ip, uint16_t value)
{
	unsigned sum = (~get16(ip + 10) & 0xffff) + (~get16(ip + 6) & 0xffff) + value;

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	ip[6] = (uint8_t)(value >> 8);
	ip[7] = (uint8_t)value;
	ip[10] = (uint8_t)(~sum >> 8);
	ip[11] = (uint8_t)~sum;
}

static size_t unfragmentable(const struct packet *p)
{
	size_t len = packet_ip4(buf, p);

	set_fragment(buf + ETH, 0x4000);
	return len;
}

/* Sends what is in `buf` and expects that it is dropped with no word to its sender. */
static void send_in_vain(struct test_port *from, size_t len)
{
	uint64_t drops = harness_drops(dp, "mtu");
	unsigned before = from->count;

	harness_send(dp, from, buf, len, PLAIN, 500);
	assert_int_equal(harness_drops(dp, "mtu"), drops + 1);
	assert_int_equal(from->count, before);
	assert_int_equal(b.count, 0);
}

static void test_ip4_sender_gets_fragmentation_needed(void **state)
{
	struct packet p = datagram(SMALL + 1 - 28);
	size_t len = unfragmentable(&p);
	const uint8_t *got = a.got[0].data, *icmp = got + ETH + 20;

	harness_send(dp, &a, buf, len, PLAIN, 100);
	assert_int_equal(b.count, 0);
	assert_int_equal(harness_drops(dp, "mtu"), 1);
	assert_int_equal(a.count, 1);
	assert_int_equal(a.got[0].len, ETH + 576);
	assert_memory_equal(got, MAC_A, 6);
	assert_memory_equal(got + 6, dp_router_mac, 6);
	assert_int_equal(ip4("10.0.0.1"), *(const uint32_t *)(got + ETH + 12));
	assert_int_equal(ip4("10.0.0.5"), *(const uint32_t *)(got + ETH + 16));
	assert_true(packet_checksums_right(got, a.got[0].len));
	assert_int_equal(icmp[0], 3);
	assert_int_equal(icmp[1], 4);
	assert_int_equal(get16(icmp + 6), SMALL);
	assert_memory_equal(icmp + 8, buf + ETH, 576 - 28);
}

static void test_packets_that_fit_pass(void **state)
{
	struct packet p = datagram(SMALL - 28);

	harness_send(dp, &a, buf, unfragmentable(&p), PLAIN, 0);
	assert_int_equal(b.count, 1);
	assert_int_equal(a.count, 0);
}

static void test_packets_that_get_no_answer(void **state)
{
	struct packet p = datagram(1400);

	send_in_vain(&a, packet_ip4(buf, &p)); /* may be fragmented, though not by a switch */
	packet_ip4(buf, &p);
	set_fragment(buf + ETH, 0x4000 | 185); /* not the first fragment */
	send_in_vain(&a, ETH + 1428);
	p.from = ip4("224.0.0.5");
	send_in_vain(&a, unfragmentable(&p));
	p.from = ip4("0.0.0.0");
	send_in_vain(&a, unfragmentable(&p));
	p = datagram(1400);
	p.to = ip4("239.1.1.1");
	send_in_vain(&a, unfragmentable(&p));
	p = datagram(1400);
	p.proto = 1;
	unfragmentable(&p);
	buf[ETH + 20] = 11; /* time exceeded */
	send_in_vain(&a, ETH + 1428);
	send_in_vain(&a, packet_eth(buf, MAC_B, MAC_A, 1400)); /* not IP */
	p = datagram(100);
	unfragmentable(&p); /* a short packet in a long frame */
	send_in_vain(&a, 1400);
}

/* A receiver that floods reach besides the real one would teach senders its own limit. */
static void test_flooded_frames_are_not_answered(void **state)
{
	struct packet p = datagram(1400);

	p.dst = MAC_C;
	send_in_vain(&a, unfragmentable(&p));
	assert_int_equal(gateway.count, 1);
	p.dst = MAC_BROADCAST;
	send_in_vain(&a, unfragmentable(&p));
	gateway.count = 0;
}

/* Its kernel has the gateway's address: from that it would not believe an answer. */
static void test_gateway_gets_the_answer_from_the_destination(void **state)
{
	struct packet p = datagram(1400);

	p.src = dp_router_mac;
	p.from = ip4("192.0.2.9");
	harness_send(dp, &gateway, buf, unfragmentable(&p), PLAIN, 0);
	assert_int_equal(gateway.count, 1);
	assert_memory_equal(gateway.got[0].data, dp_router_mac, 6);
	assert_memory_equal(gateway.got[0].data + 6, MAC_B, 6);
	assert_int_equal(ip4("10.0.0.6"), *(const uint32_t *)(gateway.got[0].data + ETH + 12));
	assert_true(packet_checksums_right(gateway.got[0].data, gateway.got[0].len));
}

static void test_tag_is_kept(void **state)
{
	struct packet p = datagram(1400);
	size_t len = unfragmentable(&p);
	const uint8_t tag[TAG] = {0x81, 0, 0, 42};
	const uint8_t *got = a.got[0].data;

	memmove(buf + 12 + TAG, buf + 12, len - 12);
	memcpy(buf + 12, tag, TAG);
	harness_send(dp, &a, buf, len + TAG, PLAIN, 0);
	assert_int_equal(a.count, 1);
	assert_memory_equal(got + 12, tag, TAG);
	assert_int_equal(get16(got + 16), 0x0800);
	assert_int_equal(get16(got + ETH + TAG + 20 + 6), SMALL);
}

/* A large frame is judged, and answered, by its segments. */
static void test_large_frame(void **state)
{
	struct packet p = {.dst = MAC_B,
		.src = MAC_A,
		.from = ip4("10.0.0.5"),
		.to = ip4("10.0.0.6"),
		.proto = 6,
		.tcp_flags = 16,
		.payload = 3900};
	size_t len = unfragmentable(&p);
	struct offload large = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = ETH + 40,
		.gso_size = SMALL - 40,
		.csum_start = ETH + 20,
		.csum_offset = 16};

	harness_send(dp, &a, buf, len, large, 0);
	assert_int_equal(b.count, 4);
	assert_int_equal(a.count, 0);
	large.gso_size++;
	harness_send(dp, &a, buf, len, large, 0);
	assert_int_equal(b.count, 4);
	assert_int_equal(a.count, 1);
	assert_int_equal(a.got[0].off.gso_type, VIRTIO_NET_HDR_GSO_NONE);
	assert_int_equal(a.got[0].off.flags, 0);
	assert_true(packet_checksums_right(a.got[0].data, a.got[0].len));
	assert_int_equal(get16(a.got[0].data + ETH + 26), SMALL);
}

/* An IPv6 packet whose payload begins with next header `proto`; every byte behind the header is `fill`. */
static size_t packet_ip6(uint8_t proto, size_t payload, uint8_t fill)
{
	uint8_t *ip = buf + ETH;

	packet_eth(buf, MAC_B, MAC_A, 0);
	buf[12] = 0x86;
	buf[13] = 0xdd;
	memset(ip, 0, 40);
	ip[0] = 0x60;
	ip[4] = (uint8_t)(payload >> 8);
	ip[5] = (uint8_t)payload;
	ip[6] = proto;
	ip[7] = 64;
	ip[8] = ip[24] = 0xfd;
	ip[23] = 5;
	ip[39] = 6;
	memset(ip + 40, fill, payload);
	return ETH + 40 + payload;
}

static unsigned sum6(const uint8_t *ip, size_t len)
{
	unsigned sum = 58 + (unsigned)len - 40;

	for (size_t i = 8; i < len; i += 2)
		sum += get16(ip + i);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

static void test_ip6_sender_gets_packet_too_big(void **state)
{
	size_t len = packet_ip6(17, 1400, 0x5a);
	const uint8_t *ip = a.got[0].data + ETH;

	harness_send(dp, &a, buf, len, PLAIN, 333);
	assert_int_equal(b.count, 0);
	assert_int_equal(a.count, 1);
	assert_int_equal(a.got[0].len, ETH + 1280);
	assert_memory_equal(a.got[0].data, MAC_A, 6);
	assert_memory_equal(a.got[0].data + 6, dp_router_mac, 6);
	assert_memory_equal(ip + 8, buf + ETH + 24, 16);
	assert_memory_equal(ip + 24, buf + ETH + 8, 16);
	assert_int_equal(ip[6], 58);
	assert_int_equal(ip[40], 2);
	assert_int_equal(get16(ip + 46), SMALL);
	assert_memory_equal(ip + 48, buf + ETH, 1280 - 48);
	assert_int_equal(sum6(ip, 1280), 0xffff);
}

static void test_ip6_packets_that_get_no_answer(void **state)
{
	send_in_vain(&a, packet_ip6(58, 1400, 2)); /* is such an answer */
	send_in_vain(&a, packet_ip6(58, 1400, 137));
	packet_ip6(44, 1400, 17); /* a fragment at offset 17 * 257 / 8 */
	send_in_vain(&a, ETH + 1440);
	send_in_vain(&a, packet_ip6(60, 1400, 60)); /* extension headers without end */
	packet_ip6(17, 1400, 0);
	buf[ETH + 24] = 0xff;
	send_in_vain(&a, ETH + 1440);
	packet_ip6(17, 1400, 0);
	memset(buf + ETH + 8, 0, 16);
	send_in_vain(&a, ETH + 1440);
	harness_send(dp, &a, buf, packet_ip6(58, 1400, 128), PLAIN, 0); /* an echo request */
	assert_int_equal(a.count, 1);
}

/* Each to a port of its own: the answers' port is one more than the burst has frames. */
static void test_a_whole_burst_is_answered(void **state)
{
	static struct test_port to[BURST_MAX];
	static uint8_t data[BURST_MAX][1500];
	struct dp_port small = {.mtu = SMALL};
	size_t len = 0;

	for (unsigned i = 0; i < BURST_MAX; i++) {
		mac_t mac = {2, 0, 0, 0, 9, (uint8_t)i};
		struct packet p = datagram(1400);

		harness_port(dp, &to[i], net, &small);
		harness_send(dp, &to[i], buf, packet_eth(buf, MAC_BROADCAST, mac, 46), PLAIN, 0);
		p.dst = mac;
		len = unfragmentable(&p);
		memcpy(data[i], buf, len);
	}
	a.count = b.count = gateway.count = 0;
	for (unsigned i = 0; i < BURST_MAX; i++)
		to[i].count = 0;
	harness_begin(dp, &a);
	for (unsigned i = 0; i < BURST_MAX; i++)
		assert_true(harness_add(dp, data[i], len, PLAIN, 500));
	harness_run(dp);
	assert_int_equal(a.count, BURST_MAX);
	for (unsigned i = 0; i < BURST_MAX; i++) {
		assert_memory_equal(a.got[i].data + ETH + 28, data[i] + ETH, 500);
		assert_int_equal(to[i].count, 0);
		dp_port_del(dp, to[i].port->id);
	}
}

static void test_answers_are_bounded(void **state)
{
	struct packet p = datagram(1400);
	size_t len = unfragmentable(&p);
	unsigned answers = 0;

	for (unsigned i = 0; i < 1000; i++) {
		harness_send(dp, &a, buf, len, PLAIN, 0);
		answers += a.count;
		a.count = 0;
	}
	assert_in_range(answers, 50, 500);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ip4_sender_gets_fragmentation_needed, make, unmake),
		cmocka_unit_test_setup_teardown(test_packets_that_fit_pass, make, unmake),
		cmocka_unit_test_setup_teardown(test_packets_that_get_no_answer, make, unmake),
		cmocka_unit_test_setup_teardown(test_flooded_frames_are_not_answered, make, unmake),
		cmocka_unit_test_setup_teardown(
			test_gateway_gets_the_answer_from_the_destination, make, unmake),
		cmocka_unit_test_setup_teardown(test_tag_is_kept, make, unmake),
		cmocka_unit_test_setup_teardown(test_large_frame, make, unmake),
		cmocka_unit_test_setup_teardown(test_ip6_sender_gets_packet_too_big, make, unmake),
		cmocka_unit_test_setup_teardown(test_ip6_packets_that_get_no_answer, make, unmake),
		cmocka_unit_test_setup_teardown(test_a_whole_burst_is_answered, make, unmake),
		cmocka_unit_test_setup_teardown(test_answers_are_bounded, make, unmake),
	};

	return cmocka_run_group_tests_name("too_big", tests, setup, teardown);
}
