/* Frames from a guest's ring: every lawful shape of chain arrives whole, every other is counted and given
 * back. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/frames.h"
#include "tests/unit/unit.h"
#include "tests/unit/vhost_rig.h"

#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

static int setup(void **state)
{
	*state = rig_new();
	return 0;
}

static int teardown(void **state)
{
	rig_free(*state);
	return 0;
}

/* Writes an empty virtio_net_hdr and a frame of the pattern behind it; returns the bytes of both. */
static uint32_t place(struct rig *rig, uint64_t gpa, uint32_t len, uint8_t seed)
{
	memset(rig_at(rig, gpa), 0, VHOST_HDR);
	rig_fill(rig_at(rig, gpa) + VHOST_HDR, len, seed);
	return VHOST_HDR + len;
}

static void expect_frame(struct rig *rig, unsigned i, uint32_t len, uint8_t seed)
{
	static uint8_t want[FRAME_MAX], got[FRAME_MAX];
	const struct frame *f = &rig->w.burst.frame[i];

	assert_int_equal(f->len, len);
	assert_int_equal(f->hdr_len, len < HDR_COPY ? len : HDR_COPY);
	rig_fill(want, len, seed);
	frame_copy(f, got);
	assert_memory_equal(got, want, len);
}

static void expect_used(struct rig *rig, uint16_t at, uint16_t head)
{
	assert_int_equal(rig->rx.used->ring[at % RIG_SIZE].id, head);
	assert_int_equal(rig->rx.used->ring[at % RIG_SIZE].len, 0);
}

static void single_descriptors_of_every_length(void **state)
{
	static const uint32_t lens[] = {14, 15, 59, 60, 63, 64, 65, 128, 1514, 9000, 65535, FRAME_MAX};
	struct rig *rig = *state;

	for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		rig_desc(&rig->rx, i, RIG_DATA, place(rig, RIG_DATA, lens[i], (uint8_t)i), 0, 0);
		rig_offer(&rig->rx, (uint16_t)i);
		assert_int_equal(rig_rx(rig), 1);
		assert_int_equal(rig->w.burst.bytes, lens[i]);
		expect_frame(rig, 0, lens[i], (uint8_t)i);
		assert_int_equal(rig_used(&rig->rx), i);
		rig_complete(rig);
		assert_int_equal(rig_used(&rig->rx), i + 1);
		expect_used(rig, (uint16_t)i, (uint16_t)i);
	}
	assert_int_equal(rig_all_drops(rig), 0);
}

static void frame_ends_with_its_region(void **state)
{
	struct rig *rig = *state;
	uint64_t at = RIG_GPA + 2 * RIG_REGION - VHOST_HDR - 20;

	rig_desc(&rig->rx, 0, at, place(rig, at, 20, 9), 0, 0);
	rig_offer(&rig->rx, 0);
	assert_int_equal(rig_rx(rig), 1);
	expect_frame(rig, 0, 20, 9);
}

static void header_in_its_own_descriptor(void **state)
{
	struct rig *rig = *state;

	place(rig, RIG_DATA, 1000, 1);
	rig_desc(&rig->rx, 5, RIG_DATA, VHOST_HDR, NEXT, 9);
	rig_desc(&rig->rx, 9, RIG_DATA + VHOST_HDR, 1000, 0, 0);
	rig_offer(&rig->rx, 5);
	assert_int_equal(rig_rx(rig), 1);
	expect_frame(rig, 0, 1000, 1);
	rig_complete(rig);
	expect_used(rig, 0, 5);
}

/* Links of `step` bytes, which cut the header too, from descriptor `from` of `table` on. Returns how many. */
static unsigned link_up(struct vring_desc *table, unsigned from, uint64_t gpa, uint32_t len, uint32_t step)
{
	unsigned n = 0;

	for (uint32_t at = 0; at < len; at += step, n++) {
		uint32_t part = len - at < step ? len - at : step;

		table[from + n] = (struct vring_desc){
			gpa + at, part, at + part < len ? NEXT : 0, (uint16_t)(from + n + 1)};
	}
	return n;
}

