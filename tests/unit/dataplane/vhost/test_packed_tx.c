/* Frames to a guest's packed ring: whole in one buffer or in several, refused where they do not fit, and
 * nothing written that was not offered for writing. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/dataplane/vhost/packed_guest.h"
#include "tests/unit/unit.h"

#define WRITE VRING_DESC_F_WRITE

/* A frame of the pattern, the first bytes private, the rest a span. */
struct made {
	struct frame f;
	struct span span;
	uint8_t data[FRAME_MAX];
};

static struct made made[BURST_MAX];
static struct frame *frames[BURST_MAX];

static void make(unsigned i, uint32_t len, uint8_t seed)
{
	struct made *m = &made[i];
	uint32_t copy = len < HDR_COPY ? len : HDR_COPY;

	memset(&m->f, 0, sizeof(m->f));
	frame_init(&m->f);
	rig_fill(m->data, len, seed);
	memcpy(frame_data(&m->f), m->data, copy);
	m->f.len = len;
	m->f.hdr_len = (uint16_t)copy;
	m->span = (struct span){m->data + copy, len - copy};
	m->f.span = &m->span;
	m->f.nspan = len > copy;
	m->f.net = 5;
	frames[i] = &m->f;
}

static uint16_t send(struct packed_rig *p, uint16_t n)
{
	return vhost_tx(&p->rig->port, &p->rig->w, frames, n);
}

static void offer(struct packed_rig *p, uint64_t gpa, uint32_t len, uint16_t id)
{
	packed_offer(&p->tx, &(struct packed_link){gpa, len, WRITE}, 1, id);
}

static void expect_back(struct packed_rig *p, unsigned slots, uint16_t want, uint32_t want_len)
{
	uint16_t id;
	uint32_t len;

	assert_true(packed_take(&p->tx, slots, &id, &len));
	assert_int_equal(id, want);
	assert_int_equal(len, want_len);
}

static void expect_nothing_back(struct packed_rig *p)
{
	uint16_t id;
	uint32_t len;

	assert_false(packed_take(&p->tx, 1, &id, &len));
}

static void expect_hdr(struct packed_rig *p, uint64_t gpa, uint16_t buffers)
{
	struct virtio_net_hdr_mrg_rxbuf want = {.num_buffers = buffers};

	assert_memory_equal(rig_at(p->rig, gpa), &want, VHOST_HDR);
}

static void a_frame_a_buffer_round_and_round(void **state)
{
	struct packed_rig *p = *state;
	static const uint32_t lens[] = {14, 60, 64, 65, 200, 1514, 2000};

	for (unsigned i = 0; i < 5 * RIG_SIZE + 3; i++) {
		uint32_t len = lens[i % 7];
		uint16_t id = (uint16_t)(i * 13);

		offer(p, RIG_DATA, 2048, id);
		make(0, len, (uint8_t)i);
		assert_int_equal(send(p, 1), 1);
		expect_back(p, 1, id, VHOST_HDR + len);
		expect_hdr(p, RIG_DATA, 1);
		assert_memory_equal(rig_at(p->rig, RIG_DATA + VHOST_HDR), made[0].data, len);
	}
	assert_int_equal(rig_all_drops(p->rig), 0);
}

static void a_burst_into_fewer_buffers_than_frames(void **state)
{
	struct packed_rig *p = *state;

	for (unsigned i = 0; i < 20; i++)
		offer(p, RIG_DATA + i * 2048, 2048, (uint16_t)i);
	for (unsigned i = 0; i < BURST_MAX; i++)
		make(i, 60 + i, (uint8_t)i);
	assert_int_equal(send(p, BURST_MAX), 20);
	for (unsigned i = 0; i < 20; i++) {
		expect_back(p, 1, (uint16_t)i, VHOST_HDR + 60 + i);
		assert_memory_equal(rig_at(p->rig, RIG_DATA + i * 2048 + VHOST_HDR), made[i].data, 60 + i);
	}
	expect_nothing_back(p);
	offer(p, RIG_DATA, 2048, 40);
	assert_int_equal(send(p, 1), 1);
	expect_back(p, 1, 40, VHOST_HDR + 60);
}

static void a_large_frame_in_many_buffers(void **state)
{
	struct packed_rig *p = *state;
	static uint8_t got[FRAME_MAX];
	uint32_t len = 65535, done = 0;
	uint16_t id;

	for (unsigned i = 0; i < 50; i++)
		offer(p, RIG_DATA + i * 2048, 1500, (uint16_t)i);
	make(0, len, 9);
	assert_int_equal(send(p, 1), 1);
	expect_hdr(p, RIG_DATA, 44);
	for (unsigned i = 0; i < 44; i++) {
		uint32_t part, skip = i ? 0 : VHOST_HDR;

		assert_true(packed_take(&p->tx, 1, &id, &part));
		assert_int_equal(id, i);
		memcpy(got + done, rig_at(p->rig, RIG_DATA + i * 2048 + skip), part - skip);
		done += part - skip;
	}
	assert_int_equal(done, len);
	assert_memory_equal(got, made[0].data, len);
	expect_nothing_back(p);
}

