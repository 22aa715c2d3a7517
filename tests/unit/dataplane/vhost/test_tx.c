/* Frames to a guest's ring: never a byte beyond what it offered, whatever it offered. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/dataplane/vhost/tx_frames.h"

#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

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
			tx_make(i, lens[i], hdrs[h]);
		memset(rig_at(rig, RIG_DATA), TX_CANARY, N * 4096);
		tx_offer_buffers(rig, N, 4090);
		assert_int_equal(tx_send(rig, N), N);
		assert_int_equal((uint16_t)(rig_used(&rig->tx) - base), N);
		for (unsigned i = 0; i < N; i++) {
			uint64_t at = RIG_DATA + i * 4096;
			const struct vring_used_elem *used = &rig->tx.used->ring[(base + i) % RIG_SIZE];

			assert_int_equal(used->id, i);
			assert_int_equal(used->len, VHOST_HDR + lens[i]);
			assert_int_equal(tx_hdr(rig, at)->num_buffers, 1);
			assert_int_equal(tx_hdr(rig, at)->hdr.flags, 0);
			assert_memory_equal(rig_at(rig, at) + VHOST_HDR, tx_payload[i], lens[i]);
			assert_int_equal(*rig_at(rig, at + VHOST_HDR + lens[i]), TX_CANARY);
		}
		assert_int_equal(rig_all_drops(rig), 0);
	}
}

static void exact_fit_and_one_too_small(void **state)
{
	struct rig *rig = *state;

	rig->tx.ring->mergeable = false;
	tx_make(0, 64, 64);
	tx_make(1, 64, 64);
	tx_offer_buffers(rig, 1, VHOST_HDR + 64);
	rig_desc(&rig->tx, 1, RIG_DATA + 4096, VHOST_HDR + 63, WRITE, 0);
	rig_offer(&rig->tx, 1);
	assert_int_equal(tx_send(rig, 2), 2);
	assert_int_equal(rig_used(&rig->tx), 1); /* the second buffer is still the guest's to fill */
	assert_int_equal(*rig_at(rig, RIG_DATA + 4096), TX_CANARY);
	assert_int_equal(*rig_at(rig, RIG_DATA + VHOST_HDR + 64), TX_CANARY);
	assert_int_equal(rig_drops(rig, DROP_MTU), 1);
}

static void buffer_of_linked_descriptors(void **state)
{
	struct rig *rig = *state;

	rig->tx.ring->mergeable = false;
	tx_make(0, 1000, 64);
	rig_desc(&rig->tx, 4, RIG_DATA, VHOST_HDR, WRITE | NEXT, 2);
	rig_desc(&rig->tx, 2, RIG_DATA + 4096, 300, WRITE | NEXT, 9);
	rig_desc(&rig->tx, 9, RIG_DATA + 8192, 900, WRITE, 0);
	rig_offer(&rig->tx, 4);
	assert_int_equal(tx_send(rig, 1), 1);
	assert_int_equal(rig->tx.used->ring[0].id, 4);
	assert_int_equal(rig->tx.used->ring[0].len, VHOST_HDR + 1000);
	assert_int_equal(tx_hdr(rig, RIG_DATA)->num_buffers, 1);
	assert_memory_equal(rig_at(rig, RIG_DATA + 4096), tx_payload[0], 300);
	assert_memory_equal(rig_at(rig, RIG_DATA + 8192), tx_payload[0] + 300, 700);
	assert_int_equal(*rig_at(rig, RIG_DATA + 8192 + 700), TX_CANARY);
	assert_int_equal(*rig_at(rig, RIG_DATA + VHOST_HDR), TX_CANARY);
}

static void buffer_in_an_indirect_table(void **state)
{
	struct rig *rig = *state;
	struct vring_desc *table = (struct vring_desc *)rig_at(rig, RIG_DATA + 65536);

	tx_make(0, 500, 64);
	table[0] = (struct vring_desc){RIG_DATA, VHOST_HDR + 100, WRITE | NEXT, 1};
	table[1] = (struct vring_desc){RIG_DATA + 4096, 400, WRITE, 0};
	rig_desc(&rig->tx, 0, RIG_DATA + 65536, 32, INDIRECT, 0);
	rig_offer(&rig->tx, 0);
	assert_int_equal(tx_send(rig, 1), 1);
	assert_memory_equal(rig_at(rig, RIG_DATA + VHOST_HDR), tx_payload[0], 100);
	assert_memory_equal(rig_at(rig, RIG_DATA + 4096), tx_payload[0] + 100, 400);
}

static void header_without_num_buffers(void **state)
{
	struct rig *rig = *state;

	rig->tx.ring->mergeable = false;
	rig->tx.ring->hdr_len = VHOST_HDR_LEGACY;
	tx_make(0, 64, 64);
	tx_offer_buffers(rig, 1, 1000);
	assert_int_equal(tx_send(rig, 1), 1);
	assert_int_equal(rig->tx.used->ring[0].len, VHOST_HDR_LEGACY + 64);
	assert_memory_equal(rig_at(rig, RIG_DATA + VHOST_HDR_LEGACY), tx_payload[0], 64);
}

