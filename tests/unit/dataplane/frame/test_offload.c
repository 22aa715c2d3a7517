/* offload.c against a plain computation of the same, over IP versions, options, tags and ways a frame is cut.
 */
#include "dataplane/frame/offload.h"
#include "dataplane/frame/parse.h"
#include "tests/unit/dataplane/frames.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static struct flat whole, expected;
static struct burst burst, segments;
static uint8_t got[FRAME_MAX];

/* Ways to lie in memory: private bytes, length of a span. */
static const struct {
	uint16_t copy;
	uint32_t step;
} cuts[] = {{64, 0}, {64, 1}, {64, 7}, {64, 33}, {64, 1500}, {128, 0}, {128, 1}, {128, 999}, {60, 5}};

static const struct recipe recipes[] = {
	{4, IPPROTO_TCP, .payload = 1},
	{4, IPPROTO_TCP, .payload = 1460, .tcp_flags = 0x18},
	{4, IPPROTO_TCP, .payload = 4001, .tcp_options = 12, .tcp_flags = 0x99},
	{4, IPPROTO_TCP, .payload = 64000, .tcp_options = 12, .tcp_flags = 0x91},
	{4, IPPROTO_TCP, .payload = 9000, .tcp_options = 40, .tags = 1, .tcp_flags = 0x10},
	{4, IPPROTO_TCP, .payload = 9000, .tcp_options = 20, .tags = 2, .ip_options = 8},
	{6, IPPROTO_TCP, .payload = 1},
	{6, IPPROTO_TCP, .payload = 64001, .tcp_options = 12, .tcp_flags = 0x99},
	{6, IPPROTO_TCP, .payload = 9000, .tcp_options = 40, .tags = 2},
	{6, IPPROTO_TCP, .payload = 9000, .tcp_options = 12, .ip_options = 16},
	{4, IPPROTO_UDP, .payload = 0},
	{4, IPPROTO_UDP, .payload = 1},
	{4, IPPROTO_UDP, .payload = 1473, .tags = 1},
	{6, IPPROTO_UDP, .payload = 1000},
	{6, IPPROTO_UDP, .payload = 999, .tags = 2, .ip_options = 24},
	{4, IPPROTO_UDP, .payload = 60001, .tags = 1},
	{6, IPPROTO_UDP, .payload = 12000},
};

static struct frame *cut_frame(const struct flat *flat, unsigned how)
{
	burst.count = 0;
	burst.nspan = 0;
	return split(&burst, flat->data, flat->len, cuts[how].copy, cuts[how].step);
}

static void assert_frame(struct frame *f, const struct flat *flat)
{
	assert_int_equal(f->len, flat->len);
	frame_copy(f, got);
	assert_memory_equal(got, flat->data, flat->len);
}

static void test_checksum(void **state)
{
	for (unsigned i = 0; i < COUNT(recipes); i++)
		for (unsigned how = 0; how < COUNT(cuts); how++) {
			struct frame *f;

			flat_make(&whole, &recipes[i], true);
			flat_make(&expected, &recipes[i], false);
			f = cut_frame(&whole, how);
			ask(f, &whole, 0);
			assert_true(offload_valid(f));
			offload_checksum(f);
			assert_int_equal(f->off.flags, 0);
			assert_frame(f, &expected);
		}
}

/* A sum of zero must be sent as all ones: zero in UDP means that there is no checksum. */
static void test_checksum_zero(void **state)
{
	static const struct recipe recipe = {4, IPPROTO_UDP, .payload = 2};
	uint32_t sum;
	struct frame *f;

	flat_make(&whole, &recipe, true);
	put16(whole.data + whole.payload, 0);
	sum = ref_sum(0, whole.data + whole.l4, whole.len - whole.l4);
	put16(whole.data + whole.payload, ~sum & 0xffff);
	f = cut_frame(&whole, 0);
	ask(f, &whole, 0);
	assert_true(offload_valid(f));
	offload_checksum(f);
	assert_int_equal(get16(frame_data(f) + csum_at(&whole)), 0xffff);
}

