/*
 * tx.h: transmit bursts in place. The caller writes frames straight into the next free slots:
 *
 *	unsigned n = front_tx_room(ring, 32);
 *	for (unsigned i = 0; i < n; i++) {
 *		memcpy(front_tx_frame(ring, i), frame, length);
 *		front_tx_length(ring, i, length);
 *	}
 *	front_tx_publish(ring, n);
 *
 * A slot keeps its frame and length until they are changed, so a caller that sends the same again writes
 * nothing.
 */
#pragma once

#include "bench/front/front.h"
#include "bench/front/packed.h"

static inline void front_tx_reap_split(struct front_ring *r)
{
	uint16_t used = front_ring_used(r);

	if ((uint16_t)(used - r->seen) > (uint16_t)(r->posted - r->seen)) {
		r->bad_used++; /* more than was ever posted */
		return;
	}
	for (; r->seen != used; r->seen++) {
		uint32_t id = *(volatile uint32_t *)&r->used->ring[r->seen & r->mask].id;

		if (id >= r->size)
			r->bad_used++;
		else if (r->avail->ring[r->seen & r->mask] != id)
			r->avail->ring[r->seen & r->mask] = (uint16_t)id;
	}
}

static inline void front_tx_reap_packed(struct front_ring *r)
{
	for (; r->seen != r->posted && front_packed_is_used(r, r->seen); r->seen++) {
		uint16_t id = (uint16_t)(front_packed_read(r, r->seen) >> 32);

		if (id >= r->size)
			r->bad_used++;
		else if (r->avail->ring[r->seen & r->mask] != id)
			r->avail->ring[r->seen & r->mask] = id;
	}
}

/** Takes back what the back-end has used. Not needed before front_tx_room, which calls it when slots run
 * short. */
static inline void front_tx_reap(struct front_ring *r)
{
	if (r->packed)
		front_tx_reap_packed(r);
	else
		front_tx_reap_split(r);
}

/** Free slots, at most `want`. */
static inline unsigned front_tx_room(struct front_ring *r, unsigned want)
{
	unsigned room = r->size - (uint16_t)(r->posted - r->seen);

	if (room < want) {
		front_tx_reap(r);
		room = r->size - (uint16_t)(r->posted - r->seen);
	}
	return room < want ? room : want;
}

/** Frames published and not yet known to be used. */
static inline unsigned front_tx_pending(const struct front_ring *r)
{
	return (uint16_t)(r->posted - r->seen);
}

static inline uint16_t front_tx_descriptor(const struct front_ring *r, unsigned i)
{
	return r->avail->ring[(uint16_t)(r->posted + i) & r->mask];
}

/** Room for the frame of the i-th free slot: buffer_size bytes; its virtio header lies FRONT_HDR bytes
 * before. */
static inline uint8_t *front_tx_frame(const struct front_ring *r, unsigned i)
{
	return front_ring_buffer(r, front_tx_descriptor(r, i)) + FRONT_HEADROOM;
}

/** Sets the length of the frame in the i-th free slot: 1..buffer_size bytes. */
static inline void front_tx_length(struct front_ring *r, unsigned i, uint32_t len)
{
	uint32_t *now = front_ring_length(r, front_tx_descriptor(r, i));

	if (*now != FRONT_HDR + len)
		*now = FRONT_HDR + len;
}

/** Hands the first `n` free slots to the back-end. */
static inline void front_tx_publish(struct front_ring *r, unsigned n)
{
	if (n > 0 && r->packed) {
		front_packed_post(r, (uint16_t)n);
		/* The back-end first asks for a kick and then looks at the slot once more. */
		atomic_thread_fence(memory_order_seq_cst);
		front_packed_kick(r);
	} else if (n > 0) {
		front_ring_publish(r, (uint16_t)n);
	}
}
