/* Frames to a guest's ring: never a byte beyond what it offered, whatever it offered. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/dataplane/vhost/rig.h"
#include "tests/unit/unit.h"

#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

enum { CANARY = 0xc5 };

static uint8_t payload[BURST_MAX][FRAME_MAX];
static struct frame store[BURST_MAX];
static struct span spans[BURST_MAX][3];
static struct frame *frames[BURST_MAX];

static int setup(void **state)
{
	struct rig *rig = rig_new();

	*state = rig;
	for (unsigned i = 0; i < BURST_MAX; i++)
		frames[i] = &store[i];
	memset(rig_at(rig, RIG_DATA), CANARY, RIG_REGION - (RIG_DATA - RIG_GPA));
	memset(rig_at(rig, RIG_GPA + RIG_REGION), CANARY, RIG_REGION);
	return 0;
}

static int teardown(void **state)
{
	rig_free(*state);
	return 0;
}

/* Frame i: `len` bytes of the pattern, `hdr` of them private, the rest in up to three spans. */
static void make(unsigned i, uint32_t len, uint16_t hdr)
{
	struct frame *f = &store[i];
	uint32_t at;

	rig_fill(payload[i], len, (uint8_t)i);
	frame_init(f);
	f->net = 5;
	f->len = len;
	f->hdr_len = (uint16_t)(len < hdr ? len : hdr);
	if (hdr > HDR_MAX) /* the switch has put headers of its own before it */
		f->hdr_off -= hdr - HDR_MAX;
	memcpy(f->hdr + f->hdr_off, payload[i], f->hdr_len);
	f->span = spans[i];
	at = f->hdr_len;
	while (at < len) {
		uint32_t part = f->nspan == 2 ? len - at : (len - at + 1) / 2;

		spans[i][f->nspan++] = (struct span){payload[i] + at, part};
		at += part;
	}
}

static uint16_t send(struct rig *rig, uint16_t n)
{
	return vhost_tx(&rig->port, &rig->w, frames, n);
}

static const struct virtio_net_hdr_mrg_rxbuf *hdr_at(struct rig *rig, uint64_t gpa)
{
	return (const struct virtio_net_hdr_mrg_rxbuf *)rig_at(rig, gpa);
}

/* Single buffers of `size` bytes, 4 KB apart, for the whole ring. */
static void offer_buffers(struct rig *rig, unsigned n, uint32_t size)
{
	for (unsigned i = 0; i < n; i++) {
		rig_desc(&rig->tx, i, RIG_DATA + (uint64_t)i * 4096, size, WRITE, 0);
		rig_offer(&rig->tx, (uint16_t)i);
	}
}

static void frames_of_every_length(void **state)
{
	static const uint32_t lens[] = {
		14, 15, 16, 17, 31, 32, 33, 59, 60, 63, 64, 65, 66, 100, 127, 128, 129, 1514, 4000};
	enum { N = sizeof(lens) / sizeof(lens[0]) };
	static const uint16_t hdrs[] = {14, 64, 128, 156, HDR_MAX + HDR_ROOM};

	for (unsigned h = 0; h < sizeof(hdrs) / sizeof(hdrs[0]); h++) {
		struct rig *rig = *state;
		uint16_t base = rig_used(&rig->tx);

		for (unsigned i = 0; i < N; i++)
			make(i, lens[i], hdrs[h]);
		memset(rig_at(rig, RIG_DATA), CANARY, N * 4096);
		offer_buffers(rig, N, 4090);
		assert_int_equal(send(rig, N), N);
		assert_int_equal((uint16_t)(rig_used(&rig->tx) - base), N);
		for (unsigned i = 0; i < N; i++) {
			uint64_t at = RIG_DATA + i * 4096;
			const struct vring_used_elem *used = &rig->tx.used->ring[(base + i) % RIG_SIZE];

			assert_int_equal(used->id, i);
			assert_int_equal(used->len, VHOST_HDR + lens[i]);
			assert_int_equal(hdr_at(rig, at)->num_buffers, 1);
			assert_int_equal(hdr_at(rig, at)->hdr.flags, 0);
			assert_memory_equal(rig_at(rig, at) + VHOST_HDR, payload[i], lens[i]);
			assert_int_equal(*rig_at(rig, at + VHOST_HDR + lens[i]), CANARY);
		}
		assert_int_equal(rig_all_drops(rig), 0);
	}
}

