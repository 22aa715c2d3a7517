/* Frames from a guest's packed ring: every lawful shape of chain arrives whole, every other is counted and
 * given back. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/dataplane/vhost/packed_guest.h"
#include "tests/unit/unit.h"

#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

static void expect_back(struct packed_rig *p, unsigned slots, uint16_t want)
{
	uint16_t id;
	uint32_t len;

	assert_true(packed_take(&p->rx, slots, &id, &len));
	assert_int_equal(id, want);
	assert_int_equal(len, 0);
}

static void expect_nothing_back(struct packed_rig *p)
{
	uint16_t id;
	uint32_t len;

	assert_false(packed_take(&p->rx, 1, &id, &len));
}

/* A good frame arrives and goes back: what came before has done no lasting harm. */
static void expect_well(struct packed_rig *p)
{
	packed_offer(
		&p->rx, &(struct packed_link){RIG_DATA, rig_write_frame(p->rig, RIG_DATA, 100, 77)}, 1, 99);
	assert_int_equal(rig_rx(p->rig), 1);
	rig_expect_frame(p->rig, 0, 100, 77);
	rig_complete(p->rig);
	expect_back(p, 1, 99);
}

static void frames_of_every_length_round_and_round(void **state)
{
	static const uint32_t lens[] = {14, 59, 60, 63, 64, 65, 128, 1514, 9000, 65535, FRAME_MAX};
	struct packed_rig *p = *state;

	for (unsigned i = 0; i < 5 * RIG_SIZE + 3; i++) {
		uint32_t len = lens[i % (sizeof(lens) / sizeof(lens[0]))];
		uint16_t id = (uint16_t)(i * 7);

		packed_offer(&p->rx,
			&(struct packed_link){RIG_DATA, rig_write_frame(p->rig, RIG_DATA, len, (uint8_t)i)},
			1, id);
		assert_int_equal(rig_rx(p->rig), 1);
		assert_int_equal(p->rig->w.burst.bytes, len);
		rig_expect_frame(p->rig, 0, len, (uint8_t)i);
		expect_nothing_back(p);
		rig_complete(p->rig);
		expect_back(p, 1, id);
		assert_int_equal(rig_rx(p->rig), 0);
	}
	assert_int_equal(rig_all_drops(p->rig), 0);
}

static void header_in_its_own_descriptor(void **state)
{
	struct packed_rig *p = *state;

	rig_write_frame(p->rig, RIG_DATA, 1000, 1);
	packed_offer(
		&p->rx, (struct packed_link[]){{RIG_DATA, VHOST_HDR}, {RIG_DATA + VHOST_HDR, 1000}}, 2, 5);
	assert_int_equal(rig_rx(p->rig), 1);
	rig_expect_frame(p->rig, 0, 1000, 1);
	rig_complete(p->rig);
	expect_back(p, 2, 5);
	expect_well(p);
}

static void linked_descriptors_that_cut_the_header_and_cross_the_regions(void **state)
{
	struct packed_rig *p = *state;
	struct packed_link link[60];
	uint64_t at = RIG_GPA + RIG_REGION - 150;
	static uint8_t whole[VHOST_HDR + 288];

	memset(whole, 0, VHOST_HDR);
	rig_fill(whole + VHOST_HDR, 288, 2);
	for (unsigned i = 0; i < sizeof(whole); i++)
		*rig_at(p->rig, at + i) = whole[i];
	for (unsigned i = 0; i < 60; i++)
		link[i] = (struct packed_link){at + i * 5, 5};
	packed_offer(&p->rx, link, 60, 11);
	assert_int_equal(rig_rx(p->rig), 1);
	rig_expect_frame(p->rig, 0, 288, 2);
	rig_complete(p->rig);
	expect_back(p, 60, 11);
	expect_well(p);
}

static void indirect_table(void **state)
{
	struct packed_rig *p = *state;
	struct vring_packed_desc *table = (struct vring_packed_desc *)rig_at(p->rig, RIG_DATA + 65536);

	rig_write_frame(p->rig, RIG_DATA, 500, 3);
	table[0] = (struct vring_packed_desc){RIG_DATA, VHOST_HDR, 0, 0};
	table[1] = (struct vring_packed_desc){RIG_DATA + VHOST_HDR, 200, 0, 0};
	table[2] = (struct vring_packed_desc){RIG_DATA + VHOST_HDR + 200, 300, 0, 0};
	packed_offer(&p->rx, &(struct packed_link){RIG_DATA + 65536, 3 * sizeof(*table), INDIRECT}, 1, 4);
	assert_int_equal(rig_rx(p->rig), 1);
	rig_expect_frame(p->rig, 0, 500, 3);
	rig_complete(p->rig);
	expect_back(p, 1, 4);
}

