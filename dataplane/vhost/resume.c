#include "dataplane/vhost/resume.h"

void vhost_resume_split(struct vhost_ring *r)
{
	r->next_used = __atomic_load_n(&r->used->idx, __ATOMIC_ACQUIRE);
	r->next_avail = r->next_used;
	r->seen = r->next_used;
}

/* Was the descriptor at `at` given back in that round? */
static bool passed(const struct vhost_ring *r, struct vhost_position at)
{
	return !!(vhost_read16(&r->slot[at.slot].flags) & VHOST_PACKED_USED) == at.wrap;
}

/* The first position from `at` on that was not passed, at most `most` further on. */
static struct vhost_position walk(const struct vhost_ring *r, struct vhost_position at, unsigned most)
{
	for (unsigned i = 0; i < most && passed(r, at); i++)
		at = vhost_packed_after(r, at, 1);
	return at;
}

/* Descriptors of the chain at `at`, and its buffer id. */
static unsigned chain_slots(const struct vhost_ring *r, struct vhost_position at, uint16_t *id)
{
	struct vhost_packed_desc d;
	unsigned slots = 0;

	do {
		d = vhost_packed_read(&r->slot[at.slot]);
		*id = d.id;
		at = vhost_packed_after(r, at, 1);
		slots++;
	} while ((d.flags & VRING_DESC_F_NEXT) && slots <= r->mask);
	return slots;
}

static void write_empty(struct vhost_ring *r, struct vhost_position at, uint16_t id)
{
	uint16_t flags = at.wrap ? VHOST_PACKED_AVAIL | VHOST_PACKED_USED : 0;

	__atomic_store_n((uint64_t *)&r->slot[at.slot].len, (uint64_t)flags << 48 | (uint64_t)id << 32,
		__ATOMIC_RELEASE);
}

/*
 * Of several chains that go back together the first is written last, so that the guest sees none of them
 * before. If the back-end died in between, later chains are written and the guest still waits for the first.
 * It then gets all of them as empty, for a frame may lie in several, and the length of only some is known.
 */
static struct vhost_position finish_batch(struct vhost_ring *r, struct vhost_position first)
{
	struct vhost_position second, end;
	uint16_t id;
	unsigned slots;

	if (!vhost_packed_offers(vhost_read16(&r->slot[first.slot].flags), first.wrap))
		return first;
	slots = chain_slots(r, first, &id);
	second = vhost_packed_after(r, first, slots);
	end = walk(r, second, r->mask + 1u - slots);
	if (end.slot == second.slot && end.wrap == second.wrap)
		return first;
	for (struct vhost_position at = second; at.slot != end.slot || at.wrap != end.wrap;
		at = vhost_packed_after(r, at, 1))
		write_empty(r, at, vhost_read16(&r->slot[at.slot].id));
	vhost_resume_empty(r, first, slots, id);
	return end;
}

void vhost_resume_empty(struct vhost_ring *r, struct vhost_position at, unsigned slots, uint16_t id)
{
	vhost_resume_pass(r, at, slots);
	write_empty(r, at, id);
}

bool vhost_resume_marked(const struct vhost_ring *r)
{
	uint16_t mark = vhost_read16(&r->wish->off_wrap);

	return (mark & VHOST_MARK) && (mark & (VHOST_MARK - 1)) <= r->mask && r->mask < VHOST_MARK_MAX;
}

void vhost_resume_packed(struct vhost_ring *r, struct vhost_position base)
{
	uint16_t mark = vhost_read16(&r->wish->off_wrap);
	struct vhost_position at = base;

	if (vhost_resume_marked(r)) {
		at = (struct vhost_position){mark & r->mask, mark >> VRING_PACKED_EVENT_F_WRAP_CTR};
		at = finish_batch(r, walk(r, at, r->mask + 1u));
	}
	r->next_avail = at.slot;
	r->next_used = at.slot;
	r->signalled = at.slot;
	r->avail_wrap = at.wrap;
	r->used_wrap = at.wrap;
	vhost_resume_mark(r);
}

void vhost_resume_forget(struct vring_packed_desc_event *wish)
{
	__atomic_store_n(&wish->off_wrap, 0, __ATOMIC_RELAXED);
}
