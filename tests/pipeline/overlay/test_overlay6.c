/* VXLAN over IPv6 both ways, its UDP checksum, the uplink as a host of IPv6, and what must not get through. */
#include <arpa/inet.h>
#include <linux/virtio_net.h>
#include <string.h>

#include "dataplane/frame/nd.h"
#include "dataplane/frame/offload.h"
#include "dataplane/overlay/vxlan.h"
#include "tests/pipeline/harness.h"
#include "tests/pipeline/packets.h"
#include "tests/unit/unit.h"

enum { VNI = 77, UDP = 54, VXLAN = 62, NO_SUM = 1, WRONG_SUM = 2, RIGHT_SUM = 0 };

static struct dp *dp;
static struct test_port a, uplink;
static uint16_t net, vtep, second;
static const struct offload PLAIN;
static const mac_t MAC_UP = {2, 0, 0, 0, 0, 1}, MAC_HOP = {2, 0, 0, 0, 0, 2};
static const struct dp_port up6 = {
	.mac = {2, 0, 0, 0, 0, 1}, .address = {{.b = {0xfd, [15] = 1}}, 64}, .vxlan_port = 4789, .mtu = 1500};

static struct ip_addr ip6(const char *text)
{
	struct ip_addr ip;

	assert_int_equal(inet_pton(AF_INET6, text, ip.b), 1);
	return ip;
}

static int setup(void **state)
{
	struct dp_network spec = {.mode = DP_OVERLAY, .vni = VNI, .mtu = 1430};

	dp = harness_open();
	net = harness_network(dp, &spec);
	harness_port(dp, &a, net, NULL);
	harness_port(dp, &uplink, DP_NET_NONE, &up6);
	assert_int_equal(dp_vtep_add(dp, net, ip6("fd00::2"), &vtep, NULL), 0);
	assert_int_equal(dp_vtep_add(dp, net, ip6("fd00::3"), &second, NULL), 0);
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
	atomic_store(&uplink.port->offloads, 0);
	return 0;
}

static struct dp_vtep_info info_of(uint16_t id)
{
	struct dp_vtep_info info;

	assert_int_equal(dp_vtep_info(dp, id, &info), 0);
	return info;
}

/* A message of neighbour discovery to the uplink. */
static size_t write_nd(uint8_t *buf, const uint8_t *dst, uint8_t type, const char *from, const char *target)
{
	struct ip_addr source = ip6(from);

	nd_write_solicit(buf, MAC_HOP, &source, ip6(target));
	memcpy(buf, dst, 6);
	if (type == ND_ADVERT) {
		buf[54] = ND_ADVERT;
		buf[78] = 2; /* the option: of the target */
		packet6_checksum(buf, ND_FRAME_LEN, 54, 58);
	}
	return ND_FRAME_LEN;
}

static void answer_nd(const char *ip)
{
	uint8_t buf[2048];

	harness_send(dp, &uplink, buf, write_nd(buf, MAC_UP, ND_ADVERT, ip, ip), PLAIN, 0);
	harness_tick(dp);
}

/* An inner frame in VXLAN from `remote` to the uplink. */
static size_t wrap(
	uint8_t *buf, const char *remote, unsigned vni, const uint8_t *inner, size_t len, unsigned sum)
{
	struct packet p = {.dst = MAC_UP,
		.src = MAC_HOP,
		.proto = 17,
		.from_port = 50000,
		.to_port = 4789,
		.payload = 8 + len};
	size_t total = packet6_write(buf, &p, ip6(remote).b, ip6("fd00::1").b, 0, NULL, 0);
	uint8_t header[8] = {8, 0, 0, 0, (uint8_t)(vni >> 16), (uint8_t)(vni >> 8), (uint8_t)vni, 0};

	memcpy(buf + VXLAN, header, 8);
	memcpy(buf + VXLAN + 8, inner, len);
	packet6_checksum(buf, total, UDP, 17);
	if (sum == NO_SUM)
		memset(buf + UDP + 6, 0, 2);
	else if (sum == WRONG_SUM)
		buf[UDP + 7] ^= 0x10;
	return total;
}

