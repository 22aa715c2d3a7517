/* Frames from a guest's ring: every lawful shape of chain arrives whole, and no turn takes more than its share. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/dataplane/frames.h"
#include "tests/unit/dataplane/vhost/rig.h"
#include "tests/unit/unit.h"

#define NEXT VRING_DESC_F_NEXT
#define INDIRECT VRING_DESC_F_INDIRECT

static void single_descriptors_of_every_length(void **state)
{
	static const uint32_t lens[] = {14, 15, 59, 60, 63, 64, 65, 128, 1514, 9000, 65535, FRAME_MAX};
	struct rig *rig = *state;

	for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		rig_desc(&rig->rx, i, RIG_DATA, rig_write_frame(rig, RIG_DATA, lens[i], (uint8_t)i), 0, 0);
		rig_offer(&rig->rx, (uint16_t)i);
		assert_int_equal(rig_rx(rig), 1);
		assert_int_equal(rig->w.burst.bytes, lens[i]);
		rig_expect_frame(rig, 0, lens[i], (uint8_t)i);
		assert_int_equal(rig_used(&rig->rx), i);
		rig_complete(rig);
		assert_int_equal(rig_used(&rig->rx), i + 1);
		rig_expect_empty(rig, (uint16_t)i, (uint16_t)i);
	}
	assert_int_equal(rig_all_drops(rig), 0);
}

static void frame_ends_with_its_region(void **state)
{
	struct rig *rig = *state;
	uint64_t at = RIG_GPA + 2 * RIG_REGION - VHOST_HDR - 20;

	rig_desc(&rig->rx, 0, at, rig_write_frame(rig, at, 20, 9), 0, 0);
	rig_offer(&rig->rx, 0);
	assert_int_equal(rig_rx(rig), 1);
	rig_expect_frame(rig, 0, 20, 9);
}

static void header_in_its_own_descriptor(void **state)
{
	struct rig *rig = *state;

	rig_write_frame(rig, RIG_DATA, 1000, 1);
	rig_desc(&rig->rx, 5, RIG_DATA, VHOST_HDR, NEXT, 9);
	rig_desc(&rig->rx, 9, RIG_DATA + VHOST_HDR, 1000, 0, 0);
	rig_offer(&rig->rx, 5);
	assert_int_equal(rig_rx(rig), 1);
	rig_expect_frame(rig, 0, 1000, 1);
	rig_complete(rig);
	rig_expect_empty(rig, 0, 5);
}

static void linked_descriptors(void **state)
{
	struct rig *rig = *state;
	uint32_t len = rig_write_frame(rig, RIG_DATA, 300, 2);

	rig_link(rig->rx.desc, 10, RIG_DATA, len, 5);
	rig_offer(&rig->rx, 10);
	assert_int_equal(rig_rx(rig), 1);
	rig_expect_frame(rig, 0, 300, 2);
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
	uint32_t len = rig_write_frame(rig, RIG_DATA, 1514, 3);
	unsigned n = rig_link((struct vring_desc *)rig_at(rig, table), 0, RIG_DATA, len, 100);

	rig_desc(&rig->rx, 7, table, n * 16, INDIRECT, 0);
	rig_offer(&rig->rx, 7);
	assert_int_equal(rig_rx(rig), 1);
	rig_expect_frame(rig, 0, 1514, 3);
	rig_complete(rig);
	rig_expect_empty(rig, 0, 7);
}

static void indirect_table_at_the_end_of_a_chain(void **state)
{
	struct rig *rig = *state;
	uint64_t table = RIG_DATA + 4096;
	uint32_t len = rig_write_frame(rig, RIG_DATA, 700, 3);
	unsigned n = rig_link(
		(struct vring_desc *)rig_at(rig, table), 0, RIG_DATA + VHOST_HDR, len - VHOST_HDR, 64);

	rig_desc(&rig->rx, 7, RIG_DATA, VHOST_HDR, NEXT, 3);
	rig_desc(&rig->rx, 3, table, n * 16, INDIRECT, 0);
	rig_offer(&rig->rx, 7);
	assert_int_equal(rig_rx(rig), 1);
	rig_expect_frame(rig, 0, 700, 3);
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
	rig_expect_frame(rig, 0, sizeof(frame), 4);
}

static void regions_in_turns(void **state)
{
	struct rig *rig = *state;

	for (unsigned i = 0; i < 32; i++) {
		uint64_t at = RIG_DATA + (i % 2) * RIG_REGION + i * 2048;

		rig_desc(&rig->rx, i, at, rig_write_frame(rig, at, 60 + i, (uint8_t)i), 0, 0);
		rig_offer(&rig->rx, (uint16_t)i);
	}
	assert_int_equal(rig_rx(rig), 32);
	for (unsigned i = 0; i < 32; i++)
		rig_expect_frame(rig, i, 60 + i, (uint8_t)i);
}

static void a_turn_takes_32_frames_or_a_bounded_number_of_bytes(void **state)
{
	struct rig *rig = *state;
	uint32_t len = rig_write_frame(rig, RIG_DATA, 65536, 0);

	rig_desc(&rig->rx, 0, RIG_DATA, rig_write_frame(rig, RIG_DATA, 60, 0), 0, 0);
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
	uint32_t len = rig_write_frame(rig, RIG_DATA, 6000, 5);
	unsigned n = rig_link((struct vring_desc *)rig_at(rig, table), 0, RIG_DATA, len, 100), seen = 0;

	rig_desc(&rig->rx, 0, table, n * 16, INDIRECT, 0);
	for (unsigned i = 0; i < 10; i++)
		rig_offer(&rig->rx, 0);
	while (seen < 10) {
		uint16_t got = rig_rx(rig);

		assert_in_range(got, 1, 4);
		assert_true(rig->w.burst.nspan <= BURST_SPANS);
		for (unsigned i = 0; i < got; i++)
			rig_expect_frame(rig, i, 6000, 5);
		rig_complete(rig);
		seen += got;
	}
	assert_int_equal(seen, 10);
	assert_int_equal(rig_all_drops(rig), 0);
}

/* Chains of as many spans as a frame may have fill a burst to the last span, and what lies behind it stays. */
static void the_last_span_of_a_burst(void **state)
{
	struct rig *rig = *state;
	uint64_t table = RIG_DATA + 65536;
	uint32_t len = rig_write_frame(rig, RIG_DATA, HDR_COPY + FRAME_SPANS * 10, 5);
	struct vring_desc *desc = (struct vring_desc *)rig_at(rig, table);
	unsigned n = 1 + rig_link(desc, 1, RIG_DATA + VHOST_HDR + HDR_COPY, len - VHOST_HDR - HDR_COPY, 10);

	memset(&rig->w.segments, 0xc5, sizeof(rig->w.segments));
	desc[0] = (struct vring_desc){RIG_DATA, VHOST_HDR + HDR_COPY, NEXT, 1};
	rig_desc(&rig->rx, 0, table, n * 16, INDIRECT, 0);
	for (unsigned i = 0; i < 5; i++)
		rig_offer(&rig->rx, 0);
	assert_int_equal(rig_rx(rig), BURST_SPANS / FRAME_SPANS);
	assert_int_equal(rig->w.burst.nspan, BURST_SPANS);
	for (unsigned i = 0; i < rig->w.burst.count; i++)
		rig_expect_frame(rig, i, HDR_COPY + FRAME_SPANS * 10, 5);
	rig_complete(rig);
	desc[0].len++; /* a byte that is a span by itself */
	assert_int_equal(rig_rx(rig), 0);
	assert_int_equal(rig_drops(rig, DROP_BAD_RING), 1);
	for (unsigned i = 0; i < sizeof(rig->w.segments); i++)
		assert_int_equal(((const uint8_t *)&rig->w.segments)[i], 0xc5);
}