/* Segment number `n` of `whole`, cut by the definition. */
static void expect_segment(const struct recipe *r, uint16_t size, unsigned n, bool partial)
{
	uint32_t offset = n * size, left = r->payload - offset, bytes = left < size ? left : size;
	uint8_t *tcp;

	flat_make(&expected, r, true);
	tcp = expected.data + expected.l4;
	memmove(expected.data + expected.payload, whole.data + whole.payload + offset, bytes);
	expected.len = expected.payload + bytes;
	if (r->proto == IPPROTO_TCP) {
		put32(tcp + 4, get32(tcp + 4) + offset);
		if (n > 0)
			tcp[13] &= 0x7f;
		if (bytes < left)
			tcp[13] &= 0xf6;
	}
	if (r->version == 4)
		put16(expected.data + expected.l3 + 4, (get16(expected.data + expected.l3 + 4) + n) & 0xffff);
	flat_finish(&expected, partial);
}

static void check_segments(const struct recipe *r, unsigned how, uint16_t size, bool keep_csum)
{
	uint32_t offset = 0;
	unsigned n = 0, calls = 0;
	uint16_t count;
	struct frame *f;

	flat_make(&whole, r, true);
	f = cut_frame(&whole, how);
	ask(f, &whole, size);
	f->net = 3;
	assert_true(offload_valid(f));
	assert_int_equal(f->off.gso_size, size);
	while ((count = offload_segment(f, &segments, &offset, keep_csum)) > 0) {
		assert_true(count <= BURST_MAX);
		calls++;
		for (unsigned i = 0; i < count; i++, n++) {
			struct frame *seg = &segments.frame[i];

			expect_segment(r, size, n, keep_csum);
			assert_frame(seg, &expected);
			assert_int_equal(seg->net, 3);
			assert_int_equal(seg->hdr_off, HDR_ROOM);
			assert_int_equal(seg->off.gso_type, VIRTIO_NET_HDR_GSO_NONE);
			assert_int_equal(seg->off.flags, keep_csum ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0);
			if (keep_csum)
				assert_int_equal(seg->off.csum_start, whole.l4);
		}
	}
	assert_int_equal(n, (r->payload + size - 1) / size);
	assert_true(calls >= (n + BURST_MAX - 1) / BURST_MAX);
	assert_int_equal(offset, r->payload);
}

static void test_segments(void **state)
{
	static const uint16_t sizes[] = {1448, 1460, 1000, 537, 251, 9000};

	for (unsigned i = 0; i < COUNT(recipes); i++)
		for (unsigned how = 0; how < COUNT(cuts); how++)
			for (unsigned s = 0; s < COUNT(sizes); s++)
				if (recipes[i].payload > sizes[s])
					check_segments(&recipes[i], how, sizes[s], (s + how) & 1);
}

/* Segments smaller than the payload bytes that are private already. */
static void test_tiny_segments(void **state)
{
	static const struct recipe recipe = {4, IPPROTO_TCP, .payload = 150, .tcp_flags = 0x99};

	for (unsigned how = 0; how < COUNT(cuts); how++)
		for (uint16_t size = 1; size < 12; size++)
			check_segments(&recipe, how, size, size & 1);
}

static void set_bytes(struct flat *f)
{
	put16(f->data + f->l3 + 2, f->len - f->l3 + 4);
}

static void set_fragment(struct flat *f)
{
	put16(f->data + f->l3 + 6, 0x2000);
}

static void set_short_ip(struct flat *f)
{
	put16(f->data + f->l3 + 2, 24);
}

static void set_less_ip(struct flat *f)
{
	put16(f->data + f->l3 + 2, f->len - f->l3 - 4);
}

static void set_icmp(struct flat *f)
{
	f->data[f->l3 + 9] = IPPROTO_ICMP;
}

static void set_data_offset(struct flat *f)
{
	f->data[f->l4 + 12] = 0x40;
}

static void set_long_header(struct flat *f)
{
	f->data[f->l4 + 12] = 0xf0;
}