static void test_next_hop_is_asked_for(void **state)
{
	const uint8_t *asked;

	assert_int_equal(info_of(vtep).state, DP_VTEP_RESOLVING);
	harness_tick(dp);
	assert_int_equal(uplink.count, 2);
	asked = uplink.got[0].data;
	assert_int_equal(asked[54], ND_SOLICIT);
	assert_memory_equal(asked + 22, ip6("fd00::1").b, 16);
	assert_true(packet6_checksum_right(asked, uplink.got[0].len, 54));
	answer_nd("fd00::2");
	answer_nd("fd00::3");
	assert_int_equal(info_of(vtep).state, DP_VTEP_UP);
	assert_memory_equal(info_of(vtep).mac, MAC_HOP, 6);
}

/* An advertisement for another host's MAC, or one cut off, teaches nobody. */
static void test_advertisements_that_are_none(void **state)
{
	uint8_t buf[2048];
	uint64_t refused = harness_drops(dp, "not-for-us");
	size_t len = write_nd(buf, MAC_C, ND_ADVERT, "fd00::2", "fd00::2");

	harness_send(dp, &uplink, buf, len, PLAIN, 0);
	write_nd(buf, MAC_UP, ND_ADVERT, "fd00::2", "fd00::2");
	buf[21] = 64; /* routed */
	harness_send(dp, &uplink, buf, len, PLAIN, 0);
	harness_tick(dp);
	assert_int_equal(harness_drops(dp, "not-for-us"), refused + 2);
	assert_memory_equal(info_of(vtep).mac, MAC_HOP, 6);
	for (size_t n = 14; n < len; n++) {
		write_nd(buf, MAC_UP, ND_ADVERT, "fd00::2", "fd00::2");
		harness_send(dp, &uplink, buf, n, PLAIN, 0);
	}
	harness_tick(dp);
	assert_int_equal(uplink.count + a.count, 0);
}

static void test_flood_goes_to_every_vtep(void **state)
{
	uint8_t buf[2048];
	size_t len = packet_eth(buf, MAC_BROADCAST, MAC_A, 1000);

	harness_send(dp, &a, buf, len, PLAIN, 333);
	assert_int_equal(uplink.count, 2);
	for (unsigned i = 0; i < 2; i++) {
		const uint8_t *out = uplink.got[i].data;

		assert_int_equal(uplink.got[i].len, len + VXLAN_OUTER6);
		assert_memory_equal(out, MAC_HOP, 6);
		assert_memory_equal(out + 6, MAC_UP, 6);
		assert_memory_equal(out + 22, ip6("fd00::1").b, 16);
		assert_int_equal(out[53], i ? 3 : 2); /* last byte of the remote */
		assert_true(packet6_checksum_right(out, uplink.got[i].len, UDP));
		assert_int_equal(out[18] << 8 | out[19], len + 16);
		assert_int_equal(out[UDP + 2] << 8 | out[UDP + 3], 4789);
		assert_int_equal(out[68], VNI);
		assert_memory_equal(out + 70, buf, len);
	}
}

static void test_inner_frame_is_delivered_and_learned(void **state)
{
	uint8_t inner[2048], buf[2048];
	size_t len = packet_eth(inner, MAC_BROADCAST, MAC_B, 201);

	for (unsigned sum = RIGHT_SUM; sum <= NO_SUM; sum++) {
		size_t total = wrap(buf, "fd00::3", VNI, inner, len, sum);

		memset(buf + total, 0xee, 7); /* padding of the underlay */
		harness_send(dp, &uplink, buf, total + 7 * sum, PLAIN, 65);
		assert_int_equal(a.count, sum + 1);
		assert_int_equal(a.got[sum].len, len);
		assert_memory_equal(a.got[sum].data, inner, len);
		assert_int_equal(uplink.count, 0); /* never from vtep to vtep */
	}
	len = packet_eth(inner, MAC_B, MAC_A, 46);
	harness_send(dp, &a, inner, len, PLAIN, 0);
	assert_int_equal(uplink.count, 1);
	assert_int_equal(uplink.got[0].data[53], 3);
}

/* What has no right checksum is not believed, whoever's name is on it; what a device has looked at already, or what has
 * not been on a wire yet, is not summed. */
static void test_the_checksum_is_looked_at(void **state)
{
	static const struct offload partial = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = UDP, .csum_offset = 6};
	uint8_t inner[2048], buf[2048];
	size_t len = packet_eth(inner, MAC_BROADCAST, MAC_B, 200), total;
	uint64_t bad = harness_drops(dp, "malformed");

	total = wrap(buf, "fd00::3", VNI, inner, len, WRONG_SUM);
	harness_send(dp, &uplink, buf, total, PLAIN, 65);
	assert_int_equal(a.count, 0);
	assert_int_equal(harness_drops(dp, "malformed"), bad + 1);
	harness_send(dp, &uplink, buf, total, partial, 65);
	assert_int_equal(a.count, 1);
	wrap(buf, "fd00::3", VNI, inner, len, RIGHT_SUM);
	buf[total - 1] ^= 1; /* the last byte is summed, too */
	harness_send(dp, &uplink, buf, total, PLAIN, 65);
	assert_int_equal(a.count, 1);
	assert_int_equal(harness_drops(dp, "malformed"), bad + 2);
}

