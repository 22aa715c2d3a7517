/* TCP segments merged to large frames: cut again they are what they were, and what differs stays alone. */
#include "dataplane/frame/offload.h"
#include "dataplane/frame/parse.h"
#include "dataplane/frame/tcp_gro.h"
#include "tests/unit/dataplane/frames.h"
#include "tests/unit/unit.h"

enum { ACK = 0x10, PSH = 0x08, FIN = 0x01, URG = 0x20, ECE = 0x40, CWR = 0x80, MSS = 1400, TAIL = 6 };

static struct flat flat[BURST_MAX];
static struct burst burst, cut;
static struct tcp_gro gro;
static struct frame *list[BURST_MAX];

/* How segments arrive. */
static struct {
	struct recipe recipe;
	uint16_t copy; /* private bytes */
	uint32_t step; /* of spans; 0: one */
	bool partial;  /* the checksum is still to be made */
} way;

static void make(unsigned i, uint32_t at, uint32_t payload)
{
	struct recipe r = way.recipe;
	struct flat *f = &flat[i];

	r.payload = payload;
	flat_make(f, &r, way.partial);
	put32(f->data + f->l4 + 4, 0xfffff000 + at);
	if (f->version == 4)
		put16(f->data + f->l3 + 4, 0xfffe + i);
	flat_finish(f, way.partial);
}

/* n segments of a stream, the last of `last` bytes. */
static void stream(unsigned n, uint32_t last)
{
	for (unsigned i = 0; i < n; i++)
		make(i, i * MSS, i + 1 < n ? MSS : last);
}

static void plainly(void)
{
	memset(&way, 0, sizeof(way));
	way.recipe = (struct recipe){4, IPPROTO_TCP, .tcp_options = 12, .tcp_flags = ACK};
	way.copy = HDR_COPY;
}

/* Hands flat[0..n) over. Returns how many frames are left. */
static unsigned merge(unsigned n)
{
	burst.count = burst.nspan = 0;
	gro.used = 0;
	for (unsigned i = 0; i < n; i++) {
		list[i] = split(&burst, flat[i].data, flat[i].len, way.copy, way.step);
		if (way.partial)
			ask(list[i], &flat[i], 0);
	}
	return tcp_gro_merge(&gro, list, (uint16_t)n, true, true);
}

static void is_same(struct frame *f, unsigned i)
{
	static uint8_t got[FRAME_MAX];

	assert_int_equal(f->len, flat[i].len);
	frame_copy(f, got);
	assert_memory_equal(got, flat[i].data, f->len);
}

/* Frame `f` stands for flat[from..from + n): its request is sound, and cut it gives them to the byte. */
static void is_made_of(struct frame *f, unsigned from, unsigned n)
{
	uint32_t offset = 0;
	unsigned got = from;

	assert_int_equal(f->merged, n - 1);
	if (n == 1) {
		is_same(f, from);
		return;
	}
	assert_int_equal(f->off.gso_size, flat[from].len - flat[from].payload);
	assert_true(offload_valid(f));
	assert_true(f->off.gso_type != VIRTIO_NET_HDR_GSO_NONE);
	while (offload_segment(f, &cut, &offset, way.partial) > 0)
		for (unsigned i = 0; i < cut.count; i++)
			is_same(&cut.frame[i], got++);
	assert_int_equal(got, from + n);
}

static void test_cut_again_it_is_what_it_was(void **state)
{
	static const struct recipe recipes[] = {
		{4, IPPROTO_TCP, .tcp_flags = ACK},
		{4, IPPROTO_TCP, .tcp_options = 12, .tcp_flags = ACK},
		{4, IPPROTO_TCP, .tcp_options = 40, .tcp_flags = ACK | ECE},
		{6, IPPROTO_TCP, .tcp_flags = ACK},
		{6, IPPROTO_TCP, .tcp_options = 12, .tcp_flags = ACK},
	};

	for (unsigned i = 0; i < sizeof(recipes) / sizeof(recipes[0]); i++)
		for (unsigned n = 2; n <= BURST_MAX; n += 5)
			for (unsigned k = 0; k < 8; k++) {
				plainly();
				way.recipe = recipes[i];
				way.copy = k & 1 ? HDR_MAX : HDR_COPY;
				way.step = k & 2 ? 500 : 0;
				way.partial = k & 4;
				stream(n, k & 1 ? MSS : 17);
				assert_int_equal(merge(n), 1);
				is_made_of(list[0], 0, n);
			}
}

