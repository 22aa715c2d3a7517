/* Frames to a ring that is wrong, or whose buffers are crumbs: one frame is lost, or the reads are bounded. */
#include "tests/unit/dataplane/vhost/tx_frames.h"

#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE

static void bad_address(struct rig *rig)
{
	rig_desc(&rig->tx, 0, RIG_GPA + 2 * RIG_REGION, 2000, WRITE, 0);
}

static void bad_end(struct rig *rig)
{
	rig_desc(&rig->tx, 0, RIG_GPA + 2 * RIG_REGION - 50, 2000, WRITE, 0);
}

static void bad_direction(struct rig *rig)
{
	rig_desc(&rig->tx, 0, RIG_DATA, 2000, 0, 0);
}

static void bad_loop(struct rig *rig)
{
	rig_desc(&rig->tx, 0, RIG_DATA, 20, WRITE | NEXT, 0);
}

static void bad_empty(struct rig *rig)
{
	rig_desc(&rig->tx, 0, RIG_DATA, 0, WRITE, 0);
}

static void bad_split_header(struct rig *rig)
{
	rig_desc(&rig->tx, 0, RIG_DATA, 6, WRITE | NEXT, 1);
	rig_desc(&rig->tx, 1, RIG_DATA + 6, 2000, WRITE, 0);
}

static void bad_second(struct rig *rig)
{
	rig_desc(&rig->tx, 0, RIG_DATA, 20, WRITE | NEXT, 1);
	rig_desc(&rig->tx, 1, UINT64_MAX, 2000, WRITE, 0);
}

static void (*const wrong[])(struct rig *rig) = {
	bad_address, bad_end, bad_direction, bad_loop, bad_empty, bad_split_header, bad_second};

/* One costs one frame, and is given back as empty; the next frame takes the next buffer. */
static void wrong_buffers_cost_one_frame(void **state)
{
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct rig *rig = rig_new();

		wrong[i](rig);
		rig_desc(&rig->tx, 100, RIG_DATA + 8192, 2000, WRITE, 0);
		rig_offer(&rig->tx, 100);
		rig_offer(&rig->tx, 0);
		rig_desc(&rig->tx, 101, RIG_DATA + 12288, 2000, WRITE, 0);
		rig_offer(&rig->tx, 101);
		for (unsigned k = 0; k < 3; k++)
			tx_make(k, 100, 64);
		assert_int_equal(tx_send(rig, 3), 3);
		assert_int_equal(rig_drops(rig, DROP_BAD_RING), 1);
		assert_int_equal(rig_used(&rig->tx), 3);
		assert_int_equal(rig->tx.used->ring[1].id, 0);
		assert_int_equal(rig->tx.used->ring[1].len, 0);
		assert_memory_equal(rig_at(rig, RIG_DATA + 8192 + VHOST_HDR), tx_payload[0], 100);
		assert_memory_equal(rig_at(rig, RIG_DATA + 12288 + VHOST_HDR), tx_payload[2], 100);
		rig_free(rig);
	}
}