static void linked_descriptors(void **state)
{
	struct rig *rig = *state;
	uint32_t len = place(rig, RIG_DATA, 300, 2);

	link_up(rig->rx.desc, 10, RIG_DATA, len, 5);
	rig_offer(&rig->rx, 10);
	assert_int_equal(rig_rx(rig), 1);
	expect_frame(rig, 0, 300, 2);
}

/* Large frames whose headers end in the piece after the private copy: one takes them over, and the next must
 * not get what the first one's payload is found by. */
static void headers_longer_than_the_private_copy(void **state)
{
	static const struct recipe recipe = {4, IPPROTO_TCP, .tcp_options = 12, .payload = 2000};
	static struct flat flat;
	static uint8_t got[FRAME_MAX];
	struct rig *rig = *state;
	struct virtio_net_hdr hdr = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.gso_size = 1000,
		.csum_offset = 16};

	flat_make(&flat, &recipe, true);
	hdr.csum_start = flat.l4;
	for (unsigned i = 0; i < 3; i++) {
		uint64_t at = RIG_DATA + i * 4096;

		memset(rig_at(rig, at), 0, VHOST_HDR);
		memcpy(rig_at(rig, at), &hdr, sizeof(hdr));
		memcpy(rig_at(rig, at) + VHOST_HDR, flat.data, flat.len);
		rig_at(rig, at)[VHOST_HDR + flat.payload] = (uint8_t)i;
		rig_desc(&rig->rx, 2 * i, at, VHOST_HDR + flat.payload, NEXT, (uint16_t)(2 * i + 1));
		rig_desc(&rig->rx, 2 * i + 1, at + VHOST_HDR + flat.payload, 2000, 0, 0);
		rig_offer(&rig->rx, (uint16_t)(2 * i));
	}
	assert_int_equal(rig_rx(rig), 3);
	for (unsigned i = 0; i < 3; i++) {
		flat.data[flat.payload] = (uint8_t)i;
		frame_copy(&rig->w.burst.frame[i], got);
		assert_memory_equal(got, flat.data, flat.len);
	}
}

static void indirect_table(void **state)
{
	struct rig *rig = *state;
	uint64_t table = RIG_DATA + 4096;
	uint32_t len = place(rig, RIG_DATA, 1514, 3);
	unsigned n = link_up((struct vring_desc *)rig_at(rig, table), 0, RIG_DATA, len, 100);

	rig_desc(&rig->rx, 7, table, n * 16, INDIRECT, 0);
	rig_offer(&rig->rx, 7);
	assert_int_equal(rig_rx(rig), 1);
	expect_frame(rig, 0, 1514, 3);
	rig_complete(rig);
	expect_used(rig, 0, 7);
}

static void indirect_table_at_the_end_of_a_chain(void **state)
{
	struct rig *rig = *state;
	uint64_t table = RIG_DATA + 4096;
	uint32_t len = place(rig, RIG_DATA, 700, 3);
	unsigned n = link_up(
		(struct vring_desc *)rig_at(rig, table), 0, RIG_DATA + VHOST_HDR, len - VHOST_HDR, 64);

	rig_desc(&rig->rx, 7, RIG_DATA, VHOST_HDR, NEXT, 3);
	rig_desc(&rig->rx, 3, table, n * 16, INDIRECT, 0);
	rig_offer(&rig->rx, 7);
	assert_int_equal(rig_rx(rig), 1);
	expect_frame(rig, 0, 700, 3);
}

static void buffer_across_two_regions(void **state)
{
	struct rig *rig = *state;
	uint64_t at = RIG_GPA + RIG_REGION - 500;
	uint8_t frame[1514];

	rig_fill(frame, sizeof(frame), 4);
	memset(rig_at(rig, at), 0, VHOST_HDR);
	memcpy(rig_at(rig, at + VHOST_HDR), frame, 500 - VHOST_HDR);
	memcpy(rig_at(rig, at + 500), frame + 500 - VHOST_HDR, sizeof(frame) - 500 + VHOST_HDR);
	rig_desc(&rig->rx, 0, at, VHOST_HDR + sizeof(frame), 0, 0);
	rig_offer(&rig->rx, 0);
	assert_int_equal(rig_rx(rig), 1);
	expect_frame(rig, 0, sizeof(frame), 4);
}

