/*
 * packed.h: what differs when a front's ring is packed (virtio 1.1, section 2.7). Positions count on as
 * those of a split ring do; slot and wrap counter follow from them, as the ring's size is a power of two. The
 * table of which buffer each slot posts next stays where a split ring has it, in avail->ring, which no
 * back-end knows of then. A buffer's length stands in its own first bytes, for the back-end overwrites that
 * in the descriptor.
 */
#pragma once

#include "bench/front/ring.h"

enum {
	FRONT_PACKED_AVAIL = 1 << VRING_PACKED_DESC_F_AVAIL,
	FRONT_PACKED_USED = 1 << VRING_PACKED_DESC_F_USED,
};

static inline bool front_packed_wrap(const struct front_ring *r, uint16_t pos)
{
	return !(pos & r->size);
}

/** The slot at `pos` as one read: length, buffer, flags. */
static inline uint64_t front_packed_read(const struct front_ring *r, uint16_t pos)
{
	return __atomic_load_n((const uint64_t *)&r->slot[pos & r->mask].len, __ATOMIC_ACQUIRE);
}

/** Has the back-end given back what was posted at `pos`? */
static inline bool front_packed_is_used(const struct front_ring *r, uint16_t pos)
{
	uint16_t flags = (uint16_t)(front_packed_read(r, pos) >> 48);
	bool wrap = front_packed_wrap(r, pos);

	return !!(flags & FRONT_PACKED_AVAIL) == wrap && !!(flags & FRONT_PACKED_USED) == wrap;
}

/** How many slots from r->seen on were given back, at most `max`. */
static inline uint16_t front_packed_ready(const struct front_ring *r, uint16_t max)
{
	uint16_t n = 0, posted = (uint16_t)(r->posted - r->seen);

	while (n < max && n < posted && front_packed_is_used(r, (uint16_t)(r->seen + n)))
		n++;
	return n;
}

/** Posts the next `n` slots, each with the buffer that the table names and its length; the first one last. */
void front_packed_post(struct front_ring *r, uint16_t n);

/** Writes to `kick` when the back-end asks for it. */
static inline void front_packed_kick(struct front_ring *r)
{
	if (*(volatile uint16_t *)&r->backend_event->flags == VRING_PACKED_EVENT_FLAG_DISABLE || r->kick < 0)
		return;
	r->kicks++;
	eventfd_write(r->kick, 1);
}