/* The buffers before a wrong one that were to hold the same frame go back as empty too. */
static void wrong_buffer_in_mid_frame(void **state)
{
	struct rig *rig = *state;

	tx_make(0, 1000, 64);
	tx_offer_buffers(rig, 2, 300);
	rig_offer(&rig->tx, RIG_SIZE + 5);
	assert_int_equal(tx_send(rig, 1), 1);
	assert_int_equal(rig_used(&rig->tx), 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(rig->tx.used->ring[i].len, 0);
	assert_int_equal(rig_drops(rig, DROP_BAD_RING), 1);
}

/* The whole of a larger ring: chains of `links` descriptors, the first of `size` bytes and the others of one. */
static void offer_crumbs(struct rig *rig, unsigned links, uint32_t size)
{
	const unsigned n = 4 * RIG_SIZE;

	rig->tx.ring->mask = (uint16_t)(n - 1);
	for (unsigned i = 0; i < n; i++) {
		bool first = i % links == 0, last = i % links == links - 1;

		rig_desc(&rig->tx, i, RIG_DATA + (uint64_t)i * 64, first ? size : 1,
			last ? WRITE : WRITE | NEXT, (uint16_t)(i + 1));
		if (first && i + links <= n)
			rig->tx.avail->ring[rig->tx.avail->idx++ % n] = (uint16_t)i;
	}
}

/* Four buffers are as many as a short frame gets; one that needs more costs four and is dropped, the buffers stay. */
static void a_short_frame_takes_four_buffers_at_most(void **state)
{
	const uint32_t fits = VHOST_TX_LINKS_MERGED * 64 - VHOST_HDR;
	struct rig *rig = *state;

	offer_crumbs(rig, 1, 64);
	tx_make(0, fits + 1, 64);
	tx_make(1, fits, 64);
	tx_make(2, 52, 64);
	assert_int_equal(tx_send(rig, 3), 3);
	assert_int_equal(rig_drops(rig, DROP_BUDGET), 1);
	assert_int_equal(rig_all_drops(rig), 1);
	assert_int_equal(rig->tx.ring->links, 2 * VHOST_TX_LINKS_MERGED);
	assert_int_equal(rig_used(&rig->tx), VHOST_TX_LINKS_MERGED + 1);
	assert_int_equal(tx_hdr(rig, RIG_DATA)->num_buffers, VHOST_TX_LINKS_MERGED);
	assert_int_equal(rig->tx.used->ring[0].len, 64);
	assert_memory_equal(rig_at(rig, RIG_DATA + VHOST_HDR), tx_payload[1], 64 - VHOST_HDR);
	assert_memory_equal(
		rig_at(rig, RIG_DATA + VHOST_TX_LINKS_MERGED * 64 + VHOST_HDR), tx_payload[2], 52);
}

/* Whatever the shape of its buffers, a guest has no more of them read for a burst of large frames. */
static void reads_for_a_burst_are_bounded(void **state)
{
	static const unsigned links[] = {1, 2, 16, FRAME_SPANS + 1};

	for (unsigned k = 0; k < sizeof(links) / sizeof(links[0]); k++) {
		struct rig *rig = rig_new();

		offer_crumbs(rig, links[k], VHOST_HDR);
		for (unsigned i = 0; i < BURST_MAX; i++)
			tx_make(i, FRAME_MAX, 64);
		/* those that find no buffer are left to the caller, who drops them */
		assert_in_range(tx_send(rig, BURST_MAX), 0, BURST_MAX);
		assert_in_range(rig->tx.ring->links, 1,
			VHOST_TX_LINKS_MERGED + FRAME_MAX / VHOST_TX_LINK_BYTES + VHOST_LINKS);
		assert_int_equal(rig_used(&rig->tx), 0);
		assert_int_equal(rig_drops(rig, DROP_BUDGET), rig_all_drops(rig));
		rig_free(rig);
	}
}

/* Also when each frame is shorter than the last, so that it is tried anew. */
static void reads_for_frames_of_falling_length_are_bounded(void **state)
{
	struct rig *rig = *state;

	offer_crumbs(rig, 2, VHOST_HDR);
	for (unsigned i = 0; i < BURST_MAX; i++)
		tx_make(i, 64 + (BURST_MAX - i) * 2000, 64);
	assert_int_equal(tx_send(rig, BURST_MAX), BURST_MAX);
	assert_int_equal(rig_drops(rig, DROP_BUDGET), BURST_MAX);
	assert_in_range(rig->tx.ring->links, VHOST_FRAME_CHAINS, VHOST_TX_LINKS_MAX + VHOST_LINKS);
}

/* Who offers more pieces than a short frame may have read loses as many as it overdraws, and not all that follow. */
static void frames_over_the_bound_drop_no_later_ones(void **state)
{
	struct rig *rig = *state;

	offer_crumbs(rig, 5, 64);
	for (unsigned i = 0; i < 25; i++)
		tx_make(i, 52, 52);
	assert_int_equal(tx_send(rig, 25), 25);
	assert_int_equal(rig_used(&rig->tx), 20);
	assert_int_equal(rig_drops(rig, DROP_BUDGET), 5);
	assert_int_equal(rig->tx.ring->links, 25 * VHOST_TX_LINKS_MERGED);
}

/* The buffers are read once, for the first frame that does not fit; frames that need no such reading still arrive. */
static void frames_without_a_read_arrive_over_the_bound(void **state)
{
	struct rig *rig = *state;

	offer_crumbs(rig, 1, 100);
	for (unsigned i = 0; i < BURST_MAX; i++)
		tx_make(i, i % 2 ? 60 : FRAME_MAX, 64);
	assert_int_equal(tx_send(rig, BURST_MAX), BURST_MAX);
	assert_int_equal(rig_drops(rig, DROP_BUDGET), BURST_MAX / 2);
	assert_int_equal(rig_used(&rig->tx), BURST_MAX / 2);
	assert_int_equal(rig->tx.ring->links, VHOST_FRAME_CHAINS);
}

static void index_that_jumps(void **state)
{
	struct rig *rig = *state;

	tx_make(0, 100, 64);
	rig->tx.avail->idx += RIG_SIZE + 1;
	assert_int_equal(tx_send(rig, 1), 0);
	tx_offer_buffers(rig, 1, 1000);
	assert_int_equal(tx_send(rig, 1), 1);
	assert_int_equal(rig_used(&rig->tx), 1);
}

static void ring_taken_back(void **state)
{
	struct rig *rig = *state;

	tx_make(0, 100, 64);
	tx_make(1, 100, 64);
	atomic_store(&rig->dev.queue[0].tx, NULL);
	assert_int_equal(tx_send(rig, 2), 2);
	assert_int_equal(rig_drops(rig, DROP_LINK_DOWN), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, tx_setup, tx_teardown)
		cmocka_unit_test(wrong_buffers_cost_one_frame),
		T(wrong_buffer_in_mid_frame),
		T(a_short_frame_takes_four_buffers_at_most),
		cmocka_unit_test(reads_for_a_burst_are_bounded),
		T(reads_for_frames_of_falling_length_are_bounded),
		T(frames_over_the_bound_drop_no_later_ones),
		T(frames_without_a_read_arrive_over_the_bound),
		T(index_that_jumps),
		T(ring_taken_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