static void regions_in_turns(void **state)
{
	struct rig *rig = *state;

	for (unsigned i = 0; i < 32; i++) {
		uint64_t at = RIG_DATA + (i % 2) * RIG_REGION + i * 2048;

		rig_desc(&rig->rx, i, at, place(rig, at, 60 + i, (uint8_t)i), 0, 0);
		rig_offer(&rig->rx, (uint16_t)i);
	}
	assert_int_equal(rig_rx(rig), 32);
	for (unsigned i = 0; i < 32; i++)
		expect_frame(rig, i, 60 + i, (uint8_t)i);
}

static void a_turn_is_bounded(void **state)
{
	struct rig *rig = *state;
	uint32_t len = place(rig, RIG_DATA, 65536, 0);

	rig_desc(&rig->rx, 0, RIG_DATA, place(rig, RIG_DATA, 60, 0), 0, 0);
	for (unsigned i = 0; i < 40; i++)
		rig_offer(&rig->rx, 0);
	assert_int_equal(rig_rx(rig), 32);
	rig_complete(rig);
	assert_int_equal(rig_rx(rig), 8);
	rig_complete(rig);
	rig_desc(&rig->rx, 0, RIG_DATA, len, 0, 0);
	for (unsigned i = 0; i < 6; i++)
		rig_offer(&rig->rx, 0);
	assert_int_equal(rig_rx(rig), 4); /* 4 * 64 KB */
	rig_complete(rig);
	assert_int_equal(rig_rx(rig), 2);
	rig_complete(rig);
	assert_int_equal(rig_used(&rig->rx), 46);
}

/* Frames of 60 spans: the burst ends before its spans do. */
static void spans_of_a_turn_are_bounded(void **state)
{
	struct rig *rig = *state;
	uint64_t table = RIG_DATA + 65536;
	uint32_t len = place(rig, RIG_DATA, 6000, 5);
	unsigned n = link_up((struct vring_desc *)rig_at(rig, table), 0, RIG_DATA, len, 100), seen = 0;

	rig_desc(&rig->rx, 0, table, n * 16, INDIRECT, 0);
	for (unsigned i = 0; i < 10; i++)
		rig_offer(&rig->rx, 0);
	while (seen < 10) {
		uint16_t got = rig_rx(rig);

		assert_in_range(got, 1, 4);
		assert_true(rig->w.burst.nspan <= BURST_SPANS);
		for (unsigned i = 0; i < got; i++)
			expect_frame(rig, i, 6000, 5);
		rig_complete(rig);
		seen += got;
	}
	assert_int_equal(seen, 10);
	assert_int_equal(rig_all_drops(rig), 0);
}

/* --- chains that break the rules ---------------------------------------------------------------------- */

static uint64_t table_at(void)
{
	return RIG_DATA + 65536;
}

static struct vring_desc *table_of(struct rig *rig)
{
	return (struct vring_desc *)rig_at(rig, table_at());
}

static void bad_loop(struct rig *rig)
{
	rig_desc(&rig->rx, 0, RIG_DATA, 40, NEXT, 1);
	rig_desc(&rig->rx, 1, RIG_DATA, 40, NEXT, 0);
}

static void bad_self_loop_of_nothing(struct rig *rig)
{
	rig_desc(&rig->rx, 0, RIG_DATA, 0, NEXT, 0);
}

static void bad_next(struct rig *rig)
{
	rig_desc(&rig->rx, 0, RIG_DATA, 40, NEXT, RIG_SIZE);
}

static void bad_address(struct rig *rig)
{
	rig_desc(&rig->rx, 0, RIG_GPA + 2 * RIG_REGION, 100, 0, 0);
}

static void bad_address_below(struct rig *rig)
{
	rig_desc(&rig->rx, 0, RIG_GPA - 50, 100, 0, 0);
}

static void bad_end(struct rig *rig)
{
	rig_desc(&rig->rx, 0, RIG_GPA + 2 * RIG_REGION - 99, 100, 0, 0);
}

static void bad_wrap(struct rig *rig)
{
	rig_desc(&rig->rx, 0, UINT64_MAX - 20, 100, 0, 0);
}

static void bad_second_address(struct rig *rig)
{
	rig_desc(&rig->rx, 0, RIG_DATA, 12, NEXT, 1);
	rig_desc(&rig->rx, 1, 0, 100, 0, 0);
}

