/* VXLAN both ways, the uplink as a host, and what must not get through. */
#include <string.h>

#include "dataplane/frame/csum.h"
#include "dataplane/frame/offload.h"
#include "dataplane/l2/network.h"
#include "dataplane/overlay/vxlan.h"
#include "tests/pipeline/harness.h"
#include "tests/pipeline/packets.h"
#include "tests/unit/unit.h"

static struct dp *dp;
static struct test_port a, uplink;
static uint16_t net, vtep, second;
static const struct offload PLAIN;
static const mac_t MAC_UP = {2, 0, 0, 0, 0, 1}, MAC_HOP = {2, 0, 0, 0, 0, 2};

enum { VNI = 77 };

static int setup(void **state)
{
	struct dp_port up = {.mac = {2, 0, 0, 0, 0, 1},
		.address = {ip_from4(ip4("192.0.2.1")), IP_PREFIX4 + 24},
		.vxlan_port = 4789,
		.mtu = 1500};
	struct dp_network spec = {.mode = DP_OVERLAY, .vni = VNI, .mtu = 1450, .gateway = ip4("10.0.0.1")};

	dp = harness_open();
	net = harness_network(dp, &spec);
	harness_port(dp, &uplink, DP_NET_NONE, &up);
	harness_port(dp, &a, net, NULL);
	assert_int_equal(dp_vtep_add(dp, net, ip_from4(ip4("192.0.2.2")), &vtep, NULL), 0);
	assert_int_equal(dp_vtep_add(dp, net, ip_from4(ip4("192.0.2.3")), &second, NULL), 0);
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

static void answer_arp(const char *ip)
{
	uint8_t buf[2048];

	harness_send(
		dp, &uplink, buf, packet_arp(buf, MAC_UP, MAC_HOP, 2, ip4(ip), ip4("192.0.2.1")), PLAIN, 0);
	harness_tick(dp);
}

/* An inner frame in VXLAN from `remote` to the uplink. */
static size_t wrap(uint8_t *buf, const char *remote, unsigned vni, const uint8_t *inner, size_t len)
{
	struct packet p = {.dst = MAC_UP,
		.src = MAC_HOP,
		.from = ip4(remote),
		.to = ip4("192.0.2.1"),
		.proto = 17,
		.from_port = 50000,
		.to_port = 4789,
		.payload = 8 + len};
	size_t total = packet_ip4(buf, &p);
	uint8_t header[8] = {8, 0, 0, 0, (uint8_t)(vni >> 16), (uint8_t)(vni >> 8), (uint8_t)vni, 0};

	memcpy(buf + 42, header, 8);
	memcpy(buf + 50, inner, len);
	return total;
}

static void test_next_hop_is_asked_for(void **state)
{
	struct dp_vtep_info info;

	dp_vtep_info(dp, vtep, &info);
	assert_int_equal(info.state, DP_VTEP_RESOLVING);
	harness_tick(dp);
	assert_int_equal(uplink.count, 2);
	assert_int_equal(uplink.got[0].data[21], 1);
	answer_arp("192.0.2.2");
	answer_arp("192.0.2.3");
	dp_vtep_info(dp, vtep, &info);
	assert_int_equal(info.state, DP_VTEP_UP);
	assert_memory_equal(info.mac, MAC_HOP, 6);
}

static void test_flood_goes_to_every_vtep(void **state)
{
	uint8_t buf[2048];
	size_t len = packet_eth(buf, MAC_BROADCAST, MAC_A, 1000);

	harness_send(dp, &a, buf, len, PLAIN, 333);
	assert_int_equal(uplink.count, 2);
	for (unsigned i = 0; i < 2; i++) {
		const uint8_t *out = uplink.got[i].data;

		assert_int_equal(uplink.got[i].len, len + VXLAN_OUTER);
		assert_memory_equal(out, MAC_HOP, 6);
		assert_memory_equal(out + 6, MAC_UP, 6);
		assert_int_equal(out[33], i ? 3 : 2); /* last byte of the remote */
		assert_true(packet_checksums_right(out, uplink.got[i].len));
		assert_int_equal(out[36] << 8 | out[37], 4789);
		assert_int_equal(out[48], VNI);
		assert_memory_equal(out + 50, buf, len);
	}
}

static void test_inner_frame_is_delivered_and_learned(void **state)
{
	uint8_t inner[2048], buf[2048];
	size_t len = packet_eth(inner, MAC_BROADCAST, MAC_B, 200);

	harness_send(dp, &uplink, buf, wrap(buf, "192.0.2.3", VNI, inner, len), PLAIN, 64);
	assert_int_equal(a.count, 1);
	assert_int_equal(a.got[0].len, len);
	assert_memory_equal(a.got[0].data, inner, len);
	assert_int_equal(uplink.count, 0); /* never from vtep to vtep */
	len = packet_eth(inner, MAC_B, MAC_A, 46);
	harness_send(dp, &a, inner, len, PLAIN, 0);
	assert_int_equal(uplink.count, 1);
	assert_int_equal(uplink.got[0].data[33], 3);
}

/* Behind a VLAN tag or IP options a tunnel's packet is as good as any; a fragment of one is nobody's. */
static void test_unusual_outer_headers(void **state)
{
	uint8_t inner[2048], buf[2048];
	size_t len = packet_eth(inner, MAC_BROADCAST, MAC_B, 200),
	       total = wrap(buf, "192.0.2.3", VNI, inner, len);
	uint64_t refused = harness_drops(dp, "not-for-us");

	memmove(buf + 16, buf + 12, total - 12);
	memcpy(buf + 12, (uint8_t[]){0x81, 0, 0, 7}, 4);
	harness_send(dp, &uplink, buf, total + 4, PLAIN, 0);
	assert_int_equal(a.count, 1);
	assert_memory_equal(a.got[0].data, inner, len);

	total = wrap(buf, "192.0.2.3", VNI, inner, len);
	memmove(buf + 38, buf + 34, total - 34);
	memset(buf + 34, 1, 4); /* no-operation */
	buf[14] = 0x46;
	buf[17] += 4; /* of 270 bytes */
	harness_send(dp, &uplink, buf, total + 4, PLAIN, 0);
	assert_int_equal(a.count, 2);
	assert_int_equal(a.got[1].len, len);
	assert_memory_equal(a.got[1].data, inner, len);

	total = wrap(buf, "192.0.2.3", VNI, inner, len);
	buf[20] = 0x20; /* more fragments */
	harness_send(dp, &uplink, buf, total, PLAIN, 0);
	assert_int_equal(a.count, 2);
	assert_int_equal(harness_drops(dp, "not-for-us"), refused + 1);
}

static void test_unknown_vni_and_vtep(void **state)
{
	uint8_t inner[2048], buf[2048];
	size_t len = packet_eth(inner, MAC_BROADCAST, MAC_B, 46);

	harness_send(dp, &uplink, buf, wrap(buf, "192.0.2.3", VNI + 1, inner, len), PLAIN, 0);
	harness_send(dp, &uplink, buf, wrap(buf, "192.0.2.9", VNI, inner, len), PLAIN, 0);
	assert_int_equal(a.count, 0);
	assert_int_equal(harness_drops(dp, "unknown-vni"), 1);
	assert_int_equal(harness_drops(dp, "unknown-vtep"), 1);
	/* nor is what a free place of the table looks like, where network and uplink are the first ones */
	assert_int_equal(net + uplink.port->id, 0);
	harness_send(dp, &uplink, buf, wrap(buf, "0.0.0.0", 0, inner, len), PLAIN, 0);
	assert_int_equal(a.count, 0);
	assert_int_equal(harness_drops(dp, "unknown-vni"), 2);
}

/* As many networks as there may be, and one more; each second one goes. */
static void test_vnis_of_all_networks(void **state)
{
	uint16_t id[MAX_NETS];
	unsigned n = 0;
	struct dp_err err;

	for (;; n++) {
		struct dp_network spec = {.mode = DP_OVERLAY, .vni = 0xffffff - n * 3, .mtu = 1500};

		assert_true(n < MAX_NETS);
		if (dp_network_add(dp, &spec, &id[n], &err))
			break;
	}
	for (unsigned i = 1; i < n; i += 2)
		assert_int_equal(dp_network_del(dp, id[i]), 0);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(network_has_vni(dp, 0xffffff - i * 3), i % 2 == 0);
		assert_false(network_has_vni(dp, 0xffffff - i * 3 - 1));
	}
	for (unsigned i = 0; i < n; i += 2)
		assert_int_equal(dp_network_del(dp, id[i]), 0);
	assert_true(network_has_vni(dp, VNI));
}