static void a_burst_of_all_kinds_keeps_its_order(void **state)
{
	struct packed_rig *p = *state;
	static const unsigned slots[] = {1, 2, 3, 1, 1, 3, 2, 1};

	for (unsigned i = 0; i < 8; i++) {
		uint64_t at = RIG_DATA + i * 4096;
		uint32_t len = rig_write_frame(p->rig, at, 100 + i, (uint8_t)i);
		struct packed_link one[] = {{at, len}},
				   two[] = {{at, VHOST_HDR}, {at + VHOST_HDR, len - VHOST_HDR}},
				   three[] = {{at, 20}, {at + 20, 30}, {at + 50, len - 50}};

		packed_offer(&p->rx,
			slots[i] == 1	? one
			: slots[i] == 2 ? two
					: three,
			slots[i], (uint16_t)(20 + i));
	}
	assert_int_equal(rig_rx(p->rig), 8);
	for (unsigned i = 0; i < 8; i++)
		rig_expect_frame(p->rig, i, 100 + i, (uint8_t)i);
	expect_nothing_back(p);
	rig_complete(p->rig);
	for (unsigned i = 0; i < 8; i++)
		expect_back(p, slots[i], (uint16_t)(20 + i));
	expect_nothing_back(p);
}

static void a_full_ring_is_taken_in_bursts(void **state)
{
	struct packed_rig *p = *state;
	unsigned got = 0;

	rig_write_frame(p->rig, RIG_DATA, 60, 5);
	for (unsigned i = 0; i < RIG_SIZE; i++)
		packed_offer(&p->rx, &(struct packed_link){RIG_DATA, VHOST_HDR + 60}, 1, (uint16_t)i);
	while (got < RIG_SIZE) {
		unsigned n = rig_rx(p->rig);

		assert_int_equal(n, BURST_MAX);
		got += n;
		rig_complete(p->rig);
	}
	assert_int_equal(rig_rx(p->rig), 0);
	for (unsigned i = 0; i < RIG_SIZE; i++)
		expect_back(p, 1, (uint16_t)i);
}

static void an_offload_that_fits_is_taken_and_one_that_does_not_is_counted(void **state)
{
	struct packed_rig *p = *state;
	uint32_t len = rig_write_frame(p->rig, RIG_DATA, 100, 5);
	struct virtio_net_hdr *hdr = (struct virtio_net_hdr *)rig_at(p->rig, RIG_DATA);

	hdr->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	hdr->csum_start = 99; /* the sum would lie past the end */
	hdr->csum_offset = 16;
	packed_offer(&p->rx, &(struct packed_link){RIG_DATA, len}, 1, 1);
	assert_int_equal(rig_rx(p->rig), 0);
	assert_int_equal(rig_drops(p->rig, DROP_BAD_OFFLOAD), 1);
	expect_back(p, 1, 1);
	expect_well(p);
}

struct bad {
	struct packed_link link[3];
	unsigned n;
};

static void bad_chains_are_counted_and_given_back(void **state)
{
	struct packed_rig *p = *state;
	static const struct bad bad[] = {
		{{{RIG_GPA + 2 * RIG_REGION, 100}}, 1},	     /* outside */
		{{{RIG_GPA + 2 * RIG_REGION - 50, 100}}, 1}, /* half outside */
		{{{RIG_DATA, 100, WRITE}}, 1},		     /* the wrong way */
		{{{RIG_DATA, 0}}, 1},			     /* empty */
		{{{RIG_DATA, 11}}, 1},			     /* not even a header */
		{{{RIG_DATA, 200}, {RIG_DATA, 100, WRITE}}, 2},
		{{{RIG_DATA, UINT32_MAX}}, 1},
		{{{RIG_DATA, INT32_MAX}, {RIG_DATA, INT32_MAX}, {RIG_DATA, INT32_MAX}}, 3},
		{{{RIG_DATA, 17, INDIRECT}}, 1}, /* no whole number of entries */
		{{{RIG_DATA, 0, INDIRECT}}, 1},
		{{{RIG_DATA + 4, 32, INDIRECT}}, 1}, /* not aligned */
		{{{RIG_GPA + 3 * RIG_REGION, 32, INDIRECT}}, 1},
		{{{RIG_DATA, 200}, {RIG_DATA, 32, INDIRECT}}, 2},
		{{{RIG_DATA, 16 * (RIG_SIZE + 1), INDIRECT}}, 1},
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint64_t drops = rig_all_drops(p->rig);

		packed_offer(&p->rx, bad[i].link, bad[i].n, (uint16_t)i);
		assert_int_equal(rig_rx(p->rig), 0);
		assert_int_equal(rig_all_drops(p->rig), drops + 1);
		expect_back(p, bad[i].n, (uint16_t)i);
		expect_well(p);
	}
}