/* The lengths of IPv6 and UDP must agree; extension headers and fragments are nobody's. */
static void test_unusual_outer_headers(void **state)
{
	uint8_t inner[2048], buf[2048];
	size_t len = packet_eth(inner, MAC_BROADCAST, MAC_B, 200), total;
	uint64_t refused = harness_drops(dp, "not-for-us"), bad = harness_drops(dp, "malformed");

	total = wrap(buf, "fd00::3", VNI, inner, len, NO_SUM);
	buf[UDP + 5] ^= 1;
	harness_send(dp, &uplink, buf, total, PLAIN, 0);
	assert_int_equal(harness_drops(dp, "malformed"), bad + 1);
	wrap(buf, "fd00::3", VNI, inner, len, NO_SUM);
	buf[18] = 0xff; /* a packet longer than the frame */
	harness_send(dp, &uplink, buf, total, PLAIN, 0);
	wrap(buf, "fd00::3", VNI, inner, len, NO_SUM);
	memmove(buf + 62, buf + 54, total - 54);
	memcpy(buf + 54, (uint8_t[]){17, 0, 0, 1, 0, 0, 0, 0}, 8);
	buf[19] += 8;
	buf[20] = 44; /* a fragment */
	harness_send(dp, &uplink, buf, total + 8, PLAIN, 0);
	assert_int_equal(a.count, 0);
	assert_int_equal(harness_drops(dp, "not-for-us"), refused + 2);

	total = wrap(buf, "fd00::3", VNI, inner, len, RIGHT_SUM);
	memmove(buf + 16, buf + 12, total - 12);
	memcpy(buf + 12, (uint8_t[]){0x81, 0, 0, 7}, 4); /* behind a tag it is as good as any */
	harness_send(dp, &uplink, buf, total + 4, PLAIN, 0);
	assert_int_equal(a.count, 1);
	assert_memory_equal(a.got[0].data, inner, len);
}

static void test_unknown_vni_and_vtep(void **state)
{
	uint8_t inner[2048], buf[2048];
	size_t len = packet_eth(inner, MAC_BROADCAST, MAC_B, 46);

	harness_send(dp, &uplink, buf, wrap(buf, "fd00::3", VNI + 1, inner, len, NO_SUM), PLAIN, 0);
	harness_send(dp, &uplink, buf, wrap(buf, "fd00::9", VNI, inner, len, NO_SUM), PLAIN, 0);
	harness_send(dp, &uplink, buf, wrap(buf, "::ffff:192.0.2.2", VNI, inner, len, NO_SUM), PLAIN, 0);
	assert_int_equal(a.count, 0);
	assert_int_equal(harness_drops(dp, "unknown-vni"), 1);
	assert_int_equal(harness_drops(dp, "unknown-vtep"), 2);
}

static void test_uplink_is_a_host(void **state)
{
	static const mac_t all = {0x33, 0x33, 0xff, 0, 0, 1};
	uint8_t buf[2048];
	struct packet ping = {.dst = MAC_UP, .src = MAC_HOP, .proto = 58, .payload = 300};
	uint64_t refused = harness_drops(dp, "not-for-us");

	harness_send(dp, &uplink, buf,
		packet6_write(buf, &ping, ip6("fd00::2").b, ip6("fd00::1").b, 0, NULL, 0), PLAIN, 0);
	assert_int_equal(uplink.count, 1);
	assert_true(packet6_checksum_right(uplink.got[0].data, uplink.got[0].len, 54));
	assert_int_equal(uplink.got[0].data[54], 129);
	assert_memory_equal(uplink.got[0].data, MAC_HOP, 6);
	harness_send(dp, &uplink, buf, write_nd(buf, all, ND_SOLICIT, "fd00::2", "fd00::1"), PLAIN, 0);
	assert_int_equal(uplink.count, 2);
	assert_int_equal(uplink.got[1].data[54], ND_ADVERT);
	assert_memory_equal(uplink.got[1].data + 80, MAC_UP, 6);
	assert_true(packet6_checksum_right(uplink.got[1].data, uplink.got[1].len, 54));
	harness_send(dp, &uplink, buf, write_nd(buf, all, ND_SOLICIT, "fd00::2", "fd00::7"), PLAIN, 0);
	harness_send(dp, &uplink, buf,
		packet6_write(buf, &ping, ip6("fd00::2").b, ip6("fd00::7").b, 0, NULL, 0), PLAIN, 0);
	harness_send(dp, &uplink, buf,
		packet_arp(buf, MAC_BROADCAST, MAC_HOP, 1, ip4("192.0.2.2"), ip4("0.0.0.0")), PLAIN, 0);
	assert_int_equal(uplink.count, 2);
	assert_int_equal(harness_drops(dp, "not-for-us"), refused + 3);
}