static void test_gateway_stays_on_this_host(void **state)
{
	uint8_t inner[2048], buf[2048];
	size_t len = packet_arp(inner, MAC_BROADCAST, MAC_B, 1, ip4("10.0.0.9"), ip4("10.0.0.1"));
	uint64_t bad = harness_drops(dp, "source-mac");

	harness_send(dp, &uplink, buf, wrap(buf, "192.0.2.3", VNI, inner, len), PLAIN, 0);
	assert_int_equal(a.count + uplink.count, 0); /* neither answered nor flooded */
	len = packet_eth(inner, MAC_BROADCAST, dp_router_mac, 46);
	harness_send(dp, &uplink, buf, wrap(buf, "192.0.2.3", VNI, inner, len), PLAIN, 0);
	assert_int_equal(a.count, 0);
	assert_int_equal(harness_drops(dp, "source-mac"), bad + 1);
}

static void test_uplink_is_a_host(void **state)
{
	uint8_t buf[2048];
	struct packet ping = {.dst = MAC_UP,
		.src = MAC_HOP,
		.from = ip4("192.0.2.2"),
		.to = ip4("192.0.2.1"),
		.proto = 1,
		.payload = 300};

	harness_send(dp, &uplink, buf, packet_ip4(buf, &ping), PLAIN, 0);
	assert_int_equal(uplink.count, 1);
	assert_true(packet_checksums_right(uplink.got[0].data, uplink.got[0].len));
	assert_int_equal(uplink.got[0].data[34], 0);
	assert_memory_equal(uplink.got[0].data, MAC_HOP, 6);
	harness_send(dp, &uplink, buf,
		packet_arp(buf, MAC_BROADCAST, MAC_HOP, 1, ip4("192.0.2.2"), ip4("192.0.2.1")), PLAIN, 0);
	assert_int_equal(uplink.count, 2);
	assert_memory_equal(uplink.got[1].data + 22, MAC_UP, 6);
	ping.to = ip4("192.0.2.200");
	harness_send(dp, &uplink, buf, packet_ip4(buf, &ping), PLAIN, 0);
	assert_int_equal(uplink.count, 2);
	assert_int_equal(harness_drops(dp, "not-for-us"), 1);
}