static void a_chain_longer_than_any_frame_is_counted_and_given_back(void **state)
{
	struct packed_rig *p = *state;
	struct packed_link link[VHOST_LINKS + 10];

	for (unsigned i = 0; i < VHOST_LINKS + 10; i++)
		link[i] = (struct packed_link){RIG_DATA, 2};
	packed_offer(&p->rx, link, VHOST_LINKS + 10, 8);
	assert_int_equal(rig_rx(p->rig), 0);
	assert_int_equal(rig_drops(p->rig, DROP_BAD_RING), 1);
	expect_back(p, VHOST_LINKS + 10, 8);
	expect_well(p);
}

/* As many spans as a frame may have, and one more: a byte of the first piece that the private copy leaves. */
static void the_last_span_of_a_burst(void **state)
{
	struct packed_rig *p = *state;
	struct packed_link link[1 + FRAME_SPANS];
	uint32_t len = HDR_COPY + FRAME_SPANS * 10;

	memset(&p->rig->w.segments, 0xc5, sizeof(p->rig->w.segments));
	rig_write_frame(p->rig, RIG_DATA, len, 5);
	link[0] = (struct packed_link){RIG_DATA, VHOST_HDR + HDR_COPY};
	for (unsigned i = 0; i < FRAME_SPANS; i++)
		link[1 + i] = (struct packed_link){RIG_DATA + VHOST_HDR + HDR_COPY + i * 10, 10};
	for (unsigned n = 0; n < 5; n++) {
		link[0].len += n == 1; /* one bad chain among good ones */
		packed_offer(&p->rx, link, 1 + FRAME_SPANS, (uint16_t)n);
		link[0].len = VHOST_HDR + HDR_COPY;
		if (n == 0) {
			assert_int_equal(rig_rx(p->rig), 1);
			rig_expect_frame(p->rig, 0, len, 5);
			rig_complete(p->rig);
			expect_back(p, 1 + FRAME_SPANS, 0);
		} else {
			assert_int_equal(rig_rx(p->rig), n > 1);
			rig_complete(p->rig);
			expect_back(p, 1 + FRAME_SPANS, (uint16_t)n);
		}
	}
	assert_int_equal(rig_drops(p->rig, DROP_BAD_RING), 1);
	for (unsigned i = 0; i < sizeof(p->rig->w.segments); i++)
		assert_int_equal(((const uint8_t *)&p->rig->w.segments)[i], 0xc5);
}

static void a_chain_without_end_goes_back_as_one(void **state)
{
	struct packed_rig *p = *state;
	struct packed_link link[RIG_SIZE];

	for (unsigned i = 0; i < RIG_SIZE; i++)
		link[i] = (struct packed_link){RIG_DATA, 2, NEXT};
	packed_offer(&p->rx, link, RIG_SIZE, 3);
	assert_int_equal(rig_rx(p->rig), 0);
	assert_int_equal(rig_drops(p->rig, DROP_BAD_RING), 1);
	expect_back(p, RIG_SIZE, 3);
	expect_well(p);
}

/* Pieces that make no spans, since the header copy takes them or the frame is refused: they end the turn too. */
static void descriptors_of_a_turn_are_bounded(void **state)
{
	static const uint32_t lens[] = {HDR_COPY - 12, FRAME_MIN - 1};
	struct packed_rig *p = *state;
	struct packed_link link[VHOST_LINKS];
	uint16_t id;
	uint32_t len;

	p->rx.ring->mask = 4 * RIG_SIZE - 1;
	for (unsigned k = 0; k < 2; k++) {
		const unsigned n = rig_write_frame(p->rig, RIG_DATA, lens[k], 5), chains = 4 * RIG_SIZE / n;

		for (unsigned i = 0; i < n; i++)
			link[i] = (struct packed_link){RIG_DATA + i, 1};
		for (unsigned i = 0; i < chains; i++)
			packed_offer(&p->rx, link, n, (uint16_t)i);
		for (unsigned back = 0, turns = 0; back < chains; turns++) {
			assert_true(turns < chains);
			rig_rx(p->rig);
			assert_in_range(p->rx.ring->links, 1, VHOST_RX_LINKS + VHOST_LINKS - 1);
			rig_complete(p->rig);
			while (packed_take(&p->rx, n, &id, &len))
				assert_int_equal(id, back++);
		}
	}
}