static void test_cut_off(void **state)
{
	uint8_t inner[2048], buf[2048];
	size_t len = packet_eth(inner, MAC_BROADCAST, MAC_B, 46);

	for (size_t n = 14; n < 84; n++) { /* every way to end inside the headers */
		size_t total = wrap(buf, "fd00::3", VNI, inner, len, NO_SUM);

		harness_send(dp, &uplink, buf, n < total ? n : total, PLAIN, 0);
	}
	for (size_t n = 0; n < 14; n++) /* an inner frame without a whole Ethernet header */
		harness_send(dp, &uplink, buf, wrap(buf, "fd00::3", VNI, inner, n, NO_SUM), PLAIN, 0);
	assert_int_equal(a.count, 0);
}

static void test_underlay_mtu(void **state)
{
	uint8_t buf[2048];
	uint64_t mtu = harness_drops(dp, "mtu");
	struct packet p = {.dst = MAC_B,
		.src = MAC_A,
		.from = ip4("10.0.0.5"),
		.to = ip4("10.0.0.6"),
		.proto = 17,
		.payload = 1431 - 28};
	size_t len;

	harness_send(dp, &a, buf, packet_eth(buf, MAC_B, MAC_A, 1430), PLAIN, 0);
	assert_int_equal(uplink.count, 1);
	assert_int_equal(uplink.got[0].len, 1514);
	len = packet_ip4(buf, &p);
	buf[14 + 6] = 0x40; /* do not fragment */
	harness_send(dp, &a, buf, len, PLAIN, 0);
	assert_int_equal(uplink.count, 1);
	assert_int_equal(harness_drops(dp, "mtu"), mtu + 1);
	assert_int_equal(a.count, 1); /* the answer has what the tunnel carries */
	assert_int_equal(a.got[0].data[40] << 8 | a.got[0].data[41], 1430);
}

/* A large frame of 20 segments from a into the tunnel. */
static void send_large(void)
{
	static uint8_t buf[32768];
	struct packet p = {.dst = MAC_B,
		.src = MAC_A,
		.from = ip4("10.0.0.5"),
		.to = ip4("10.0.0.6"),
		.proto = 6,
		.tcp_flags = 16,
		.payload = 20 * 1000};
	struct offload large = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = 54,
		.gso_size = 1000,
		.csum_start = 34,
		.csum_offset = 16};

	harness_send(dp, &a, buf, packet_ip4(buf, &p), large, 0);
}

/* The checksum is the port's to make where it does; else the switch makes it, of segments too. */
static void test_who_makes_the_checksum(void **state)
{
	uint8_t buf[2048];

	send_large();
	assert_int_equal(uplink.count, 20);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(uplink.got[i].off.flags, 0);
		assert_true(packet6_checksum_right(uplink.got[i].data, uplink.got[i].len, UDP));
	}
	uplink.count = 0;
	atomic_store(&uplink.port->offloads, PORT_CSUM);
	send_large();
	harness_send(dp, &a, buf, packet_eth(buf, MAC_B, MAC_A, 100), PLAIN, 0);
	assert_int_equal(uplink.count, 21);
	for (unsigned i = 0; i < 21; i++) {
		assert_int_equal(uplink.got[i].off.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
		assert_int_equal(uplink.got[i].off.csum_start, UDP);
	}
}