static void test_cut_off_and_contradicting(void **state)
{
	uint8_t inner[2048], buf[2048];
	uint64_t bad;

	for (size_t len = 14; len < 64; len++) { /* every way to end inside the headers */
		packet_eth(inner, MAC_BROADCAST, MAC_B, 46);
		wrap(buf, "192.0.2.3", VNI, inner, 60);
		harness_send(dp, &uplink, buf, len, PLAIN, 0);
	}
	assert_int_equal(a.count, 0);
	bad = harness_drops(dp, "malformed");
	wrap(buf, "192.0.2.3", VNI, inner, 5); /* an inner frame without a whole Ethernet header */
	harness_send(dp, &uplink, buf, 55, PLAIN, 0);
	assert_int_equal(harness_drops(dp, "malformed"), bad + 1);
}

static void test_underlay_mtu(void **state)
{
	uint8_t buf[2048];
	uint64_t mtu = harness_drops(dp, "mtu");

	harness_send(dp, &a, buf, packet_eth(buf, MAC_B, MAC_A, 1450), PLAIN, 0);
	assert_int_equal(uplink.count, 1);
	harness_send(dp, &a, buf, packet_eth(buf, MAC_B, MAC_A, 1451), PLAIN, 0);
	assert_int_equal(uplink.count, 1);
	assert_int_equal(harness_drops(dp, "mtu"), mtu + 1);
	assert_int_equal(a.count, 0);
}

