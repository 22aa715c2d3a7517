/*
 * resume.h: where a ring goes on whose back-end died, killed between any two instructions. The guest's
 * driver knows nothing of it, and most front-ends can't tell: QEMU finds a split ring's position in used->idx,
 * and has none at all for a packed one.
 *
 * Chains are given back in the order in which they were taken, so the position of the oldest that was not given
 * back is all there is to know, and it stands in the ring:
 *
 * - Split: it is used->idx. What was taken beyond it is taken again.
 * - Packed: descriptors that were given back say so by their USED bit, which then equals the wrap counter of
 *   their round, and goes on to when the guest offers them again. A chain's first descriptor gets it by being
 *   written as used; we set it in the others too, which no driver looks at any more. So whoever knows one position
 *   that was passed, no more than a round ago, finds the next one by walking on while the bits say so. That
 *   position, the mark, is left in the offset of our event structure, which drivers ignore while its flags do not
 *   ask for an event at an offset (virtio 1.1, 2.7.14); we never ask for one.
 *
 * The mark is moved once a round or less, so all of this costs less than a cycle a packet. It is taken off
 * when a front-end is told the position (GET_VRING_BASE): it may then begin anew in the same memory.
 */
#pragma once

#include "dataplane/vhost/packed.h"

enum {
	VHOST_MARK = 1 << 14,	     /* says that it is one: fresh memory is zero */
	VHOST_MARK_MAX = VHOST_MARK, /* entries of a ring whose positions fit below it */
};

/** Control thread, before the ring is published. Sets its indices by what is in it. */
void vhost_resume_split(struct vhost_ring *r);

/**
 * Control thread, before the ring is published. The same; `base` is where it begins when it has no mark. What
 * a back-end was giving back in the moment it died is given back as holding nothing: the frames are lost,
 * their descriptors are not.
 */
void vhost_resume_packed(struct vhost_ring *r, struct vhost_position base);

/** Control thread. Is there a mark to go by? */
bool vhost_resume_marked(const struct vhost_ring *r);

/** Control thread. Gives the chain of `slots` descriptors at `at` back as holding nothing. */
void vhost_resume_empty(struct vhost_ring *r, struct vhost_position at, unsigned slots, uint16_t id);

/** Control thread. The front-end has been told the position. */
void vhost_resume_forget(struct vring_packed_desc_event *wish);

/** Worker. Moves the mark to the oldest chain that was not given back. */
static inline void vhost_resume_mark(struct vhost_ring *r)
{
	unsigned wrap = r->used_wrap ? 1u << VRING_PACKED_EVENT_F_WRAP_CTR : 0;

	if (r->mask < VHOST_MARK_MAX)
		__atomic_store_n(
			&r->wish->off_wrap, (uint16_t)(wrap | VHOST_MARK | r->next_used), __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_RELEASE); /* first the mark: a kill comes between two instructions */
	r->since_mark = 0;
}

/** Worker. Before the chains between next_used and next_avail are given back: keeps the mark near enough. */
static inline void vhost_resume_keep(struct vhost_ring *r)
{
	unsigned size = r->mask + 1u;
	unsigned slots = r->next_avail + (r->avail_wrap != r->used_wrap ? size : 0) - r->next_used;

	if (__builtin_expect(r->since_mark + slots > size, 0))
		vhost_resume_mark(r);
	r->since_mark += slots;
}

/** Worker. A chain of `slots` descriptors at `at` goes back: all but the first, which is written as used. */
static inline void vhost_resume_pass(struct vhost_ring *r, struct vhost_position at, unsigned slots)
{
	while (--slots) {
		uint16_t *flags;

		at = vhost_packed_after(r, at, 1);
		flags = &r->slot[at.slot].flags;
		/* the rest of them stays: until the chain is back it may have to be read again */
		*flags = (uint16_t)((vhost_read16(flags) & ~VHOST_PACKED_USED) |
				    at.wrap << VRING_PACKED_DESC_F_USED);
	}
}
