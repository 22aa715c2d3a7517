/*
 * rx.h: receive bursts in place. Frames are borrowed from the ring until they are given back together:
 *
 *	struct front_frame frames[32];
 *	unsigned n = front_rx_burst(ring, frames, 32);
 *	... frames[i].data, frames[i].len ...
 *	front_rx_done(ring, frames, n);
 *
 * A frame longer than one buffer lies in several (mergeable buffers): `data` then holds its first
 *`contiguous` bytes, and front_rx_copy gathers the rest.
 */
#pragma once

#include "bench/front/front.h"
#include "bench/front/packed.h"

struct front_frame {
	uint8_t *data;	     /* its virtio header lies FRONT_HDR bytes before */
	uint32_t len;	     /* the whole frame */
	uint32_t contiguous; /* bytes of it at `data` */
	uint16_t first;	     /* used position of its first buffer */
	uint16_t buffers;
};

static inline const struct virtio_net_hdr_mrg_rxbuf *front_rx_header(const struct front_frame *frame)
{
	return (const void *)(frame->data - FRONT_HDR);
}

/* What the back-end gave back at `pos`: a buffer and the bytes in it. */
struct front_given {
	uint32_t id, len;
};

static inline struct front_given front_rx_given(const struct front_ring *r, uint16_t pos)
{
	const struct vring_used_elem *elem = &r->used->ring[pos & r->mask];
	uint64_t word;

	if (!r->packed)
		return (struct front_given){elem->id, elem->len};
	word = front_packed_read(r, pos);
	return (struct front_given){(uint16_t)(word >> 32), (uint32_t)word};
}

/* Slots that were given back and not yet taken; more than were posted: the back-end is mad. */
static inline uint16_t front_rx_ready(const struct front_ring *r, unsigned max)
{
	return r->packed ? front_packed_ready(r, (uint16_t)(max + FRONT_MAX_BUFFERS))
			 : (uint16_t)(front_ring_used(r) - r->seen);
}

/* The frame that begins at `pos`, of `ready` slots. Returns false when no back-end may have written it. */
static inline bool front_rx_frame(
	const struct front_ring *r, uint16_t pos, uint16_t ready, struct front_frame *frame)
{
	struct front_given first = front_rx_given(r, pos);
	bool bad = first.id >= r->size;

	*frame = (struct front_frame){
		.data = front_ring_buffer(r, (uint16_t)first.id & r->mask) + FRONT_HEADROOM,
		.first = pos,
		.buffers = 1};
	if (r->mergeable)
		frame->buffers = front_rx_header(frame)->num_buffers;
	bad |= frame->buffers == 0 || frame->buffers > ready;
	frame->buffers = bad ? 1 : frame->buffers;
	for (unsigned i = 0; i < frame->buffers; i++) {
		uint32_t len = i ? front_rx_given(r, (uint16_t)(pos + i)).len : first.len;

		bad |= len > FRONT_HDR + r->buffer_size || (i == 0 && len < FRONT_HDR);
		frame->len += len;
		if (i == 0)
			frame->contiguous = len - FRONT_HDR;
	}
	frame->len = bad ? 0 : frame->len - FRONT_HDR;
	return !bad;
}

/**
 * Borrows up to `max` frames. What no back-end may write (an unknown descriptor, an impossible length or
 * number of buffers) is counted in ring->bad_used and its buffer taken back as an empty frame (len 0).
 */
static inline unsigned front_rx_burst(struct front_ring *r, struct front_frame *frames, unsigned max)
{
	uint16_t ready = front_rx_ready(r, max);
	uint16_t pos = r->seen;
	/* not all were counted: the last frame among them may go on behind */
	uint16_t least = r->packed && ready == max + FRONT_MAX_BUFFERS ? FRONT_MAX_BUFFERS : 1;
	unsigned n;

	if (ready > (uint16_t)(r->posted - r->seen)) {
		r->bad_used++; /* more than was ever posted */
		return 0;
	}
	for (unsigned i = 0; i < ready && i < max; i++) {
		uint8_t *frame = front_ring_buffer(r, front_rx_given(r, (uint16_t)(pos + i)).id & r->mask) +
				 FRONT_HEADROOM;

		__builtin_prefetch(frame - FRONT_HDR);
		__builtin_prefetch(frame);
	}
	for (n = 0; n < max && ready >= least; n++) {
		r->bad_used += !front_rx_frame(r, pos, ready, &frames[n]);
		pos += frames[n].buffers;
		ready -= frames[n].buffers;
	}
	return n;
}

/** Gives all `n` borrowed frames back; they must be those of the last burst. */
static inline void front_rx_done(struct front_ring *r, const struct front_frame *frames, unsigned n)
{
	uint16_t end;

	if (n == 0)
		return;
	end = (uint16_t)(frames[n - 1].first + frames[n - 1].buffers);
	for (uint16_t pos = r->seen; pos != end; pos++) {
		uint32_t id = front_rx_given(r, pos).id;

		if (id < r->size && r->avail->ring[pos & r->mask] != id)
			r->avail->ring[pos & r->mask] = (uint16_t)id;
	}
	n = (uint16_t)(end - r->seen);
	r->seen = end;
	if (r->packed) {
		front_packed_post(r, (uint16_t)n);
		return;
	}
	if (r->event_idx)
		r->avail->ring[r->size] = (uint16_t)(end - 1);
	front_ring_publish(r, (uint16_t)n);
}

/** Gathers a borrowed frame into `to`; returns the bytes written, at most `cap`. */
size_t front_rx_copy(const struct front_ring *r, const struct front_frame *frame, void *to, size_t cap);
