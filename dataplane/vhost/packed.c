#include "dataplane/vhost/packed.h"

#include <stdbool.h>

#include "dataplane/vhost/inflight.h"
#include "dataplane/vhost/resume.h"

/* The entries of an indirect table: whole, in one region, no more than the ring has. */
static bool read_table(
	struct vhost_ring *r, const struct vhost_packed_desc *d, bool writable, struct vhost_chain *chain)
{
	const struct vring_packed_desc *table;
	unsigned entries = d->len / sizeof(*table);

	if (!r->indirect || (d->flags & VRING_DESC_F_NEXT) || !entries || d->len % sizeof(*table) ||
		entries > r->mask + 1u || entries > VHOST_LINKS)
		return false;
	table = (const struct vring_packed_desc *)vhost_ring_at(r, d->addr, d->len);
	if (!table || (uintptr_t)table % sizeof(uint64_t))
		return false;
	for (unsigned i = 0; i < entries; i++) {
		struct vhost_packed_desc entry = vhost_packed_read(&table[i]);

		r->links++;
		if (!vhost_chain_add(r, chain, entry.addr, entry.len, entry.flags, writable))
			return false;
	}
	return true;
}

bool vhost_packed_chain(struct vhost_ring *r, struct vhost_position at, bool writable,
	struct vhost_chain *chain, struct vhost_given *given)
{
	struct vhost_packed_desc d;
	bool good = true;

	*given = (struct vhost_given){0};
	chain->count = 0;
	chain->len = 0;
	/* also past what is wrong, to find out where it ends */
	do {
		if (given->slots == r->mask + 1u)
			return false; /* it does not end: everything goes back as one */
		d = vhost_packed_read(&r->slot[at.slot]);
		r->links++;
		at = vhost_packed_after(r, at, 1);
		given->slots++;
		given->id = d.id;
		if (given->slots > VHOST_LINKS)
			good = false;
		else if (good && (d.flags & VRING_DESC_F_INDIRECT))
			good = given->slots == 1 && read_table(r, &d, writable, chain);
		else if (good)
			good = vhost_chain_add(r, chain, d.addr, d.len, d.flags, writable);
	} while (d.flags & VRING_DESC_F_NEXT);
	return good;
}

/* Does the guest want to be notified of what was given back since it last was? */
static bool notifies(struct vhost_ring *r)
{
	uint16_t flags = vhost_read16(&r->guest_wish->flags), at, old = r->signalled, now = r->next_used;
	int event, from = old, to = now;

	r->signalled = now;
	if (flags != VRING_PACKED_EVENT_FLAG_DESC || !r->event_idx)
		return flags != VRING_PACKED_EVENT_FLAG_DISABLE;
	at = vhost_read16(&r->guest_wish->off_wrap);
	event = at & ~(1 << VRING_PACKED_EVENT_F_WRAP_CTR);
	/* all three as positions in one round: the one in which `now` lies */
	if (to <= from)
		from -= r->mask + 1;
	if ((at >> VRING_PACKED_EVENT_F_WRAP_CTR) != r->used_wrap)
		event -= r->mask + 1;
	return !r->ever_signalled || vring_need_event((uint16_t)event, (uint16_t)to, (uint16_t)from);
}

static inline uint64_t second_word(const struct vhost_given *given, bool wrap)
{
	uint16_t flags = wrap ? VHOST_PACKED_AVAIL | VHOST_PACKED_USED : 0;

	if (given->len)
		flags |= VRING_DESC_F_WRITE;
	return (uint64_t)flags << 48 | (uint64_t)given->id << 32 | given->len;
}

/*
 * The descriptor that the guest looks at first is written last: until then it sees none of the others, so one
 * store orders them all. The others are written in order, which is what vhost_resume_packed() relies on.
 */
bool vhost_packed_give(struct vhost_ring *r, const struct vhost_given *given, unsigned n)
{
	const struct vhost_position first = {r->next_used, r->used_wrap};
	struct vhost_position at = first;
	bool wanted;

	vhost_resume_keep(r);
	if (__builtin_expect(r->tracked != NULL, 0))
		vhost_inflight_before(r);
	for (unsigned i = 0; i < n; i++) {
		uint64_t *word = (uint64_t *)&r->slot[at.slot].len;

		if (__builtin_expect(given[i].slots > 1, 0))
			vhost_resume_pass(r, at, given[i].slots);
		__atomic_signal_fence(__ATOMIC_RELEASE);
		if (i > 0)
			__atomic_store_n(word, second_word(&given[i], at.wrap), __ATOMIC_RELAXED);
		at = vhost_packed_after(r, at, given[i].slots);
	}
	__atomic_store_n(
		(uint64_t *)&r->slot[first.slot].len, second_word(&given[0], first.wrap), __ATOMIC_RELEASE);
	r->next_used = at.slot;
	r->used_wrap = at.wrap;
	if (__builtin_expect(r->tracked != NULL, 0))
		vhost_inflight_after(r);
	/* the guest sets its wish, then looks at the descriptor; we wrote that, and now look at its wish */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	wanted = notifies(r);
	r->ever_signalled = true;
	return wanted;
}