/* PSH and FIN belong to the last segment, and nothing follows them. */
static void test_ends(void **state)
{
	for (unsigned flag = FIN; flag <= PSH; flag += PSH - FIN) {
		plainly();
		stream(6, MSS);
		flat[3].data[flat[3].l4 + 13] |= flag;
		flat_finish(&flat[3], false);
		assert_int_equal(merge(6), 2);
		is_made_of(list[0], 0, 4);
		is_made_of(list[1], 4, 2);
	}
	plainly();
	stream(6, MSS);
	make(2, 2 * MSS, MSS - 1); /* shorter than the rest, and the next does not follow it */
	assert_int_equal(merge(6), 2);
	is_made_of(list[0], 0, 3);
	is_made_of(list[1], 3, 3);
}

/* One byte of segment 2 of 5 changed by `by`; `whole`: with its checksums made right again. */
static unsigned with_changed(uint32_t at, uint8_t by, bool whole)
{
	stream(5, MSS);
	flat[2].data[at] ^= by;
	if (whole)
		flat_finish(&flat[2], way.partial);
	return merge(5);
}

/* What is not as in the segments before goes on as it came, and nothing overtakes it. */
static void test_what_differs_stays_alone(void **state)
{
	enum { IP = 14, TCP = 34 };
	static const struct {
		const char *what;
		uint16_t at;
		uint8_t by;
		bool whole; /* its checksums are made right again */
	} cases[] = {
		{"another destination MAC", 5, 1, true},
		{"another source MAC", 11, 1, true},
		{"TOS", IP + 1, 4, true},
		{"ECN", IP + 1, 3, true},
		{"id", IP + 4, 1, true},
		{"DF", IP + 6, 0x40, true},
		{"the flag without a name", IP + 6, 0x80, true},
		{"more fragments", IP + 6, 0x20, true},
		{"an offset", IP + 7, 1, true},
		{"TTL", IP + 8, 1, true},
		{"the IP checksum", IP + 10, 1, false},
		{"another source", IP + 15, 1, true},
		{"another port", TCP + 1, 1, true},
		{"a gap", TCP + 7, 1, true},
		{"another acknowledgement", TCP + 11, 1, true},
		{"a reserved bit", TCP + 12, 1, true},
		{"URG", TCP + 13, URG, true},
		{"CWR", TCP + 13, CWR, true},
		{"RST", TCP + 13, 4, true},
		{"SYN", TCP + 13, 2, true},
		{"no ACK", TCP + 13, ACK, true},
		{"ECE", TCP + 13, ECE, true},
		{"window", TCP + 15, 1, true},
		{"the TCP checksum", TCP + 16, 1, false},
		{"payload under a right checksum", 300, 1, false},
		{"urgent pointer", TCP + 19, 1, true},
		{"a timestamp", TCP + 31, 1, true},
		{"a longer header", TCP + 12, 0x10, true},
	};

	plainly();
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned left = with_changed(cases[i].at, cases[i].by, cases[i].whole);
		bool found = false;

		/* the first two; the one that differs; the last two, as nothing follows with its sequence number */
		if (left < 3 || left > 4)
			fail_msg("%s: %u frames are left", cases[i].what, left);
		is_made_of(list[0], 0, 2);
		for (unsigned k = 0; k < left; k++)
			if (list[k]->len == flat[2].len && !list[k]->merged) {
				is_same(list[k], 2);
				found = true;
				break;
			}
		if (!found)
			fail_msg("%s: it was merged", cases[i].what);
	}
}