static void bad_lengths(struct rig *rig)
{
	rig_desc(&rig->rx, 0, RIG_DATA, UINT32_MAX, NEXT, 1);
	rig_desc(&rig->rx, 1, RIG_DATA, 100, 0, 0);
}

static void bad_direction(struct rig *rig)
{
	rig_desc(&rig->rx, 0, RIG_DATA, 100, WRITE, 0);
}

static void bad_empty(struct rig *rig)
{
	rig_desc(&rig->rx, 0, RIG_DATA, 0, 0, 0);
}

static void bad_half_header(struct rig *rig)
{
	rig_desc(&rig->rx, 0, RIG_DATA, VHOST_HDR - 1, 0, 0);
}

static void bad_too_many_pieces(struct rig *rig)
{
	link_up(rig->rx.desc, 0, RIG_DATA, (FRAME_SPANS + 2) * 20, 20);
}

static void bad_indirect_in_indirect(struct rig *rig)
{
	*table_of(rig) = (struct vring_desc){table_at(), 16, INDIRECT, 0};
	rig_desc(&rig->rx, 0, table_at(), 16, INDIRECT, 0);
}

static void bad_indirect_with_next(struct rig *rig)
{
	*table_of(rig) = (struct vring_desc){RIG_DATA, 100, 0, 0};
	rig_desc(&rig->rx, 0, table_at(), 16, INDIRECT | NEXT, 1);
}

static void bad_indirect_size(struct rig *rig)
{
	rig_desc(&rig->rx, 0, table_at(), 17, INDIRECT, 0);
}

static void bad_indirect_none(struct rig *rig)
{
	rig_desc(&rig->rx, 0, table_at(), 0, INDIRECT, 0);
}

static void bad_indirect_unaligned(struct rig *rig)
{
	rig_desc(&rig->rx, 0, table_at() + 1, 16, INDIRECT, 0);
}

static void bad_indirect_outside(struct rig *rig)
{
	rig_desc(&rig->rx, 0, RIG_GPA + 2 * RIG_REGION - 16, 32, INDIRECT, 0);
}

static void bad_indirect_too_long(struct rig *rig)
{
	link_up(table_of(rig), 0, RIG_DATA, 100, 100);
	rig_desc(&rig->rx, 0, table_at(), (RIG_SIZE + 1) * 16, INDIRECT, 0);
}

static void bad_indirect_next(struct rig *rig)
{
	*table_of(rig) = (struct vring_desc){RIG_DATA, 100, NEXT, 1};
	rig_desc(&rig->rx, 0, table_at(), 16, INDIRECT, 0);
}

static void short_frame(struct rig *rig)
{
	rig_desc(&rig->rx, 0, RIG_DATA, VHOST_HDR + 13, 0, 0);
}

static void long_frame(struct rig *rig)
{
	rig_desc(&rig->rx, 0, RIG_DATA, VHOST_HDR + FRAME_MAX + 1, 0, 0);
}

static void unknown_gso(struct rig *rig)
{
	rig_desc(&rig->rx, 0, RIG_DATA, place(rig, RIG_DATA, 100, 0), 0, 0);
	rig_at(rig, RIG_DATA)[1] = VIRTIO_NET_HDR_GSO_UDP;
}

static void wild_gso(struct rig *rig)
{
	rig_desc(&rig->rx, 0, RIG_DATA, place(rig, RIG_DATA, 100, 0), 0, 0);
	rig_at(rig, RIG_DATA)[1] = 0xff;
}

static void csum_out_of_frame(struct rig *rig)
{
	struct virtio_net_hdr hdr = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 2000, .csum_offset = 16};

	rig_desc(&rig->rx, 0, RIG_DATA, place(rig, RIG_DATA, 100, 0), 0, 0);
	memcpy(rig_at(rig, RIG_DATA), &hdr, sizeof(hdr));
}