/* A frame over n buffers, between two that take one each. */
static void mergeable_buffers(void **state)
{
	struct rig *rig = *state;
	uint32_t at = 0;

	tx_make(0, 60, 64);
	tx_make(1, 5000, 64);
	tx_make(2, 61, 64);
	tx_offer_buffers(rig, 12, 700);
	assert_int_equal(tx_send(rig, 3), 3);
	assert_int_equal(rig_used(&rig->tx), 1 + 8 + 1); /* 5012 bytes in buffers of 700 */
	assert_int_equal(tx_hdr(rig, RIG_DATA)->num_buffers, 1);
	assert_int_equal(tx_hdr(rig, RIG_DATA + 4096)->num_buffers, 8);
	for (unsigned i = 0; i < 8; i++) {
		uint32_t skip = i ? 0 : VHOST_HDR, part = 5000 - at < 700 - skip ? 5000 - at : 700 - skip;

		assert_int_equal(rig->tx.used->ring[1 + i].id, 1 + i);
		assert_int_equal(rig->tx.used->ring[1 + i].len, skip + part);
		assert_memory_equal(rig_at(rig, RIG_DATA + (1 + i) * 4096 + skip), tx_payload[1] + at, part);
		at += part;
	}
	assert_int_equal(tx_hdr(rig, RIG_DATA + 9 * 4096)->num_buffers, 1);
	assert_memory_equal(rig_at(rig, RIG_DATA + 9 * 4096 + VHOST_HDR), tx_payload[2], 61);
}

static void full_ring(void **state)
{
	struct rig *rig = *state;

	for (unsigned i = 0; i < 8; i++)
		tx_make(i, 100, 64);
	assert_int_equal(tx_send(rig, 8), 0);
	tx_offer_buffers(rig, 5, 1000);
	assert_int_equal(tx_send(rig, 8), 5);
	assert_int_equal(rig_used(&rig->tx), 5);
	tx_make(0, 2000, 64);
	tx_offer_buffers(rig, 2, 700); /* three are needed: neither is used up */
	assert_int_equal(tx_send(rig, 8), 0);
	assert_int_equal(rig_used(&rig->tx), 5);
	tx_offer_buffers(rig, 2, 700);
	assert_int_equal(tx_send(rig, 8), 2);
	assert_int_equal(rig_used(&rig->tx), 9);
	assert_int_equal(rig_all_drops(rig), 0);
}

static void offloads_are_handed_over(void **state)
{
	struct rig *rig = *state;
	const struct virtio_net_hdr *hdr = &tx_hdr(rig, RIG_DATA)->hdr;

	tx_make(0, 3000, 64);
	tx_frame[0].off = (struct offload){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = 54,
		.gso_size = 1448,
		.csum_start = 34,
		.csum_offset = 16};
	tx_offer_buffers(rig, 2, 4000);
	assert_int_equal(tx_send(rig, 1), 1);
	assert_memory_equal(hdr, &tx_frame[0].off, sizeof(tx_frame[0].off));
	tx_make(0, 100, 64);
	tx_frame[0].off.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	rig->tx.ring->tx_flags = 0; /* GUEST_CSUM was not negotiated: it knows no such flag */
	assert_int_equal(tx_send(rig, 1), 1);
	assert_int_equal(tx_hdr(rig, RIG_DATA + 4096)->hdr.flags, 0);
}

static void notified_once_a_call(void **state)
{
	struct rig *rig = *state;

	for (unsigned i = 0; i < 8; i++)
		tx_make(i, 100 + i * 200, 64);
	tx_offer_buffers(rig, 60, 300);
	assert_int_equal(tx_send(rig, 8), 8);
	assert_int_equal(rig_signals(rig->tx.call), 1);
	rig->tx.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	assert_int_equal(tx_send(rig, 4), 4);
	assert_int_equal(rig_signals(rig->tx.call), 0);
}

/* Random frames into random buffers (one, linked or indirect), put together again as a guest would. */
static void random_frames_in_random_buffers_arrive_whole(void **state)
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
			tx_make(i, 14 + (uint32_t)random() % (random() % 4 ? 200 : 6000), 64);
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
		done = tx_send(rig, (uint16_t)n);
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
			assert_int_equal(len, VHOST_HDR + tx_frame[i].len);
			assert_memory_equal(got + VHOST_HDR, tx_payload[i], tx_frame[i].len);
		}
		assert_int_equal(seen, rig_used(&rig->tx));
		rig->tx.avail->idx = rig->tx.ring->next_avail; /* takes back what was not used */
	}
	assert_int_equal(rig_all_drops(rig), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, tx_setup, tx_teardown)
		T(frames_of_every_length),
		T(exact_fit_and_one_too_small),
		T(buffer_of_linked_descriptors),
		T(buffer_in_an_indirect_table),
		T(header_without_num_buffers),
		T(mergeable_buffers),
		T(full_ring),
		T(offloads_are_handed_over),
		T(notified_once_a_call),
		T(random_frames_in_random_buffers_arrive_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