static void exact_fit_and_one_too_small(void **state)
{
	struct rig *rig = *state;

	rig->tx.ring->mergeable = false;
	make(0, 64, 64);
	make(1, 64, 64);
	offer_buffers(rig, 1, VHOST_HDR + 64);
	rig_desc(&rig->tx, 1, RIG_DATA + 4096, VHOST_HDR + 63, WRITE, 0);
	rig_offer(&rig->tx, 1);
	assert_int_equal(send(rig, 2), 2);
	assert_int_equal(rig_used(&rig->tx), 1); /* the second buffer is still the guest's to fill */
	assert_int_equal(*rig_at(rig, RIG_DATA + 4096), CANARY);
	assert_int_equal(*rig_at(rig, RIG_DATA + VHOST_HDR + 64), CANARY);
	assert_int_equal(rig_drops(rig, DROP_MTU), 1);
}

static void buffer_of_linked_descriptors(void **state)
{
	struct rig *rig = *state;

	rig->tx.ring->mergeable = false;
	make(0, 1000, 64);
	rig_desc(&rig->tx, 4, RIG_DATA, VHOST_HDR, WRITE | NEXT, 2);
	rig_desc(&rig->tx, 2, RIG_DATA + 4096, 300, WRITE | NEXT, 9);
	rig_desc(&rig->tx, 9, RIG_DATA + 8192, 900, WRITE, 0);
	rig_offer(&rig->tx, 4);
	assert_int_equal(send(rig, 1), 1);
	assert_int_equal(rig->tx.used->ring[0].id, 4);
	assert_int_equal(rig->tx.used->ring[0].len, VHOST_HDR + 1000);
	assert_int_equal(hdr_at(rig, RIG_DATA)->num_buffers, 1);
	assert_memory_equal(rig_at(rig, RIG_DATA + 4096), payload[0], 300);
	assert_memory_equal(rig_at(rig, RIG_DATA + 8192), payload[0] + 300, 700);
	assert_int_equal(*rig_at(rig, RIG_DATA + 8192 + 700), CANARY);
	assert_int_equal(*rig_at(rig, RIG_DATA + VHOST_HDR), CANARY);
}

static void buffer_in_an_indirect_table(void **state)
{
	struct rig *rig = *state;
	struct vring_desc *table = (struct vring_desc *)rig_at(rig, RIG_DATA + 65536);

	make(0, 500, 64);
	table[0] = (struct vring_desc){RIG_DATA, VHOST_HDR + 100, WRITE | NEXT, 1};
	table[1] = (struct vring_desc){RIG_DATA + 4096, 400, WRITE, 0};
	rig_desc(&rig->tx, 0, RIG_DATA + 65536, 32, INDIRECT, 0);
	rig_offer(&rig->tx, 0);
	assert_int_equal(send(rig, 1), 1);
	assert_memory_equal(rig_at(rig, RIG_DATA + VHOST_HDR), payload[0], 100);
	assert_memory_equal(rig_at(rig, RIG_DATA + 4096), payload[0] + 100, 400);
}

static void header_without_num_buffers(void **state)
{
	struct rig *rig = *state;

	rig->tx.ring->mergeable = false;
	rig->tx.ring->hdr_len = VHOST_HDR_LEGACY;
	make(0, 64, 64);
	offer_buffers(rig, 1, 1000);
	assert_int_equal(send(rig, 1), 1);
	assert_int_equal(rig->tx.used->ring[0].len, VHOST_HDR_LEGACY + 64);
	assert_memory_equal(rig_at(rig, RIG_DATA + VHOST_HDR_LEGACY), payload[0], 64);
}

/* A frame over n buffers, between two that take one each. */
static void mergeable_buffers(void **state)
{
	struct rig *rig = *state;
	uint32_t at = 0;

	make(0, 60, 64);
	make(1, 5000, 64);
	make(2, 61, 64);
	offer_buffers(rig, 12, 700);
	assert_int_equal(send(rig, 3), 3);
	assert_int_equal(rig_used(&rig->tx), 1 + 8 + 1); /* 5012 bytes in buffers of 700 */
	assert_int_equal(hdr_at(rig, RIG_DATA)->num_buffers, 1);
	assert_int_equal(hdr_at(rig, RIG_DATA + 4096)->num_buffers, 8);
	for (unsigned i = 0; i < 8; i++) {
		uint32_t skip = i ? 0 : VHOST_HDR, part = 5000 - at < 700 - skip ? 5000 - at : 700 - skip;

		assert_int_equal(rig->tx.used->ring[1 + i].id, 1 + i);
		assert_int_equal(rig->tx.used->ring[1 + i].len, skip + part);
		assert_memory_equal(rig_at(rig, RIG_DATA + (1 + i) * 4096 + skip), payload[1] + at, part);
		at += part;
	}
	assert_int_equal(hdr_at(rig, RIG_DATA + 9 * 4096)->num_buffers, 1);
	assert_memory_equal(rig_at(rig, RIG_DATA + 9 * 4096 + VHOST_HDR), payload[2], 61);
}