static const struct {
	const char *name;
	void (*make)(struct rig *rig); /* the chain at descriptor 0 */
	enum drop_reason reason;
} wrong[] = {
	{"loop", bad_loop, DROP_BAD_RING},
	{"loop of empty descriptors", bad_self_loop_of_nothing, DROP_BAD_RING},
	{"next out of the ring", bad_next, DROP_BAD_RING},
	{"address above memory", bad_address, DROP_BAD_RING},
	{"address below memory", bad_address_below, DROP_BAD_RING},
	{"ends above memory", bad_end, DROP_BAD_RING},
	{"wraps around", bad_wrap, DROP_BAD_RING},
	{"second address", bad_second_address, DROP_BAD_RING},
	{"sum of lengths", bad_lengths, DROP_BAD_RING},
	{"write-only", bad_direction, DROP_BAD_RING},
	{"empty", bad_empty, DROP_BAD_RING},
	{"half a header", bad_half_header, DROP_BAD_RING},
	{"too many pieces", bad_too_many_pieces, DROP_BAD_RING},
	{"indirect in indirect", bad_indirect_in_indirect, DROP_BAD_RING},
	{"indirect with next", bad_indirect_with_next, DROP_BAD_RING},
	{"indirect: half an entry", bad_indirect_size, DROP_BAD_RING},
	{"indirect: empty", bad_indirect_none, DROP_BAD_RING},
	{"indirect: unaligned", bad_indirect_unaligned, DROP_BAD_RING},
	{"indirect: outside", bad_indirect_outside, DROP_BAD_RING},
	{"indirect: longer than the ring", bad_indirect_too_long, DROP_BAD_RING},
	{"indirect: next out of the table", bad_indirect_next, DROP_BAD_RING},
	{"13 bytes", short_frame, DROP_MALFORMED},
	{"longer than any frame", long_frame, DROP_MALFORMED},
	{"UDP segmentation", unknown_gso, DROP_BAD_OFFLOAD},
	{"gso_type 255", wild_gso, DROP_BAD_OFFLOAD},
	{"checksum out of the frame", csum_out_of_frame, DROP_BAD_OFFLOAD},
};

/* Each is given back unread and counted once; frames before and after it arrive. */
static void wrong_chains_are_counted_and_given_back(void **state)
{
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct rig *rig = rig_new();
		uint64_t good = RIG_DATA + 200000;

		wrong[i].make(rig);
		rig_desc(&rig->rx, 127, good, place(rig, good, 100, 7), 0, 0);
		rig_offer(&rig->rx, 127);
		rig_offer(&rig->rx, 0);
		rig_offer(&rig->rx, 127);
		if (rig_rx(rig) != 2)
			fail_msg("%s: %u frames", wrong[i].name, rig->w.burst.count);
		expect_frame(rig, 0, 100, 7);
		expect_frame(rig, 1, 100, 7);
		rig_complete(rig);
		if (rig_drops(rig, wrong[i].reason) != 1 || rig_all_drops(rig) != 1)
			fail_msg("%s: not counted once under its reason", wrong[i].name);
		assert_int_equal(rig_used(&rig->rx), 3);
		expect_used(rig, 1, 0);
		rig_free(rig);
	}
}

static void wrong_chains_alone_are_given_back(void **state)
{
	struct rig *rig = *state;

	bad_loop(rig);
	rig_offer(&rig->rx, 0);
	rig_offer(&rig->rx, RIG_SIZE); /* a head that is none */
	rig_offer(&rig->rx, UINT16_MAX);
	assert_int_equal(rig_rx(rig), 0);
	assert_int_equal(rig_used(&rig->rx), 3);
	assert_int_equal(rig_drops(rig, DROP_BAD_RING), 3);
}

static void indirect_must_be_negotiated(void **state)
{
	struct rig *rig = *state;
	uint32_t len = place(rig, RIG_DATA, 100, 0);

	link_up(table_of(rig), 0, RIG_DATA, len, 100);
	rig_desc(&rig->rx, 0, table_at(), 32, INDIRECT, 0);
	rig->rx.ring->indirect = false;
	rig_offer(&rig->rx, 0);
	assert_int_equal(rig_rx(rig), 0);
	assert_int_equal(rig_drops(rig, DROP_BAD_RING), 1);
}