static void the_guest_is_notified_as_it_wishes(void **state)
{
	struct packed_rig *p = *state;

	rig_signals(p->rx.call);
	expect_well(p);
	assert_int_equal(rig_signals(p->rx.call), 1);
	p->rx.wish->flags = VRING_PACKED_EVENT_FLAG_DISABLE;
	expect_well(p);
	assert_int_equal(rig_signals(p->rx.call), 0);
	/* when the descriptor in slot 1 of the next round is given back, and not before */
	p->rx.ring->event_idx = true;
	p->rx.wish->flags = VRING_PACKED_EVENT_FLAG_DESC;
	p->rx.wish->off_wrap = 1;
	for (unsigned i = 2; i < RIG_SIZE + 1; i++) {
		expect_well(p);
		assert_int_equal(rig_signals(p->rx.call), 0);
	}
	expect_well(p);
	assert_int_equal(rig_signals(p->rx.call), 1);
	expect_well(p);
	assert_int_equal(rig_signals(p->rx.call), 0);
}

static void kicks_are_asked_for_only_while_armed(void **state)
{
	struct packed_rig *p = *state;

	assert_false(vhost_arm(&p->rig->port, 0, true));
	assert_int_equal(p->rx.device_wish->flags, VRING_PACKED_EVENT_FLAG_ENABLE);
	vhost_arm(&p->rig->port, 0, false);
	assert_int_equal(p->rx.device_wish->flags, VRING_PACKED_EVENT_FLAG_DISABLE);
	packed_offer(&p->rx, &(struct packed_link){RIG_DATA, rig_write_frame(p->rig, RIG_DATA, 60, 1)}, 1, 0);
	assert_true(vhost_arm(&p->rig->port, 0, true));
}

/* Whatever stands in the ring: nothing outside the guest's memory is read, and the ring's places stay inside
 * it. */
static void a_mad_guest(void **state)
{
	struct packed_rig *p = *state;
	uint32_t random = 12345;

	for (unsigned round = 0; round < 20000; round++) {
		uint8_t *bytes = (uint8_t *)p->rx.slot;
		unsigned n;

		for (unsigned i = 0; i < 16; i++) {
			random = random * 1664525 + 1013904223;
			bytes[(random >> 8) % (RIG_SIZE * sizeof(*p->rx.slot))] = (uint8_t)(random >> 24);
			if (random % 3 == 0)
				p->rx.slot[(random >> 9) % RIG_SIZE] = (struct vring_packed_desc){
					RIG_DATA + (random >> 12), random >> 20, 1, (uint16_t)(random >> 16)};
		}
		n = rig_rx(p->rig);
		assert_in_range(n, 0, BURST_MAX);
		assert_in_range(p->rx.ring->next_avail, 0, RIG_SIZE - 1);
		rig_complete(p->rig);
		assert_int_equal(p->rx.ring->next_used, p->rx.ring->next_avail);
		assert_int_equal(p->rx.ring->used_wrap, p->rx.ring->avail_wrap);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, packed_setup, packed_teardown)
		T(frames_of_every_length_round_and_round),
		T(header_in_its_own_descriptor),
		T(linked_descriptors_that_cut_the_header_and_cross_the_regions),
		T(indirect_table),
		T(a_burst_of_all_kinds_keeps_its_order),
		T(a_full_ring_is_taken_in_bursts),
		T(an_offload_that_fits_is_taken_and_one_that_does_not_is_counted),
		T(bad_chains_are_counted_and_given_back),
		T(a_chain_longer_than_any_frame_is_counted_and_given_back),
		T(the_last_span_of_a_burst),
		T(a_chain_without_end_goes_back_as_one),
		T(descriptors_of_a_turn_are_bounded),
		T(the_guest_is_notified_as_it_wishes),
		T(kicks_are_asked_for_only_while_armed),
		T(a_mad_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