static void full_ring(void **state)
{
	struct rig *rig = *state;

	for (unsigned i = 0; i < 8; i++)
		make(i, 100, 64);
	assert_int_equal(send(rig, 8), 0);
	offer_buffers(rig, 5, 1000);
	assert_int_equal(send(rig, 8), 5);
	assert_int_equal(rig_used(&rig->tx), 5);
	make(0, 2000, 64);
	offer_buffers(rig, 2, 700); /* three are needed: neither is used up */
	assert_int_equal(send(rig, 8), 0);
	assert_int_equal(rig_used(&rig->tx), 5);
	offer_buffers(rig, 2, 700);
	assert_int_equal(send(rig, 8), 2);
	assert_int_equal(rig_used(&rig->tx), 9);
	assert_int_equal(rig_all_drops(rig), 0);
}

static void offloads_are_handed_over(void **state)
{
	struct rig *rig = *state;
	const struct virtio_net_hdr *hdr = &hdr_at(rig, RIG_DATA)->hdr;

	make(0, 3000, 64);
	store[0].off = (struct offload){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = 54,
		.gso_size = 1448,
		.csum_start = 34,
		.csum_offset = 16};
	offer_buffers(rig, 2, 4000);
	assert_int_equal(send(rig, 1), 1);
	assert_memory_equal(hdr, &store[0].off, sizeof(store[0].off));
	make(0, 100, 64);
	store[0].off.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	rig->tx.ring->tx_flags = 0; /* GUEST_CSUM was not negotiated: it knows no such flag */
	assert_int_equal(send(rig, 1), 1);
	assert_int_equal(hdr_at(rig, RIG_DATA + 4096)->hdr.flags, 0);
}

static void notified_once_a_call(void **state)
{
	struct rig *rig = *state;

	for (unsigned i = 0; i < 8; i++)
		make(i, 100 + i * 200, 64);
	offer_buffers(rig, 60, 300);
	assert_int_equal(send(rig, 8), 8);
	assert_int_equal(rig_signals(rig->tx.call), 1);
	rig->tx.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	assert_int_equal(send(rig, 4), 4);
	assert_int_equal(rig_signals(rig->tx.call), 0);
}

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
			make(k, 100, 64);
		assert_int_equal(send(rig, 3), 3);
		assert_int_equal(rig_drops(rig, DROP_BAD_RING), 1);
		assert_int_equal(rig_used(&rig->tx), 3);
		assert_int_equal(rig->tx.used->ring[1].id, 0);
		assert_int_equal(rig->tx.used->ring[1].len, 0);
		assert_memory_equal(rig_at(rig, RIG_DATA + 8192 + VHOST_HDR), payload[0], 100);
		assert_memory_equal(rig_at(rig, RIG_DATA + 12288 + VHOST_HDR), payload[2], 100);
		rig_free(rig);
	}
}