static void index_that_jumps(void **state)
{
	struct rig *rig = *state;

	rig_desc(&rig->rx, 0, RIG_DATA, place(rig, RIG_DATA, 100, 0), 0, 0);
	rig->rx.avail->idx += RIG_SIZE + 1;
	assert_int_equal(rig_rx(rig), 0);
	assert_int_equal(rig_drops(rig, DROP_BAD_RING), 1);
	assert_int_equal(rig_rx(rig), 0);
	assert_int_equal(rig_drops(rig, DROP_BAD_RING), 1);
	rig_offer(&rig->rx, 0);
	assert_int_equal(rig_rx(rig), 1);
	expect_frame(rig, 0, 100, 0);
}

static void indices_wrap(void **state)
{
	struct rig *rig = *state;

	rig->rx.avail->idx = UINT16_MAX - 1;
	rig->rx.used->idx = UINT16_MAX - 1;
	rig->rx.ring->next_avail = UINT16_MAX - 1;
	rig->rx.ring->next_used = UINT16_MAX - 1;
	rig_desc(&rig->rx, 0, RIG_DATA, place(rig, RIG_DATA, 100, 0), 0, 0);
	for (int i = 0; i < 5; i++)
		rig_offer(&rig->rx, 0);
	assert_int_equal(rig_rx(rig), 5);
	rig_complete(rig);
	assert_int_equal(rig_used(&rig->rx), 3);
}

/* --- notifications ------------------------------------------------------------------------------------ */

static void send_some(struct rig *rig, int n)
{
	rig_desc(&rig->rx, 0, RIG_DATA, place(rig, RIG_DATA, 100, 0), 0, 0);
	for (int i = 0; i < n; i++)
		rig_offer(&rig->rx, 0);
	assert_int_equal(rig_rx(rig), n);
	rig_complete(rig);
}

static void guest_is_notified_by_flag(void **state)
{
	struct rig *rig = *state;

	send_some(rig, 5);
	assert_int_equal(rig_signals(rig->rx.call), 1);
	rig->rx.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	send_some(rig, 5);
	assert_int_equal(rig_signals(rig->rx.call), 0);
}

static void guest_is_notified_by_event_index(void **state)
{
	struct rig *rig = *state;
	uint16_t *used_event = &rig->rx.avail->ring[RIG_SIZE];

	rig->rx.ring->event_idx = true;
	rig->rx.avail->flags = VRING_AVAIL_F_NO_INTERRUPT; /* has no say */
	*used_event = 0;
	send_some(rig, 3); /* used index passes 0 */
	assert_int_equal(rig_signals(rig->rx.call), 1);
	send_some(rig, 3); /* and does not pass it again */
	assert_int_equal(rig_signals(rig->rx.call), 0);
	*used_event = 8;
	send_some(rig, 2); /* to 8: not past */
	assert_int_equal(rig_signals(rig->rx.call), 0);
	send_some(rig, 1);
	assert_int_equal(rig_signals(rig->rx.call), 1);
}

static void sleeper_is_kicked(void **state)
{
	struct rig *rig = *state;

	rig_desc(&rig->rx, 0, RIG_DATA, place(rig, RIG_DATA, 100, 0), 0, 0);
	assert_int_equal(vhost_rx_fd(&rig->port, 0), rig->rx.kick);
	for (int event_idx = 0; event_idx < 2; event_idx++) {
		uint16_t *avail_event = (uint16_t *)&rig->rx.used->ring[RIG_SIZE];
		uint64_t one = 1;

		rig->rx.ring->event_idx = event_idx;
		assert_false(vhost_arm(&rig->port, 0, true));
		if (event_idx)
			assert_int_equal(*avail_event, rig->rx.avail->idx);
		else
			assert_int_equal(rig->rx.used->flags, 0);
		rig_offer(&rig->rx, 0);
		assert_true(vhost_arm(&rig->port, 0, true));
		assert_int_equal(write(rig->rx.kick, &one, sizeof(one)), sizeof(one));
		assert_false(vhost_arm(&rig->port, 0, false));
		assert_int_equal(rig_signals(rig->rx.kick), 0); /* it was taken off the fd */
		if (event_idx)
			assert_int_equal(*avail_event, (uint16_t)(rig->rx.ring->next_avail - 1));
		else
			assert_int_equal(rig->rx.used->flags, VRING_USED_F_NO_NOTIFY);
		assert_true(vhost_arm(&rig->port, 0, true)); /* one waits already */
		assert_false(vhost_arm(&rig->port, 0, false));
		assert_int_equal(rig_rx(rig), 1);
		rig_complete(rig);
	}
}