static void test_refused(void **state)
{
	static const struct recipe tcp4 = {4, IPPROTO_TCP, .payload = 3000};
	static const struct recipe tiny = {4, IPPROTO_TCP, .payload = 10};
	static const struct recipe udp4 = {4, IPPROTO_UDP, .payload = 3000};
	static const struct {
		const char *what;
		const struct recipe *recipe;
		void (*spoil)(struct flat *f);
		struct offload off;
	} rows[] = {
		{"checksum elsewhere", &tcp4, NULL, {1, 0, 0, 0, 36, 16}},
		{"checksum past the frame", &tcp4, NULL, {1, 0, 0, 0, 65535, 16}},
		{"not TCP's field", &tcp4, NULL, {1, 0, 0, 0, 34, 6}},
		{"field past everything", &tcp4, NULL, {1, 0, 0, 0, 34, 65535}},
		{"not UDP's field", &udp4, NULL, {1, 0, 0, 0, 34, 16}},
		{"a fragment", &tcp4, set_fragment, {1, 0, 0, 0, 34, 16}},
		{"neither TCP nor UDP", &tcp4, set_icmp, {1, 0, 0, 0, 34, 16}},
		{"IP longer than the frame", &tcp4, set_bytes, {1, 0, 0, 0, 34, 16}},
		{"IP ends before TCP does", &tcp4, set_short_ip, {1, 0, 0, 0, 34, 16}},
		{"segments without checksum", &tcp4, NULL, {0, 1, 0, 1000, 34, 16}},
		{"segments of no bytes", &tcp4, NULL, {1, 1, 0, 0, 34, 16}},
		{"too many segments", &tcp4, NULL, {1, 1, 0, 3000 / 256, 34, 16}},
		{"wrong IP version", &tcp4, NULL, {1, 4, 0, 1000, 34, 16}},
		{"UFO", &udp4, NULL, {1, 3, 0, 1000, 34, 6}},
		{"UDP segments of TCP", &tcp4, NULL, {1, 5, 0, 1000, 34, 16}},
		{"UDP segments without checksum", &udp4, NULL, {0, 5, 0, 1000, 34, 6}},
		{"too many datagrams", &udp4, NULL, {1, 5, 0, 3000 / 256, 34, 6}},
		{"TCP segments of UDP", &udp4, NULL, {1, 1, 0, 1000, 34, 6}},
		{"unknown kind", &tcp4, NULL, {1, 0x21, 0, 1000, 34, 16}},
		{"frame longer than IP", &tcp4, set_less_ip, {1, 1, 0, 1000, 34, 16}},
		{"TCP header too short", &tcp4, set_data_offset, {1, 1, 0, 1000, 34, 16}},
		{"TCP header past the frame", &tiny, set_long_header, {1, 1, 0, 5, 34, 16}},
	};

	for (unsigned i = 0; i < COUNT(rows); i++)
		for (unsigned how = 0; how < COUNT(cuts); how++) {
			struct frame *f;

			flat_make(&whole, rows[i].recipe, true);
			if (rows[i].spoil)
				rows[i].spoil(&whole);
			f = cut_frame(&whole, how);
			f->off = rows[i].off;
			if (offload_valid(f))
				fail_msg("%s passed", rows[i].what);
		}
}

/* Requests that pass, and what is left of them. */
static void test_normal_form(void **state)
{
	static const struct recipe tcp4 = {4, IPPROTO_TCP, .payload = 3000};
	static const struct {
		struct offload in, out;
	} rows[] = {
		{{0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 0}},
		{{2, 0, 9, 9, 9, 9}, {2, 0, 0, 0, 0, 0}}, /* only a word on validity */
		{{4, 0, 9, 9, 9, 9}, {0, 0, 0, 0, 0, 0}}, /* bits that nobody offered */
		{{7, 0, 9, 9, 34, 16}, {1, 0, 0, 0, 34, 16}},
		{{1, 0x81, 0, 1000, 34, 16}, {1, 1, 54, 1000, 34, 16}}, /* ECN */
		{{1, 1, 0, 3000, 34, 16}, {1, 0, 0, 0, 34, 16}},	/* one segment */
		{{1, 1, 65535, 12, 34, 16}, {1, 1, 54, 12, 34, 16}},	/* 250 segments */
	};

	for (unsigned i = 0; i < COUNT(rows); i++) {
		struct frame *f;

		flat_make(&whole, &tcp4, true);
		f = cut_frame(&whole, 0);
		f->off = rows[i].in;
		assert_true(offload_valid(f));
		assert_memory_equal(&f->off, &rows[i].out, sizeof(f->off));
	}
}