/* What the tunnel adds is taken off before the sender is told. What came through a tunnel has no sender here.
 */
static void test_the_answer_has_the_tunnels_mtu(void **state)
{
	uint8_t buf[2048], inner[2048];
	struct packet p = {.dst = MAC_B,
		.src = MAC_A,
		.from = ip4("10.0.0.5"),
		.to = ip4("10.0.0.6"),
		.proto = 17,
		.payload = 1451 - 28};
	size_t len = packet_ip4(buf, &p);

	buf[14 + 6] = 0x40; /* do not fragment */
	harness_send(dp, &a, buf, len, PLAIN, 0);
	assert_int_equal(uplink.count, 0);
	assert_int_equal(a.count, 1);
	assert_true(packet_checksums_right(a.got[0].data, a.got[0].len));
	assert_int_equal(a.got[0].data[40] << 8 | a.got[0].data[41], 1450);

	p.dst = MAC_A;
	p.src = MAC_B;
	len = packet_ip4(inner, &p);
	inner[14 + 6] = 0x40;
	atomic_store(&a.port->mtu, 1400);
	harness_send(dp, &uplink, buf, wrap(buf, "192.0.2.3", VNI, inner, len), PLAIN, 0);
	atomic_store(&a.port->mtu, 1500);
	assert_int_equal(a.count, 1);
	assert_int_equal(uplink.count, 0);
}

/* A large frame of segments of 1,000 bytes from a into the tunnel. */
static void send_payload(size_t payload)
{
	static uint8_t buf[FRAME_MAX];
	struct packet p = {.dst = MAC_B,
		.src = MAC_A,
		.from = ip4("10.0.0.5"),
		.to = ip4("10.0.0.6"),
		.proto = 6,
		.tcp_flags = 16,
		.payload = payload};
	struct offload large = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = 54,
		.gso_size = 1000,
		.csum_start = 34,
		.csum_offset = 16};

	harness_send(dp, &a, buf, packet_ip4(buf, &p), large, 0);
}

static void send_large(void)
{
	send_payload(20 * 1000);
}

/* Where the port takes large frames in tunnels they leave as they came, with their request for the inner packet; but for what
 * has no room left for the outer header. */
