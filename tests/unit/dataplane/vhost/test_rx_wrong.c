/* Chains from a guest's ring that break the rules, indices that jump, and noise: all are counted and given back. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/dataplane/vhost/rig.h"
#include "tests/unit/unit.h"

#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

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
	rig_link(rig->rx.desc, 0, RIG_DATA, (FRAME_SPANS + 2) * 20, 20);
}

/* As many pieces as a chain may have, but the first holds more than the header: one span more than a frame has. */
static void bad_one_span_too_many(struct rig *rig)
{
	uint32_t first = VHOST_HDR + HDR_COPY + 1;

	rig_write_frame(rig, RIG_DATA, 2000, 0);
	rig_desc(&rig->rx, 0, RIG_DATA, first, NEXT, 1);
	rig_link(rig->rx.desc, 1, RIG_DATA + first, FRAME_SPANS * 20, 20);
}

static void bad_indirect_in_indirect(struct rig *rig)
{
	*table_of(rig) = (struct vring_desc){table_at(), 16, INDIRECT, 0};
	rig_desc(&rig->rx, 0, table_at(), 16, INDIRECT, 0);
}

/* An indirect table that is the ring, whose first entry is this one. */
static void bad_indirect_in_a_circle(struct rig *rig)
{
	rig_desc(&rig->rx, 0, RIG_GPA, 16, INDIRECT, 0);
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
	rig_link(table_of(rig), 0, RIG_DATA, 100, 100);
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
	rig_desc(&rig->rx, 0, RIG_DATA, rig_write_frame(rig, RIG_DATA, 100, 0), 0, 0);
	rig_at(rig, RIG_DATA)[1] = VIRTIO_NET_HDR_GSO_UDP;
}

static void wild_gso(struct rig *rig)
{
	rig_desc(&rig->rx, 0, RIG_DATA, rig_write_frame(rig, RIG_DATA, 100, 0), 0, 0);
	rig_at(rig, RIG_DATA)[1] = 0xff;
}

static void csum_out_of_frame(struct rig *rig)
{
	struct virtio_net_hdr hdr = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 2000, .csum_offset = 16};

	rig_desc(&rig->rx, 0, RIG_DATA, rig_write_frame(rig, RIG_DATA, 100, 0), 0, 0);
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
	{"one span too many", bad_one_span_too_many, DROP_BAD_RING},
	{"indirect in indirect", bad_indirect_in_indirect, DROP_BAD_RING},
	{"indirect in a circle", bad_indirect_in_a_circle, DROP_BAD_RING},
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
		rig_desc(&rig->rx, 127, good, rig_write_frame(rig, good, 100, 7), 0, 0);
		rig_offer(&rig->rx, 127);
		rig_offer(&rig->rx, 0);
		rig_offer(&rig->rx, 127);
		if (rig_rx(rig) != 2)
			fail_msg("%s: %u frames", wrong[i].name, rig->w.burst.count);
		rig_expect_frame(rig, 0, 100, 7);
		rig_expect_frame(rig, 1, 100, 7);
		rig_complete(rig);
		if (rig_drops(rig, wrong[i].reason) != 1 || rig_all_drops(rig) != 1)
			fail_msg("%s: not counted once under its reason", wrong[i].name);
		assert_int_equal(rig_used(&rig->rx), 3);
		rig_expect_empty(rig, 1, 0);
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
	uint32_t len = rig_write_frame(rig, RIG_DATA, 100, 0);

	rig_link(table_of(rig), 0, RIG_DATA, len, 100);
	rig_desc(&rig->rx, 0, table_at(), 32, INDIRECT, 0);
	rig->rx.ring->indirect = false;
	rig_offer(&rig->rx, 0);
	assert_int_equal(rig_rx(rig), 0);
	assert_int_equal(rig_drops(rig, DROP_BAD_RING), 1);
}

static void index_that_jumps(void **state)
{
	struct rig *rig = *state;

	rig_desc(&rig->rx, 0, RIG_DATA, rig_write_frame(rig, RIG_DATA, 100, 0), 0, 0);
	rig->rx.avail->idx += RIG_SIZE + 1;
	assert_int_equal(rig_rx(rig), 0);
	assert_int_equal(rig_drops(rig, DROP_BAD_RING), 1);
	assert_int_equal(rig_rx(rig), 0);
	assert_int_equal(rig_drops(rig, DROP_BAD_RING), 1);
	rig_offer(&rig->rx, 0);
	assert_int_equal(rig_rx(rig), 1);
	rig_expect_frame(rig, 0, 100, 0);
}

static void indices_wrap(void **state)
{
	struct rig *rig = *state;

	rig->rx.avail->idx = UINT16_MAX - 1;
	rig->rx.used->idx = UINT16_MAX - 1;
	rig->rx.ring->next_avail = UINT16_MAX - 1;
	rig->rx.ring->next_used = UINT16_MAX - 1;
	rig_desc(&rig->rx, 0, RIG_DATA, rig_write_frame(rig, RIG_DATA, 100, 0), 0, 0);
	for (int i = 0; i < 5; i++)
		rig_offer(&rig->rx, 0);
	assert_int_equal(rig_rx(rig), 5);
	rig_complete(rig);
	assert_int_equal(rig_used(&rig->rx), 3);
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
#define T(fn) cmocka_unit_test_setup_teardown(fn, rig_setup, rig_teardown)
		cmocka_unit_test(wrong_chains_are_counted_and_given_back),
		T(wrong_chains_alone_are_given_back),
		T(indirect_must_be_negotiated),
		T(index_that_jumps),
		T(indices_wrap),
		T(noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