static void rarp_is_sent_for_the_guest(void **state)
{
	static const uint8_t mac[8] = {2, 0, 0, 0, 0, 0x33, 0, 0x80};
	struct rig *rig = *state;
	const struct frame *f = &rig->w.burst.frame[0];
	uint64_t word;

	memcpy(&word, mac, sizeof(word));
	atomic_store(&rig->dev.queue[0].rarp, word);
	assert_int_equal(rig_rx(rig), 1);
	assert_int_equal(f->len, 60);
	assert_memory_equal(
		f->hdr + HDR_ROOM, "\xff\xff\xff\xff\xff\xff\2\0\0\0\0\x33\x80\x35\0\1\x08\0\6\4\0\3", 22);
	assert_memory_equal(f->hdr + HDR_ROOM + 22, mac, 6);
	assert_memory_equal(f->hdr + HDR_ROOM + 32, mac, 6);
	rig_complete(rig);
	assert_int_equal(rig_rx(rig), 0);
	assert_int_equal(rig_used(&rig->rx), 0);
}

static void ring_taken_back_in_mid_turn_is_still_completed(void **state)
{
	struct rig *rig = *state;

	rig_desc(&rig->rx, 0, RIG_DATA, place(rig, RIG_DATA, 100, 0), 0, 0);
	rig_offer(&rig->rx, 0);
	assert_int_equal(rig_rx(rig), 1);
	atomic_store(&rig->dev.queue[0].rx, NULL);
	rig_complete(rig);
	assert_int_equal(rig_used(&rig->rx), 1);
	assert_int_equal(rig->rx.ring->next_avail, 1);
	assert_int_equal(rig_rx(rig), 0);
}

/* Descriptors, tables and indices of pure noise: whatever comes of it, everything offered is given back. */
static void noise(void **state)
{
	srandom(20);
	for (unsigned round = 0; round < 3000; round++) {
		struct rig *rig = *state;
		uint8_t *table = rig_at(rig, table_at());
		unsigned offered = (unsigned)random() % RIG_SIZE, before = rig_used(&rig->rx);

		for (unsigned i = 0; i < RIG_SIZE; i++) {
			uint64_t addr = random() % 8 ? RIG_DATA + (uint64_t)random() % (2 * RIG_REGION)
						     : (uint64_t)random() << 20;

			if (random() % 4 == 0)
				addr = table_at() + ((uint64_t)random() % 64) * 16;
			rig_desc(&rig->rx, i, addr,
				(uint32_t)(random() % 4 ? random() % 3000 : random() % 64 * 16),
				(uint16_t)(random() % 8), (uint16_t)(random() % (RIG_SIZE + 4)));
			memcpy(table + i * 16, &rig->rx.desc[i], 16);
			*(uint16_t *)(table + i * 16 + 14) = (uint16_t)(random() % 8);
		}
		for (unsigned i = 0; i < offered; i++)
			rig_offer(&rig->rx, (uint16_t)(random() % (RIG_SIZE + 2)));
		for (unsigned turn = 0; turn < RIG_SIZE && (uint16_t)(rig_used(&rig->rx) - before) != offered;
			turn++)
			if (rig_rx(rig))
				rig_complete(rig);
		assert_int_equal((uint16_t)(rig_used(&rig->rx) - before), offered);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(single_descriptors_of_every_length),
		T(frame_ends_with_its_region),
		T(header_in_its_own_descriptor),
		T(linked_descriptors),
		T(headers_longer_than_the_private_copy),
		T(indirect_table),
		T(indirect_table_at_the_end_of_a_chain),
		T(buffer_across_two_regions),
		T(regions_in_turns),
		T(a_turn_is_bounded),
		T(spans_of_a_turn_are_bounded),
		cmocka_unit_test(wrong_chains_are_counted_and_given_back),
		T(wrong_chains_alone_are_given_back),
		T(indirect_must_be_negotiated),
		T(index_that_jumps),
		T(indices_wrap),
		T(guest_is_notified_by_flag),
		T(guest_is_notified_by_event_index),
		T(sleeper_is_kicked),
		T(rarp_is_sent_for_the_guest),
		T(ring_taken_back_in_mid_turn_is_still_completed),
		T(noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
