/*
 * packed.h: one packed ring (virtio 1.1, 2.7) as a worker has it: a struct vhost_ring whose `packed` is
 * set.
 *
 * The guest offers a chain by descriptors that follow each other in the ring, and marks the first one
 * available last of all; we give the chain back by one descriptor written where it began. Which of two marks
 * means "available" changes each time round: the wrap counter. Chains are given back in the order in which
 * they were offered, so the next one to give back begins at the oldest that was taken.
 */
#pragma once

#include "dataplane/core/port.h"
#include "dataplane/vhost/ring.h"

/* A position in the ring. */
struct vhost_position {
	uint16_t slot;
	bool wrap;
};

/* A chain that goes back to the guest. */
struct vhost_given {
	uint16_t id;	/* of the buffer, as the guest named it */
	uint16_t slots; /* descriptors that it takes in the ring */
	uint32_t len;	/* bytes written */
};

/* A descriptor, read once. */
struct vhost_packed_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t id, flags;
};
static_assert(sizeof(struct vhost_packed_desc) == sizeof(struct vring_packed_desc), "read as two words");

enum {
	VHOST_PACKED_AVAIL = 1 << VRING_PACKED_DESC_F_AVAIL,
	VHOST_PACKED_USED = 1 << VRING_PACKED_DESC_F_USED,
	VHOST_PACKED_LINE = 64 / sizeof(struct vring_packed_desc), /* descriptors in a cache line */
	VHOST_PACKED_KIND = VRING_DESC_F_NEXT | VRING_DESC_F_WRITE | VRING_DESC_F_INDIRECT,
};

/** Flags before the address, which is there only when they say so. */
static inline struct vhost_packed_desc vhost_packed_read(const struct vring_packed_desc *d)
{
	uint64_t high = vhost_read64(&d->len), low;

	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	low = vhost_read64(&d->addr);
	return (struct vhost_packed_desc){
		low, (uint32_t)high, (uint16_t)(high >> 32), (uint16_t)(high >> 48)};
}

/** Does a descriptor with these flags begin a chain that the guest offers, read at a position of this wrap? */
static inline bool vhost_packed_offers(uint16_t flags, bool wrap)
{
	return !!(flags & VHOST_PACKED_AVAIL) == wrap && !!(flags & VHOST_PACKED_USED) != wrap;
}

/** The position `n` slots (at most the ring's) further on. */
static inline struct vhost_position vhost_packed_after(
	const struct vhost_ring *r, struct vhost_position at, unsigned n)
{
	unsigned slot = at.slot + n;

	if (slot > r->mask)
		return (struct vhost_position){(uint16_t)(slot - r->mask - 1), !at.wrap};
	return (struct vhost_position){(uint16_t)slot, at.wrap};
}

static inline struct vhost_position vhost_packed_next(const struct vhost_ring *r)
{
	return (struct vhost_position){r->next_avail, r->avail_wrap};
}

/** Worker. Is there a chain that was not taken? */
static inline bool vhost_packed_waiting(const struct vhost_ring *r)
{
	return vhost_packed_offers(vhost_read16(&r->slot[r->next_avail].flags), r->avail_wrap);
}

/** What SET_VRING_BASE tells and GET_VRING_BASE answers: next_avail and its wrap counter, twice when it
 * answers. */
static inline uint32_t vhost_packed_base(const struct vhost_ring *r)
{
	uint32_t half = (uint32_t)r->avail_wrap << 15 | r->next_avail;

	return half << 16 | half;
}

/** Has the guest kick when it offers more, or not. */
static inline void vhost_packed_want_kick(struct vhost_ring *r, bool on)
{
	__atomic_store_n(&r->wish->flags,
		on ? VRING_PACKED_EVENT_FLAG_ENABLE : VRING_PACKED_EVENT_FLAG_DISABLE, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/**
 * Worker. Reads the chain at `at` (linked or indirect; `writable` says which way all of it must be) into
 * private memory, as vhost_chain_read(); `given` gets its name and its slots, also when it breaks the rules.
 */
bool vhost_packed_chain(struct vhost_ring *r, struct vhost_position at, bool writable,
	struct vhost_chain *chain, struct vhost_given *given);

/**
 * Worker. Gives all chains from next_used to next_avail back, `n`. True: the guest wants to be notified of it now
 * (vhost_notify).
 */
bool vhost_packed_give(struct vhost_ring *r, const struct vhost_given *given, unsigned n);

/** Worker. Takes what the guest offers into `b`, at most BURST_MAX chains; r->given then holds them. */
void vhost_packed_take(struct port *port, struct worker *w, struct vhost_ring *r, struct burst *b);

/** Worker. Copies frames to the guest; returns as struct port_ops tx. Sets *notify when the guest wants it. */
uint16_t vhost_packed_put(struct port *port, struct worker *w, struct vhost_ring *r,
	struct frame *const *frames, uint16_t n, bool *notify);