/* Also where the port takes large frames in tunnels over IPv4. */
static void test_segments_are_coalesced(void **state)
{
	atomic_store(&uplink.port->offloads, PORT_USO | PORT_TUNNEL);
	send_large();
	assert_int_equal(uplink.count, 1);
	assert_int_equal(uplink.got[0].len, VXLAN + 20 * (8 + 54 + 1000));
	assert_int_equal(uplink.got[0].off.gso_type, VIRTIO_NET_HDR_GSO_UDP_L4);
	assert_int_equal(uplink.got[0].off.gso_size, 8 + 54 + 1000);
	assert_int_equal(uplink.got[0].off.hdr_len, VXLAN);
	assert_int_equal(uplink.got[0].data[18] << 8 | uplink.got[0].data[19], 8 + 20 * (8 + 54 + 1000));
}

/* Two remotes of which control has the same bits, as many as there may be of vteps, and one more. */
static void test_as_many_remotes_as_there_may_be(void **state)
{
	uint8_t inner[2048], buf[2048];
	size_t len = packet_eth(inner, MAC_BROADCAST, MAC_B, 46);
	static uint16_t id[MAX_VTEPS];
	unsigned n = 0;
	struct ip_addr remote = ip6("fd00::1:0:0");
	struct dp_err err;
	char text[64];

	for (;; n++) {
		remote.b[14] = (uint8_t)(n >> 8);
		remote.b[15] = (uint8_t)n;
		assert_true(n < MAX_VTEPS);
		if (dp_vtep_add(dp, net, remote, &id[n], &err))
			break;
	}
	assert_int_equal(n, MAX_VTEPS - 2);
	for (unsigned i = 0; i < n; i += 97) {
		remote.b[14] = (uint8_t)(i >> 8);
		remote.b[15] = (uint8_t)i;
		inet_ntop(AF_INET6, remote.b, text, sizeof(text));
		a.count = 0;
		harness_send(dp, &uplink, buf, wrap(buf, text, VNI, inner, len, NO_SUM), PLAIN, 0);
		assert_int_equal(a.count, 1);
	}
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(dp_vtep_del(dp, id[i]), 0);
	a.count = 0;
	harness_send(dp, &uplink, buf, wrap(buf, text, VNI, inner, len, NO_SUM), PLAIN, 0);
	assert_int_equal(a.count, 0);
}

/* An uplink that is told to leaves the checksum out; it is chosen again for each vtep of its family. */
static void test_without_a_checksum(void **state)
{
	struct dp_port spec = up6;
	uint8_t buf[2048];

	assert_int_equal(dp_port_del(dp, uplink.port->id), 0);
	assert_int_equal(info_of(vtep).state, DP_VTEP_NO_UPLINK);
	spec.address = (struct ip_prefix){ip_from4(ip4("192.0.2.1")), IP_PREFIX4 + 24};
	harness_port(dp, &uplink, DP_NET_NONE, &spec);
	assert_int_equal(info_of(vtep).state, DP_VTEP_NO_UPLINK);
	assert_int_equal(dp_port_del(dp, uplink.port->id), 0);
	spec = up6;
	spec.zero_checksum = true;
	harness_port(dp, &uplink, DP_NET_NONE, &spec);
	answer_nd("fd00::2");
	answer_nd("fd00::3");
	uplink.count = 0;
	harness_send(dp, &a, buf, packet_eth(buf, MAC_BROADCAST, MAC_A, 100), PLAIN, 0);
	assert_int_equal(uplink.count, 2);
	assert_int_equal(uplink.got[0].data[UDP + 6] | uplink.got[0].data[UDP + 7], 0);
	assert_int_equal(uplink.got[0].off.flags, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_next_hop_is_asked_for, clear),
		cmocka_unit_test_setup(test_advertisements_that_are_none, clear),
		cmocka_unit_test_setup(test_flood_goes_to_every_vtep, clear),
		cmocka_unit_test_setup(test_inner_frame_is_delivered_and_learned, clear),
		cmocka_unit_test_setup(test_the_checksum_is_looked_at, clear),
		cmocka_unit_test_setup(test_unusual_outer_headers, clear),
		cmocka_unit_test_setup(test_unknown_vni_and_vtep, clear),
		cmocka_unit_test_setup(test_uplink_is_a_host, clear),
		cmocka_unit_test_setup(test_cut_off, clear),
		cmocka_unit_test_setup(test_underlay_mtu, clear),
		cmocka_unit_test_setup(test_who_makes_the_checksum, clear),
		cmocka_unit_test_setup(test_segments_are_coalesced, clear),
		cmocka_unit_test_setup(test_as_many_remotes_as_there_may_be, clear),
		cmocka_unit_test_setup(test_without_a_checksum, clear),
	};

	return cmocka_run_group_tests_name("overlay6", tests, setup, teardown);
}
