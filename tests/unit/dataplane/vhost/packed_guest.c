#include "tests/unit/dataplane/vhost/packed_guest.h"

#include <stdlib.h>
#include <string.h>

static void turn_packed(struct rig *rig, struct guest_ring *split, uint64_t gpa, struct packed_guest *g)
{
	struct vhost_ring *r = split->ring;

	*g = (struct packed_guest){.slot = (struct vring_packed_desc *)rig_at(rig, gpa),
		.wish = (struct vring_packed_desc_event *)rig_at(rig, gpa + 8192),
		.device_wish = (struct vring_packed_desc_event *)rig_at(rig, gpa + 16384),
		.ring = r,
		.call = split->call,
		.next = {0, true},
		.used = {0, true}};
	r->packed = true;
	r->slot = g->slot;
	r->guest_wish = g->wish;
	r->wish = g->device_wish;
	r->avail_wrap = true;
	r->used_wrap = true;
	r->given = calloc(BURST_MAX, sizeof(*r->given));
}

struct packed_rig *packed_new(void)
{
	struct packed_rig *p = calloc(1, sizeof(*p));

	p->rig = rig_new();
	turn_packed(p->rig, &p->rig->rx, RIG_GPA, &p->rx);
	turn_packed(p->rig, &p->rig->tx, RIG_GPA + 32768, &p->tx);
	return p;
}

void packed_free(struct packed_rig *p)
{
	free(p->rx.ring->given);
	free(p->tx.ring->given);
	rig_free(p->rig);
	free(p);
}

static uint16_t marks(bool wrap)
{
	return wrap ? VHOST_PACKED_AVAIL : VHOST_PACKED_USED;
}

void packed_offer(struct packed_guest *g, const struct packed_link *link, unsigned n, uint16_t id)
{
	for (unsigned i = n; i-- > 0;) {
		struct vhost_position at = vhost_packed_after(g->ring, g->next, i);

		g->slot[at.slot] = (struct vring_packed_desc){link[i].addr, link[i].len, id,
			(uint16_t)(link[i].flags | (i + 1 < n ? VRING_DESC_F_NEXT : 0) | marks(at.wrap))};
	}
	g->next = vhost_packed_after(g->ring, g->next, n);
}

bool packed_take(struct packed_guest *g, unsigned slots, uint16_t *id, uint32_t *len)
{
	const struct vring_packed_desc *d = &g->slot[g->used.slot];

	if (!!(d->flags & VHOST_PACKED_AVAIL) != g->used.wrap ||
		!!(d->flags & VHOST_PACKED_USED) != g->used.wrap)
		return false;
	*id = d->id;
	*len = d->len;
	g->used = vhost_packed_after(g->ring, g->used, slots);
	return true;
}

int packed_setup(void **state)
{
	*state = packed_new();
	return 0;
}

int packed_teardown(void **state)
{
	packed_free(*state);
	return 0;
}