/* A small generator, so that a run can be had again. */
/* A checksum left unfinished without a word is found, a finished one is left alone. */
static void test_unfinished_checksums_are_detected(void **state)
{
	for (unsigned i = 0; i < COUNT(recipes); i++)
		for (unsigned how = 0; how < COUNT(cuts); how++) {
			struct frame *f;

			flat_make(&expected, &recipes[i], false);
			f = cut_frame(&expected, how);
			offload_detect(f);
			assert_int_equal(f->off.flags, 0);
			flat_make(&whole, &recipes[i], true);
			f = cut_frame(&whole, how);
			offload_detect(f);
			assert_int_equal(f->off.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
			assert_true(offload_valid(f));
			offload_checksum(f);
			assert_frame(f, &expected);
		}
}

static uint32_t dice;

static uint32_t roll(uint32_t sides)
{
	dice = dice * 1664525 + 1013904223;
	return (dice >> 8) % sides;
}

/* Bytes of headers and requests at random, near what is right: either refused, or carried out within bounds.
 */
static void spoil(struct frame *f)
{
	static const uint16_t odd[] = {
		0, 1, 6, 14, 16, 20, 34, 54, 63, 64, 127, 128, 255, 1448, 32768, 65535};
	uint16_t *field[] = {&f->off.hdr_len, &f->off.gso_size, &f->off.csum_start, &f->off.csum_offset};

	for (unsigned n = roll(3); n > 0; n--)
		frame_data(f)[12 + roll(f->hdr_len - 12)] = (uint8_t)roll(256);
	if (roll(2))
		*field[roll(4)] = odd[roll(COUNT(odd))];
	if (roll(4) == 0)
		f->off.gso_type = (uint8_t)roll(256);
	if (roll(8) == 0)
		f->off.flags = (uint8_t)roll(256);
}

static void test_random_requests_stay_in_bounds(void **state)
{
	unsigned cut = 0, summed = 0, refused = 0;

	for (dice = 1; cut < 2000 || summed < 2000 || refused < 2000;) {
		const struct recipe *r = &recipes[roll(COUNT(recipes))];
		struct frame *f;

		flat_make(&whole, r, true);
		f = cut_frame(&whole, roll(COUNT(cuts)));
		ask(f, &whole, roll(2) ? (uint16_t)(200 + roll(1400)) : 0);
		spoil(f);
		if (!offload_valid(f)) {
			refused++;
		} else if (f->off.gso_type == VIRTIO_NET_HDR_GSO_NONE) {
			offload_checksum(f);
			frame_copy(f, got);
			summed++;
		} else {
			uint32_t offset = 0, bytes = 0, segs = 0, headers = f->off.hdr_len;

			while (offload_segment(f, &segments, &offset, roll(2)) > 0)
				for (unsigned i = 0; i < segments.count; i++, segs++) {
					frame_copy(&segments.frame[i], got);
					bytes += segments.frame[i].len - headers;
				}
			assert_int_equal(bytes, whole.len - headers);
			assert_true(segs <= OFFLOAD_SEGMENTS_MAX);
			cut++;
		}
	}
}

/* A frame that nobody validated is not cut, whatever it asks for. */
static void test_unvalidated_is_not_cut(void **state)
{
	static const struct recipe tcp4 = {4, IPPROTO_TCP, .payload = 3000};
	static const struct offload rows[] = {{1, 1, 0, 1000, 34, 16}, {1, 1, 65535, 1000, 34, 16},
		{1, 1, 54, 0, 34, 16}, {1, 1, 54, 1000, 60, 16}, {1, 1, 54, 1000, 34, 60},
		{1, 1, 54, 1000, 0, 16}};

	for (unsigned i = 0; i < COUNT(rows); i++) {
		uint32_t offset = 0;
		struct frame *f;

		flat_make(&whole, &tcp4, true);
		f = cut_frame(&whole, 0);
		parse_frame(f);
		f->off = rows[i];
		assert_int_equal(offload_segment(f, &segments, &offset, false), 0);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_checksum),
		cmocka_unit_test(test_checksum_zero),
		cmocka_unit_test(test_segments),
		cmocka_unit_test(test_tiny_segments),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_normal_form),
		cmocka_unit_test(test_unfinished_checksums_are_detected),
		cmocka_unit_test(test_random_requests_stay_in_bounds),
		cmocka_unit_test(test_unvalidated_is_not_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