static void a_frame_in_a_chain_of_descriptors(void **state)
{
	struct packed_rig *p = *state;

	packed_offer(&p->tx,
		(struct packed_link[]){{RIG_DATA, VHOST_HDR, WRITE}, {RIG_DATA + 4096, 300, WRITE},
			{RIG_DATA + 8192, 2000, WRITE}},
		3, 7);
	make(0, 1000, 4);
	assert_int_equal(send(p, 1), 1);
	expect_back(p, 3, 7, VHOST_HDR + 1000);
	expect_hdr(p, RIG_DATA, 1);
	assert_memory_equal(rig_at(p->rig, RIG_DATA + 4096), made[0].data, 300);
	assert_memory_equal(rig_at(p->rig, RIG_DATA + 8192), made[0].data + 300, 700);
}

static void too_few_buffers_touch_nothing(void **state)
{
	struct packed_rig *p = *state;

	for (unsigned i = 0; i < 3; i++)
		offer(p, RIG_DATA + i * 2048, 1500, (uint16_t)i);
	make(0, 9000, 4);
	assert_int_equal(send(p, 1), 0);
	expect_nothing_back(p);
	assert_int_equal(rig_all_drops(p->rig), 0);
	for (unsigned i = 3; i < 8; i++)
		offer(p, RIG_DATA + i * 2048, 1500, (uint16_t)i);
	assert_int_equal(send(p, 1), 1);
	expect_back(p, 1, 0, 1500);
	expect_hdr(p, RIG_DATA, 7);
}

static void without_mergeable_buffers_a_longer_frame_is_dropped_alone(void **state)
{
	struct packed_rig *p = *state;

	p->tx.ring->mergeable = false;
	offer(p, RIG_DATA, 500, 1);
	make(0, 600, 4);
	make(1, 400, 5);
	assert_int_equal(send(p, 2), 2);
	assert_int_equal(rig_drops(p->rig, DROP_MTU), 1);
	expect_back(p, 1, 1, VHOST_HDR + 400);
	assert_memory_equal(rig_at(p->rig, RIG_DATA + VHOST_HDR), made[1].data, 400);
}

static void buffers_that_may_not_be_written_are_given_back_empty(void **state)
{
	struct packed_rig *p = *state;
	static const struct packed_link bad[] = {{RIG_DATA, 2048, 0},
		{RIG_GPA + 2 * RIG_REGION - 10, 2048, WRITE}, {RIG_DATA, 5, WRITE}, {RIG_DATA, 0, WRITE}};

	for (unsigned i = 0; i < 4; i++) {
		packed_offer(&p->tx, &bad[i], 1, (uint16_t)i);
		make(0, 600, 4);
		assert_int_equal(send(p, 1), 1);
		assert_int_equal(rig_drops(p->rig, DROP_BAD_RING), i + 1);
		expect_back(p, 1, (uint16_t)i, 0);
		offer(p, RIG_DATA, 2048, 50);
		assert_int_equal(send(p, 1), 1);
		expect_back(p, 1, 50, VHOST_HDR + 600);
	}
}

static void what_was_begun_goes_back_empty_when_a_later_buffer_is_bad(void **state)
{
	struct packed_rig *p = *state;

	offer(p, RIG_DATA, 300, 1);
	packed_offer(&p->tx, &(struct packed_link){RIG_DATA, 300, 0}, 1, 2);
	make(0, 500, 4);
	assert_int_equal(send(p, 1), 1);
	assert_int_equal(rig_drops(p->rig, DROP_BAD_RING), 1);
	expect_back(p, 1, 1, 0);
	expect_back(p, 1, 2, 0);
}