/* Where the sender's kernel has not summed, nobody sums: what differs there is found all the same. */
static void test_partial_checksums(void **state)
{
	plainly();
	way.partial = true;
	assert_int_equal(with_changed(300, 1, false), 1);
	assert_int_equal(with_changed(34 + 11, 1, true), 3);
}

/* A sum that a device found right is believed, but for the outer one of a tunnel. */
static void test_who_is_believed(void **state)
{
	for (unsigned tunnel = 0; tunnel < 2; tunnel++) {
		plainly();
		stream(2, MSS);
		flat[1].data[300] ^= 1;
		burst.count = burst.nspan = gro.used = 0;
		for (unsigned i = 0; i < 2; i++) {
			list[i] = split(&burst, flat[i].data, flat[i].len, HDR_MAX, 0);
			list[i]->off.flags = VIRTIO_NET_HDR_F_DATA_VALID;
			list[i]->src_vtep = tunnel ? 3 : VTEP_NONE;
		}
		assert_int_equal(tcp_gro_merge(&gro, list, 2, true, true), 1 + tunnel);
	}
}

/* With DF an id says nothing. */
static void test_ids_under_df(void **state)
{
	plainly();
	stream(5, MSS);
	for (unsigned i = 0; i < 5; i++) {
		flat[i].data[14 + 6] = 0x40;
		put16(flat[i].data + 14 + 4, i * 777);
		flat_finish(&flat[i], false);
	}
	assert_int_equal(merge(5), 1);
	assert_int_equal(list[0]->merged, 4);
}

static void test_what_is_never_merged(void **state)
{
	static const struct recipe recipes[] = {
		{4, IPPROTO_UDP},
		{4, IPPROTO_TCP, .tags = 1, .tcp_flags = ACK},
		{4, IPPROTO_TCP, .ip_options = 4, .tcp_flags = ACK},
		{6, IPPROTO_TCP, .ip_options = 8, .tcp_flags = ACK},
		{6, IPPROTO_UDP},
	};

	for (unsigned i = 0; i < sizeof(recipes) / sizeof(recipes[0]); i++) {
		plainly();
		way.recipe = recipes[i];
		for (unsigned k = 0; k < 5; k++) {
			struct recipe r = recipes[i];

			r.payload = MSS;
			flat_make(&flat[k], &r, false);
			if (r.proto == IPPROTO_TCP)
				put32(flat[k].data + flat[k].l4 + 4, k * MSS);
			flat_finish(&flat[k], false);
		}
		assert_int_equal(merge(5), 5);
		for (unsigned k = 0; k < 5; k++)
			is_made_of(list[k], k, 1);
	}
	plainly(); /* what is short, what says nothing, and what is longer than its packet */
	for (unsigned k = 0; k < 5; k++)
		make(k, k * 100, 100);
	assert_int_equal(merge(5), 5);
	for (unsigned k = 0; k < 5; k++)
		make(k, 0, 0);
	assert_int_equal(merge(5), 5);
	stream(5, MSS);
	for (unsigned k = 0; k < 5; k++)
		flat[k].len += TAIL;
	assert_int_equal(merge(5), 5);
	stream(5, MSS); /* the receiver takes only the other family's */
	burst.count = burst.nspan = gro.used = 0;
	for (unsigned k = 0; k < 5; k++)
		list[k] = split(&burst, flat[k].data, flat[k].len, HDR_COPY, 0);
	assert_int_equal(tcp_gro_merge(&gro, list, 5, false, true), 5);
}