/* The buffers before a wrong one that were to hold the same frame go back as empty too. */
static void wrong_buffer_in_mid_frame(void **state)
{
	struct rig *rig = *state;

	make(0, 1000, 64);
	offer_buffers(rig, 2, 300);
	rig_offer(&rig->tx, RIG_SIZE + 5);
	assert_int_equal(send(rig, 1), 1);
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
static void a_frame_takes_so_many_buffers_at_the_most(void **state)
{
	const uint32_t fits = VHOST_TX_LINKS_MERGED * 64 - VHOST_HDR;
	struct rig *rig = *state;

	offer_crumbs(rig, 1, 64);
	make(0, fits + 1, 64);
	make(1, fits, 64);
	make(2, 52, 64);
	assert_int_equal(send(rig, 3), 3);
	assert_int_equal(rig_drops(rig, DROP_BUDGET), 1);
	assert_int_equal(rig_all_drops(rig), 1);
	assert_int_equal(rig->tx.ring->links, 2 * VHOST_TX_LINKS_MERGED);
	assert_int_equal(rig_used(&rig->tx), VHOST_TX_LINKS_MERGED + 1);
	assert_int_equal(hdr_at(rig, RIG_DATA)->num_buffers, VHOST_TX_LINKS_MERGED);
	assert_int_equal(rig->tx.used->ring[0].len, 64);
	assert_memory_equal(rig_at(rig, RIG_DATA + VHOST_HDR), payload[1], 64 - VHOST_HDR);
	assert_memory_equal(rig_at(rig, RIG_DATA + VHOST_TX_LINKS_MERGED * 64 + VHOST_HDR), payload[2], 52);
}

/* Whatever the shape of its buffers, a guest has no more of them read for a burst of large frames. */
static void what_a_burst_reads_is_bounded(void **state)
{
	static const unsigned links[] = {1, 2, 16, FRAME_SPANS + 1};

	for (unsigned k = 0; k < sizeof(links) / sizeof(links[0]); k++) {
		struct rig *rig = rig_new();

		offer_crumbs(rig, links[k], VHOST_HDR);
		for (unsigned i = 0; i < BURST_MAX; i++)
			make(i, FRAME_MAX, 64);
		/* those that find no buffer are left to the caller, who drops them */
		assert_in_range(send(rig, BURST_MAX), 0, BURST_MAX);
		assert_in_range(rig->tx.ring->links, 1,
			VHOST_TX_LINKS_MERGED + FRAME_MAX / VHOST_TX_LINK_BYTES + VHOST_LINKS);
		assert_int_equal(rig_used(&rig->tx), 0);
		assert_int_equal(rig_drops(rig, DROP_BUDGET), rig_all_drops(rig));
		rig_free(rig);
	}
}

/* Also when each frame is shorter than the last, so that it is tried anew. */
static void what_frames_of_falling_length_read_is_bounded(void **state)
{
	struct rig *rig = *state;

	offer_crumbs(rig, 2, VHOST_HDR);
	for (unsigned i = 0; i < BURST_MAX; i++)
		make(i, 64 + (BURST_MAX - i) * 2000, 64);
	assert_int_equal(send(rig, BURST_MAX), BURST_MAX);
	assert_int_equal(rig_drops(rig, DROP_BUDGET), BURST_MAX);
	assert_in_range(rig->tx.ring->links, VHOST_FRAME_CHAINS, VHOST_TX_LINKS_MAX + VHOST_LINKS);
}

/* Who offers more pieces than a short frame may have read loses as many as it overdraws, and not all that follow. */
static void a_frame_that_was_not_tried_keeps_no_other_out(void **state)
{
	struct rig *rig = *state;

	offer_crumbs(rig, 5, 64);
	for (unsigned i = 0; i < 25; i++)
		make(i, 52, 52);
	assert_int_equal(send(rig, 25), 25);
	assert_int_equal(rig_used(&rig->tx), 20);
	assert_int_equal(rig_drops(rig, DROP_BUDGET), 5);
	assert_int_equal(rig->tx.ring->links, 25 * VHOST_TX_LINKS_MERGED);
}

/* The buffers are read once, for the first frame that does not fit; frames that need no such reading still arrive. */
static void a_burst_over_its_bound_drops_no_more_than_it_must(void **state)
{
	struct rig *rig = *state;

	offer_crumbs(rig, 1, 100);
	for (unsigned i = 0; i < BURST_MAX; i++)
		make(i, i % 2 ? 60 : FRAME_MAX, 64);
	assert_int_equal(send(rig, BURST_MAX), BURST_MAX);
	assert_int_equal(rig_drops(rig, DROP_BUDGET), BURST_MAX / 2);
	assert_int_equal(rig_used(&rig->tx), BURST_MAX / 2);
	assert_int_equal(rig->tx.ring->links, VHOST_FRAME_CHAINS);
}

static void index_that_jumps(void **state)
{
	struct rig *rig = *state;

	make(0, 100, 64);
	rig->tx.avail->idx += RIG_SIZE + 1;
	assert_int_equal(send(rig, 1), 0);
	offer_buffers(rig, 1, 1000);
	assert_int_equal(send(rig, 1), 1);
	assert_int_equal(rig_used(&rig->tx), 1);
}

static void ring_taken_back(void **state)
{
	struct rig *rig = *state;

	make(0, 100, 64);
	make(1, 100, 64);
	atomic_store(&rig->dev.queue[0].tx, NULL);
	assert_int_equal(send(rig, 2), 2);
	assert_int_equal(rig_drops(rig, DROP_LINK_DOWN), 2);
}

/* Random frames into random buffers (one, linked or indirect), put together again as a guest would. */
static void anything_arrives_whole(void **state)
{
	static uint8_t got[FRAME_MAX + VHOST_HDR];
	struct rig *rig = *state;
	struct vring_desc *table = (struct vring_desc *)rig_at(rig, RIG_GPA + RIG_REGION);
	uint16_t seen = 0;

	srandom(7);
	for (unsigned round = 0; round < 2000; round++) {
		unsigned n = 1 + (unsigned)random() % 8, done, next = 0;
		uint64_t at = RIG_DATA;

		for (unsigned i = 0; i < n; i++)
			make(i, 14 + (uint32_t)random() % (random() % 4 ? 200 : 6000), 64);
		while (next < RIG_SIZE - 3 &&
			(uint16_t)(rig->tx.avail->idx - rig->tx.ring->next_avail) < RIG_SIZE) {
			uint32_t size = VHOST_HDR + 256 + (uint32_t)random() % 1800;

			if (random() % 3) {
				rig_desc(&rig->tx, next, at, size, WRITE, 0);
				rig_offer(&rig->tx, (uint16_t)next++);
			} else if (random() % 2) {
				rig_desc(&rig->tx, next, at, VHOST_HDR, WRITE | NEXT, (uint16_t)(next + 1));
				rig_desc(&rig->tx, next + 1, at + VHOST_HDR, size - VHOST_HDR, WRITE, 0);
				rig_offer(&rig->tx, (uint16_t)next);
				next += 2;
			} else {
				table[2 * next] = (struct vring_desc){at, VHOST_HDR, WRITE | NEXT, 1};
				table[2 * next + 1] =
					(struct vring_desc){at + VHOST_HDR, size - VHOST_HDR, WRITE, 0};
				rig_desc(&rig->tx, next, RIG_GPA + RIG_REGION + 32 * next, 32, INDIRECT, 0);
				rig_offer(&rig->tx, (uint16_t)next++);
			}
			at += 4096;
		}
		done = send(rig, (uint16_t)n);
		for (unsigned i = 0; i < done; i++) {
			uint32_t len = 0;
			uint16_t buffers = 1;

			for (uint16_t k = 0; k < buffers; k++, seen++) {
				const struct vring_used_elem *used = &rig->tx.used->ring[seen % RIG_SIZE];
				const struct vring_desc *d = &rig->tx.desc[used->id];

				if (d->flags & INDIRECT)
					d = (const struct vring_desc *)rig_at(rig, d->addr);
				/* all buffers here are contiguous, so the first address and the length tell
				 */
				memcpy(got + len, rig_at(rig, d->addr), used->len);
				len += used->len;
				if (!k)
					buffers = ((const struct virtio_net_hdr_mrg_rxbuf *)got)->num_buffers;
			}
			assert_int_equal(len, VHOST_HDR + store[i].len);
			assert_memory_equal(got + VHOST_HDR, payload[i], store[i].len);
		}
		assert_int_equal(seen, rig_used(&rig->tx));
		rig->tx.avail->idx = rig->tx.ring->next_avail; /* takes back what was not used */
	}
	assert_int_equal(rig_all_drops(rig), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(frames_of_every_length),
		T(exact_fit_and_one_too_small),
		T(buffer_of_linked_descriptors),
		T(buffer_in_an_indirect_table),
		T(header_without_num_buffers),
		T(mergeable_buffers),
		T(full_ring),
		T(offloads_are_handed_over),
		T(notified_once_a_call),
		cmocka_unit_test(wrong_buffers_cost_one_frame),
		T(wrong_buffer_in_mid_frame),
		T(a_frame_takes_so_many_buffers_at_the_most),
		cmocka_unit_test(what_a_burst_reads_is_bounded),
		T(what_frames_of_falling_length_read_is_bounded),
		T(a_frame_that_was_not_tried_keeps_no_other_out),
		T(a_burst_over_its_bound_drops_no_more_than_it_must),
		T(index_that_jumps),
		T(ring_taken_back),
		T(anything_arrives_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