static void test_large_frames_go_whole(void **state)
{
	enum { OUTER = 50, HEADERS = 54, LONGEST = UINT16_MAX - OUTER - HEADERS };
	const struct offload *off = &uplink.got[0].off;

	atomic_store(&uplink.port->offloads, PORT_CSUM | PORT_TSO4 | PORT_TSO6 | PORT_USO | PORT_TUNNEL);
	send_large();
	assert_int_equal(uplink.count, 1);
	assert_int_equal(uplink.got[0].len, OUTER + HEADERS + 20 * 1000);
	assert_int_equal(off->gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(off->gso_size, 1000);
	assert_int_equal(off->hdr_len, OUTER + HEADERS);
	assert_int_equal(off->csum_start, OUTER + 34);
	assert_int_equal(
		uplink.got[0].data[16] << 8 | uplink.got[0].data[17], OUTER - 14 + HEADERS + 20 * 1000);
	uplink.count = 0;
	send_payload(LONGEST);
	assert_int_equal(uplink.count, 1);
	assert_int_equal(off->gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	uplink.count = 0;
	send_payload(LONGEST + 1);
	assert_in_range(uplink.count, 2, 5);
	assert_int_equal(off->gso_type, VIRTIO_NET_HDR_GSO_UDP_L4);
	assert_int_equal(harness_balance(dp, net), 0);
}

/* Segments that a sent one by one are merged first, and count as what they were; what is for elsewhere stays out. */
static void test_segments_are_merged_for_the_tunnel(void **state)
{
	enum { N = 6, PAYLOAD = 1000 };
	static uint8_t bufs[N][2048];
	struct packet p = {.dst = MAC_B,
		.src = MAC_A,
		.from = ip4("10.0.0.5"),
		.to = ip4("10.0.0.6"),
		.proto = 6,
		.tcp_flags = 16,
		.payload = PAYLOAD};
	struct dp_port_info before, after;

	atomic_store(&uplink.port->offloads, PORT_CSUM | PORT_TSO4 | PORT_TSO6 | PORT_USO | PORT_TUNNEL);
	assert_int_equal(dp_port_info(dp, uplink.port->id, &before), 0);
	harness_begin(dp, &a);
	for (unsigned i = 0; i < N; i++) {
		size_t len = packet_ip4(bufs[i], &p);
		uint8_t *ip = bufs[i] + 14;

		ip[5] = (uint8_t)i;
		ip[26] = (uint8_t)(i * PAYLOAD >> 8);
		ip[27] = (uint8_t)(i * PAYLOAD);
		csum_store(ip + 10, 0);
		csum_store(ip + 10, (uint16_t)~csum_fold(csum_add(0, ip, 20)));
		assert_true(harness_add(dp, bufs[i], len,
			(struct offload){
				.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16},
			0));
	}
	harness_run(dp);
	assert_int_equal(uplink.count, 1);
	assert_int_equal(uplink.got[0].len, 50 + 54 + N * PAYLOAD);
	assert_int_equal(dp_port_info(dp, uplink.port->id, &after), 0);
	assert_int_equal(after.tx_packets - before.tx_packets, N);
	assert_int_equal(after.tx_bytes - before.tx_bytes, N * (50 + 54 + PAYLOAD));
	assert_int_equal(harness_balance(dp, net), 0);
}

/* The segments of a large frame leave in one where the port takes that, and one by one where not. */
static void test_segments_are_coalesced(void **state)
{
	atomic_store(&uplink.port->offloads, 0);
	send_large();
	assert_int_equal(uplink.count, 20);
	uplink.count = 0;
	atomic_store(&uplink.port->offloads, PORT_USO);
	send_large();
	assert_int_equal(uplink.count, 1);
	assert_int_equal(uplink.got[0].len, 42 + 20 * (8 + 54 + 1000));
	assert_int_equal(uplink.got[0].off.gso_type, VIRTIO_NET_HDR_GSO_UDP_L4);
	assert_int_equal(uplink.got[0].off.gso_size, 8 + 54 + 1000);
	uplink.room = 1; /* full */
	send_large();
	assert_int_equal(harness_drops(dp, "ring-full"), 1);
	uplink.room = TEST_FRAMES;
	uplink.count = 0;
	uplink.old_kernel = true;
	send_large();
	assert_int_equal(uplink.count, 20);
	assert_int_equal(uplink.got[0].off.gso_type, VIRTIO_NET_HDR_GSO_NONE);
	assert_true(packet_checksums_right(uplink.got[19].data, uplink.got[19].len));
	assert_int_equal(atomic_load(&uplink.port->offloads), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_next_hop_is_asked_for, clear),
		cmocka_unit_test_setup(test_flood_goes_to_every_vtep, clear),
		cmocka_unit_test_setup(test_inner_frame_is_delivered_and_learned, clear),
		cmocka_unit_test_setup(test_unknown_vni_and_vtep, clear),
		cmocka_unit_test_setup(test_vnis_of_all_networks, clear),
		cmocka_unit_test_setup(test_gateway_stays_on_this_host, clear),
		cmocka_unit_test_setup(test_uplink_is_a_host, clear),
		cmocka_unit_test_setup(test_unusual_outer_headers, clear),
		cmocka_unit_test_setup(test_cut_off_and_contradicting, clear),
		cmocka_unit_test_setup(test_underlay_mtu, clear),
		cmocka_unit_test_setup(test_the_answer_has_the_tunnels_mtu, clear),
		cmocka_unit_test_setup(test_large_frames_go_whole, clear),
		cmocka_unit_test_setup(test_segments_are_merged_for_the_tunnel, clear),
		cmocka_unit_test_setup(test_segments_are_coalesced, clear),
	};

	return cmocka_run_group_tests_name("overlay", tests, setup, teardown);
}