/* A longer one is no segment of the same stream of segments; equal bytes again are not what comes next. */
static void test_lengths_and_repeats(void **state)
{
	plainly();
	make(0, 0, 1000);
	make(1, 1000, 1400);
	make(2, 2400, 1400);
	assert_int_equal(merge(3), 2);
	is_made_of(list[0], 0, 1);
	is_made_of(list[1], 1, 2);
	make(0, 0, MSS);
	make(1, MSS, MSS);
	make(2, MSS, MSS);
	assert_int_equal(merge(3), 2);
	is_made_of(list[0], 0, 2);
	is_made_of(list[1], 2, 1);
}

/* Connections that take turns, as many as there may be at once and one more. */
static void test_several_connections(void **state)
{
	for (unsigned flows = 2; flows <= 10; flows++) {
		unsigned left, merged = 0;

		plainly();
		for (unsigned i = 0; i < 30; i++) {
			make(i, i / flows * MSS, MSS);
			put16(flat[i].data + flat[i].l4, 40000 + i % flows);
			put16(flat[i].data + flat[i].l3 + 4, i / flows);
			flat_finish(&flat[i], false);
		}
		left = merge(30);
		if (flows <= 8)
			assert_int_equal(left, flows);
		for (unsigned i = 0; i < left; i++)
			merged += list[i]->merged;
		assert_int_equal(left + merged, 30);
		if (flows <= 8)
			for (unsigned i = 0; i < flows; i++)
				assert_int_equal(list[i]->merged, (30 + flows - 1 - i) / flows - 1);
	}
}

/* 64 KB of IP, and the spans that a frame may have: the next frame begins anew. */
static void test_limits(void **state)
{
	unsigned left;

	plainly();
	for (unsigned i = 0; i < 10; i++)
		make(i, i * 8000, 8000);
	left = merge(10);
	assert_int_equal(left, 2);
	is_made_of(list[0], 0, 8);
	is_made_of(list[1], 8, 2);
	plainly();
	way.step = 200; /* eight spans a frame, less than a burst has room for */
	stream(20, MSS);
	left = merge(20);
	for (unsigned i = 0, from = 0; i < left; from += list[i]->merged + 1u, i++) {
		assert_true(list[i]->nspan <= TCP_GRO_FRAME_SPANS);
		is_made_of(list[i], from, list[i]->merged + 1u);
	}
	assert_in_range(left, 1, 3);
}

/* Any bytes changed anywhere, also in the headers: what comes out is as long as what came in, and nothing is lost. */
static void test_any_change(void **state)
{
	uint32_t random = 1;

	for (unsigned round = 0; round < 20000; round++) {
		uint64_t bytes = 0, frames = 0;
		unsigned left;

		plainly();
		way.recipe.version = round & 1 ? 6 : 4;
		way.copy = round & 2 ? HDR_MAX : HDR_COPY;
		for (unsigned i = 0; i < 6; i++)
			make(i, i * 600, 600);
		for (unsigned k = 0; k < 1 + round % 4; k++) {
			random = random * 1664525 + 1013904223;
			flat[random >> 8 & 3].data[random >> 16 & 127] ^= (uint8_t)(random >> 24 | 1);
		}
		left = merge(6);
		for (unsigned i = 0; i < left; i++) {
			uint32_t len = list[i]->hdr_len;

			for (unsigned k = 0; k < list[i]->nspan; k++)
				len += list[i]->span[k].len;
			assert_int_equal(len, list[i]->len);
			bytes += frame_bytes(list[i]);
			frames += list[i]->merged + 1u;
			if (list[i]->merged)
				assert_true(offload_valid(list[i]));
		}
		assert_int_equal(frames, 6);
		assert_int_equal(bytes, 6 * (uint64_t)flat[0].len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_again_it_is_what_it_was),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_what_differs_stays_alone),
		cmocka_unit_test(test_partial_checksums),
		cmocka_unit_test(test_who_is_believed),
		cmocka_unit_test(test_ids_under_df),
		cmocka_unit_test(test_what_is_never_merged),
		cmocka_unit_test(test_lengths_and_repeats),
		cmocka_unit_test(test_several_connections),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_any_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