static void an_offload_reaches_the_guest(void **state)
{
	struct packed_rig *p = *state;
	struct virtio_net_hdr_mrg_rxbuf hdr;

	offer(p, RIG_DATA, 2048, 1);
	make(0, 600, 4);
	made[0].f.off.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	made[0].f.off.csum_start = 34;
	made[0].f.off.csum_offset = 6;
	assert_int_equal(send(p, 1), 1);
	memcpy(&hdr, rig_at(p->rig, RIG_DATA), sizeof(hdr));
	assert_int_equal(hdr.hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(hdr.hdr.csum_start, 34);
	assert_int_equal(hdr.num_buffers, 1);
}

/* More chains than a burst may note at once: large frames beside small ones, all in small buffers. */
static void large_frames_in_small_buffers_beside_each_other(void **state)
{
	struct packed_rig *p = *state;
	const unsigned chains = 32 + 64 + BURST_MAX - 2;

	p->tx.ring->mask = 4 * RIG_SIZE - 1;
	for (unsigned i = 0; i < chains; i++)
		offer(p, RIG_DATA + i * 256, 256, (uint16_t)i);
	make(0, 8000, 1);
	make(1, 16300, 2);
	for (unsigned i = 2; i < BURST_MAX; i++)
		make(i, 60, (uint8_t)i);
	assert_int_equal(send(p, BURST_MAX), BURST_MAX);
	for (unsigned i = 0; i < chains; i++) {
		uint32_t len = i == 31 ? 8012 % 256 : i == 95 ? 16312 % 256 : i > 95 ? 72 : 256;

		expect_back(p, 1, (uint16_t)i, len);
	}
	expect_nothing_back(p);
	expect_hdr(p, RIG_DATA, 32);
	expect_hdr(p, RIG_DATA + 32 * 256, 64);
	assert_memory_equal(rig_at(p->rig, RIG_DATA + 96 * 256 + VHOST_HDR), made[2].data, 60);
	assert_int_equal(rig_all_drops(p->rig), 0);
}

/* A frame that needs more buffers than one may take is dropped, and they stay for the next. */
static void a_frame_takes_so_many_buffers_at_the_most(void **state)
{
	struct packed_rig *p = *state;

	p->tx.ring->mask = 4 * RIG_SIZE - 1;
	for (unsigned i = 0; i < 400; i++)
		offer(p, RIG_DATA + i * 256, 256, (uint16_t)i);
	make(0, 8000, 1);
	make(1, 65000, 2);
	make(2, 1000, 3);
	assert_int_equal(send(p, 3), 3);
	assert_int_equal(rig_drops(p->rig, DROP_BUDGET), 1);
	assert_int_equal(rig_all_drops(p->rig), 1);
	assert_int_equal(p->tx.ring->links, 32 + VHOST_FRAME_CHAINS + 4);
	for (unsigned i = 0; i < 36; i++)
		expect_back(p, 1, (uint16_t)i, i == 31 ? 8012 % 256 : i == 35 ? 1012 % 256 : 256);
	expect_nothing_back(p);
	expect_hdr(p, RIG_DATA + 32 * 256, 4);
}

/* Whatever the shape of its buffers, a guest has no more of them read for a burst of large frames. */
static void what_a_burst_reads_is_bounded(void **state)
{
	static const unsigned links[] = {1, 2, 16, FRAME_SPANS + 1};

	for (unsigned k = 0; k < sizeof(links) / sizeof(links[0]); k++) {
		struct packed_rig *p = packed_new();
		struct packed_link link[FRAME_SPANS + 1];

		p->tx.ring->mask = 4 * RIG_SIZE - 1;
		for (unsigned i = 0; i < links[k]; i++)
			link[i] = (struct packed_link){RIG_DATA + i, i ? 1 : VHOST_HDR, WRITE};
		for (unsigned i = 0; i < 4 * RIG_SIZE / links[k]; i++)
			packed_offer(&p->tx, link, links[k], (uint16_t)i);
		for (unsigned i = 0; i < BURST_MAX; i++)
			make(i, FRAME_MAX, 64);
		assert_in_range(send(p, BURST_MAX), 0, BURST_MAX);
		assert_in_range(p->tx.ring->links, 1,
			VHOST_TX_LINKS_MERGED + FRAME_MAX / VHOST_TX_LINK_BYTES + VHOST_LINKS);
		assert_int_equal(rig_drops(p->rig, DROP_BUDGET), rig_all_drops(p->rig));
		expect_nothing_back(p);
		packed_free(p);
	}
}

static void a_mad_guest(void **state)
{
	struct packed_rig *p = *state;
	uint32_t random = 54321;

	for (unsigned i = 0; i < BURST_MAX; i++)
		make(i, 60 + i * 200, (uint8_t)i);
	for (unsigned round = 0; round < 20000; round++) {
		for (unsigned i = 0; i < 12; i++) {
			random = random * 1664525 + 1013904223;
			p->tx.slot[(random >> 9) % RIG_SIZE] =
				(struct vring_packed_desc){RIG_DATA + (random >> 12), random >> 19, 1,
					(uint16_t)(random >> 16 | (random % 2 ? WRITE : 0))};
		}
		assert_in_range(send(p, (uint16_t)(1 + random % BURST_MAX)), 0, BURST_MAX);
		assert_in_range(p->tx.ring->next_avail, 0, RIG_SIZE - 1);
		assert_int_equal(p->tx.ring->next_used, p->tx.ring->next_avail);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, packed_setup, packed_teardown)
		T(a_frame_a_buffer_round_and_round),
		T(a_burst_into_fewer_buffers_than_frames),
		T(a_large_frame_in_many_buffers),
		T(a_frame_in_a_chain_of_descriptors),
		T(too_few_buffers_touch_nothing),
		T(without_mergeable_buffers_a_longer_frame_is_dropped_alone),
		T(buffers_that_may_not_be_written_are_given_back_empty),
		T(what_was_begun_goes_back_empty_when_a_later_buffer_is_bad),
		T(an_offload_reaches_the_guest),
		T(large_frames_in_small_buffers_beside_each_other),
		T(a_frame_takes_so_many_buffers_at_the_most),
		cmocka_unit_test(what_a_burst_reads_is_bounded),
		T(a_mad_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
