/* Tunnel packets coalesced to one large datagram, and split again: what comes out is what went in. */
#include "dataplane/frame/offload.h"
#include "dataplane/frame/parse.h"
#include "dataplane/frame/udp_gso.h"
#include "dataplane/overlay/vxlan.h"
#include "tests/unit/dataplane/frames.h"
#include "tests/unit/unit.h"

enum { UDP_AT = 34, PAYLOAD_AT = 42, SEGMENT = 1400 };

static struct flat inner;
static struct burst burst, segments;
static struct udp_gso large;
static uint8_t whole[FRAME_MAX + VXLAN_OUTER * BURST_MAX], packet[BURST_MAX][2048];
static uint32_t packet_len[BURST_MAX];

/* The first packets of a large TCP frame of `payload` bytes through a tunnel, kept in packet[] as well. */
static unsigned cut(struct frame **list, uint32_t payload, uint32_t step)
{
	static const struct recipe recipe = {4, IPPROTO_TCP, .tcp_options = 12, .tcp_flags = 0x18};
	static const uint8_t mac[6] = {2};
	struct recipe r = recipe;
	struct vtep vtep = {.vni = 7, .remote = ip_from4(0x010000c0)};
	uint32_t offset = 0;
	struct frame *f;
	unsigned n;

	r.payload = payload;
	flat_make(&inner, &r, true);
	burst.count = burst.nspan = 0;
	f = split(&burst, inner.data, inner.len, 64, step);
	ask(f, &inner, SEGMENT);
	assert_true(offload_valid(f));
	vxlan_prepare(&vtep, mac, mac, ip_from4(0x020000c0), VXLAN_PORT);
	n = offload_segment(f, &segments, &offset, false);
	for (unsigned i = 0; i < n; i++) {
		list[i] = &segments.frame[i];
		vxlan_encap(list[i], &vtep);
		packet_len[i] = list[i]->len;
		frame_copy(list[i], packet[i]);
	}
	return n;
}

/* Splits the datagram and compares with packet[from..]. Returns how many there were. */
static unsigned split_and_compare(unsigned from)
{
	uint32_t len = large.frame.len, offset = 0;
	uint8_t got[2048];
	unsigned i;

	frame_copy(&large.frame, whole);
	for (i = from; offset < udp_gso_payload(whole, len, &large.frame.off); i++) {
		struct frame f;
		struct span span;

		frame_init(&f);
		assert_true(udp_gso_split(whole, len, &large.frame.off, &offset, &f, &span));
		assert_int_equal(f.len, packet_len[i]);
		f.span = &span;
		f.nspan = span.len > 0;
		frame_copy(&f, got);
		assert_memory_equal(got, packet[i], f.len);
	}
	return i - from;
}

static void test_split_undoes_coalesce(void **state)
{
	static const struct {
		uint32_t payload, step;
	} cases[] = {{2 * SEGMENT, 0}, {2 * SEGMENT + 1, 0}, {31 * SEGMENT + 5, 4096}, {32 * SEGMENT, 1500},
		{20000, 700}};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct frame *list[BURST_MAX];
		unsigned n = cut(list, cases[i].payload, cases[i].step), done = 0, put;

		while (done < n) {
			put = udp_gso_coalesce(&large, list + done, n - done);
			if (put > 1)
				assert_int_equal(split_and_compare(done), put);
			done += put;
		}
		assert_int_equal(done, n);
	}
}

/* The kernel gets a header that it finds right, and a request that it can serve. */
static void test_coalesced_header_and_request(void **state)
{
	struct frame *list[BURST_MAX];
	unsigned n = cut(list, 5 * SEGMENT, 0);
	struct flat outer = {.l3 = 14, .l4 = UDP_AT, .version = 4, .proto = IPPROTO_UDP};

	assert_int_equal(udp_gso_coalesce(&large, list, n), 5);
	frame_copy(&large.frame, outer.data);
	outer.len = large.frame.len;
	assert_int_equal(outer.len, 5 * (packet_len[0] - PAYLOAD_AT) + PAYLOAD_AT);
	assert_int_equal(get16(outer.data + 16), outer.len - 14);
	assert_int_equal(get16(outer.data + UDP_AT + 4), outer.len - UDP_AT);
	assert_int_equal(ref_sum(0, outer.data + 14, 20), 0xffff);
	assert_int_equal(get16(outer.data + UDP_AT + 6), ref_pseudo(&outer));
	assert_int_equal(large.frame.off.gso_size, packet_len[0] - PAYLOAD_AT);
	assert_int_equal(large.frame.off.gso_type, VIRTIO_NET_HDR_GSO_UDP_L4);
}

/* As many as one IP packet and one vector of spans hold. */
static void test_coalescing_stops_at_ip_length_and_spans(void **state)
{
	struct frame *list[BURST_MAX];
	unsigned n = cut(list, 64000, 1000), put;

	assert_int_equal(n, BURST_MAX);
	put = udp_gso_coalesce(&large, list, n);
	assert_in_range(put, 2, n);
	assert_true(large.frame.nspan <= UDP_GSO_SPANS && large.frame.len <= FRAME_MAX);
	assert_int_equal(udp_gso_coalesce(&large, list, 1), 1);
	assert_int_equal(udp_gso_coalesce(&large, list, 0), 1);
}

static void refuse(struct offload off, uint32_t len)
{
	uint32_t offset = 0;
	struct frame f;
	struct span span;

	frame_init(&f);
	assert_int_equal(udp_gso_payload(whole, len, &off), 0);
	assert_false(udp_gso_split(whole, len, &off, &offset, &f, &span));
}

static void test_what_is_no_udp_gso(void **state)
{
	struct frame *list[BURST_MAX];
	unsigned n = cut(list, 5 * SEGMENT, 0);
	struct offload good, bad;
	uint32_t len;

	udp_gso_coalesce(&large, list, n);
	frame_copy(&large.frame, whole);
	good = bad = large.frame.off;
	len = large.frame.len;
	for (uint32_t cut_off = 14; cut_off <= PAYLOAD_AT; cut_off++)
		refuse(good, cut_off);
	bad.gso_size = 0;
	refuse(bad, len);
	bad.gso_size = 1; /* thousands of packets from one */
	refuse(bad, len);
	for (unsigned start = 0; start < UINT16_MAX; start++) {
		bad = good;
		bad.csum_start = (uint16_t)start;
		if (start != UDP_AT)
			refuse(bad, len);
	}
	bad = good;
	bad.csum_offset = 16;
	refuse(bad, len);
	bad = good;
	bad.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	refuse(bad, len);
	whole[12] = 0x86;
	refuse(good, len);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split_undoes_coalesce),
		cmocka_unit_test(test_coalesced_header_and_request),
		cmocka_unit_test(test_coalescing_stops_at_ip_length_and_spans),
		cmocka_unit_test(test_what_is_no_udp_gso),
	};

	return cmocka_run_group_tests_name("udp_gso", tests, NULL, NULL);
}
