/*
 * ring.h: one virtqueue (virtio 1.1, section 2.6; packed.h has what differs in a packed one) seen
 * by its driver, with a buffer for each descriptor. Slots, not descriptors, are what callers count: the ring
 * has `size` slots, used in order, and avail->ring[slot] always names the descriptor that the slot will post
 * next. When the back-end gives a descriptor back, its name is written into the slot that has just become
 * free; so a back-end that completes out of order needs no list, and one that completes in order costs no
 * write at all.
 */
#pragma once

#include <linux/virtio_ring.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>

struct front_ring {
	union {
		struct vring_desc *desc;
		struct vring_packed_desc *slot;
	};
	struct vring_avail *avail;
	struct vring_used *used;
	struct vring_packed_desc_event *event;	       /* packed: when we want to be notified */
	struct vring_packed_desc_event *backend_event; /* and the back-end */
	uint64_t first_header;			       /* where the back-end sees the header of buffer 0 */
	uint8_t *buffers;     /* buffer i at buffers + i * stride; its frame FRONT_HEADROOM bytes in */
	uint32_t stride;      /* an odd number of cache lines, so that frames spread over the cache's sets */
	uint32_t buffer_size; /* bytes of frame that fit */
	uint16_t size, mask;
	uint16_t posted; /* avail index as published */
	uint16_t seen;	 /* used index up to which descriptors were taken back */
	bool packed, receives;
	bool event_idx;
	bool mergeable; /* a received frame may take several buffers */
	uint32_t base;	/* where it goes on, while it is halted (life.h) */
	int kick, call; /* eventfds, made anew for each connection; -1 without one */
	uint64_t kicks; /* notifications sent */
	uint64_t
		bad_used; /* used entries that no back-end may write: unknown descriptor, impossible length */
};

/** Bytes that front_ring_layout needs for a ring of `size` with buffers for `buffer_size` bytes of frame. */
size_t front_ring_bytes(unsigned size, unsigned buffer_size);

/** Lays a ring out at `base` (zeroed, 128-byte aligned); sizes as above. No notification descriptors yet. */
void front_ring_layout(struct front_ring *r, uint8_t *base, unsigned size, unsigned buffer_size);

/**
 * Starts over: indices zero, descriptor i points to buffer i by its guest-physical address (`gpa` is that of
 * `base`), and every buffer of a receiving ring is posted. `event_idx` as negotiated.
 */
void front_ring_reset(
	struct front_ring *r, const uint8_t *base, uint64_t gpa, bool receives, bool event_idx, bool packed);

/** Lays the buffers of a transmitting ring with nothing posted elsewhere: at `buffers`, which the back-end sees
 * at `gpa`. */
void front_ring_move(struct front_ring *r, uint8_t *buffers, uint64_t gpa);

/** Asks the back-end not to write to `call` (polling), or to do so for the next used entry. */
void front_ring_interrupts(struct front_ring *r, bool on);

/** Start of a descriptor's buffer; its frame lies FRONT_HEADROOM bytes further. */
static inline uint8_t *front_ring_buffer(const struct front_ring *r, uint16_t descriptor)
{
	return r->buffers + (size_t)descriptor * r->stride;
}

/** The bytes that a transmitting buffer holds, as the next descriptor for it will say. */
static inline uint32_t *front_ring_length(const struct front_ring *r, uint16_t buffer)
{
	return r->packed ? (uint32_t *)front_ring_buffer(r, buffer) : &r->desc[buffer].len;
}

/** Split. The back-end's used index, read so that what it wrote before is visible. */
static inline uint16_t front_ring_used(const struct front_ring *r)
{
	return __atomic_load_n(&r->used->idx, __ATOMIC_ACQUIRE);
}

/** Split. Publishes `n` more slots and writes to `kick` when the back-end asks for it. */
static inline void front_ring_publish(struct front_ring *r, uint16_t n)
{
	uint16_t old = r->posted;
	bool wanted;

	r->posted = (uint16_t)(old + n);
	__atomic_store_n(&r->avail->idx, r->posted, __ATOMIC_RELEASE);
	/* The back-end first asks for a kick and then looks at idx once more; so idx must be out before we
	 * look. */
	atomic_thread_fence(memory_order_seq_cst);
	if (r->event_idx) {
		uint16_t event = *(volatile uint16_t *)&r->used->ring[r->size];

		wanted = vring_need_event(event, r->posted, old);
	} else {
		wanted = !(*(volatile uint16_t *)&r->used->flags & VRING_USED_F_NO_NOTIFY);
	}
	if (wanted && r->kick >= 0) {
		r->kicks++;
		eventfd_write(r->kick, 1);
	}
}