/* Pieces that make no spans, since the header copy takes them or the frame is refused: they end the turn too. */
static void descriptors_of_a_turn_are_bounded(void **state)
{
	static const uint32_t lens[] = {HDR_COPY - 12, FRAME_MIN - 1};
	const unsigned chains = RIG_SIZE / 2;
	struct rig *rig = *state;
	uint64_t table = RIG_DATA + 65536;

	for (unsigned k = 0; k < 2; k++) {
		uint16_t base = rig_used(&rig->rx);
		uint32_t len = rig_write_frame(rig, RIG_DATA, lens[k], 5);
		unsigned n = rig_link((struct vring_desc *)rig_at(rig, table), 0, RIG_DATA, len, 1),
			 turns = 0;

		rig_desc(&rig->rx, 0, table, n * 16, INDIRECT, 0);
		for (unsigned i = 0; i < chains; i++)
			rig_offer(&rig->rx, 0);
		for (; (uint16_t)(rig_used(&rig->rx) - base) < chains; turns++) {
			rig_rx(rig);
			assert_in_range(rig->rx.ring->links, 1, VHOST_RX_LINKS + VHOST_LINKS - 1);
			rig_complete(rig);
		}
		assert_true(turns >= chains * n / (VHOST_RX_LINKS + VHOST_LINKS));
	}
	assert_int_equal(rig_drops(rig, DROP_MALFORMED), chains);
	assert_int_equal(rig_all_drops(rig), chains);
}

static void ring_taken_back_in_mid_turn_is_still_completed(void **state)
{
	struct rig *rig = *state;

	rig_desc(&rig->rx, 0, RIG_DATA, rig_write_frame(rig, RIG_DATA, 100, 0), 0, 0);
	rig_offer(&rig->rx, 0);
	assert_int_equal(rig_rx(rig), 1);
	atomic_store(&rig->dev.queue[0].rx, NULL);
	rig_complete(rig);
	assert_int_equal(rig_used(&rig->rx), 1);
	assert_int_equal(rig->rx.ring->next_avail, 1);
	assert_int_equal(rig_rx(rig), 0);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, rig_setup, rig_teardown)
		T(single_descriptors_of_every_length),
		T(frame_ends_with_its_region),
		T(header_in_its_own_descriptor),
		T(linked_descriptors),
		T(headers_longer_than_the_private_copy),
		T(indirect_table),
		T(indirect_table_at_the_end_of_a_chain),
		T(buffer_across_two_regions),
		T(regions_in_turns),
		T(a_turn_takes_32_frames_or_a_bounded_number_of_bytes),
		T(spans_of_a_turn_are_bounded),
		T(the_last_span_of_a_burst),
		T(descriptors_of_a_turn_are_bounded),
		T(rarp_is_sent_for_the_guest),
		T(ring_taken_back_in_mid_turn_is_still_completed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
