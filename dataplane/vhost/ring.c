/* ring.c: the descriptor chains that the fast paths of rx.c and tx.c leave aside. */
#include "dataplane/vhost/ring.h"

uint8_t *vhost_ring_reach(struct vhost_ring *r, uint64_t gpa, uint64_t len)
{
	const struct vhost_region *region = vhost_mem_find(r->mem, gpa);

	if (!region)
		return NULL;
	r->hot = (struct vhost_range){.gpa = region->gpa,
		.safe = region->size > VHOST_CHAIN_MAX ? region->size - VHOST_CHAIN_MAX : 0,
		.host = region->host,
		.size = region->size};
	return vhost_ring_hot(r, gpa, len);
}

/* Adds a range as one piece, or as several when it crosses regions. */
static bool add_range(struct vhost_ring *r, struct vhost_chain *chain, uint64_t gpa, uint32_t len)
{
	chain->len += len;
	while (len) {
		uint8_t *ptr = vhost_ring_at(r, gpa, 1);
		uint64_t left;

		if (!ptr || chain->count == VHOST_PIECES)
			return false;
		left = r->hot.size - (gpa - r->hot.gpa);
		if (left > len)
			left = len;
		chain->piece[chain->count++] = (struct vhost_piece){ptr, (uint32_t)left};
		gpa += left;
		len -= (uint32_t)left;
	}
	return true;
}

bool vhost_chain_add(struct vhost_ring *r, struct vhost_chain *chain, uint64_t gpa, uint32_t len,
	uint16_t flags, bool writable)
{
	/* INT32_MAX: the sum of lengths must not wrap around */
	return !(flags & VRING_DESC_F_WRITE) == !writable && len <= INT32_MAX && chain->len <= INT32_MAX &&
	       add_range(r, chain, gpa, len);
}

/*
 * The table of an indirect descriptor: whole entries, aligned, in one region, no more than the ring has
 * (virtio 1.1, 2.6.5.3). NULL when it breaks a rule.
 */
static const struct vring_desc *indirect_table(struct vhost_ring *r, const struct vhost_desc *d)
{
	const uint8_t *table;

	if (!r->indirect || (d->flags & VRING_DESC_F_NEXT) || !d->len || d->len % sizeof(struct vring_desc) ||
		d->len / sizeof(struct vring_desc) > r->mask + 1u)
		return NULL;
	table = vhost_ring_at(r, d->addr, d->len);
	return (uintptr_t)table % sizeof(uint64_t) ? NULL : (const struct vring_desc *)table;
}

bool vhost_chain_read(struct vhost_ring *r, uint16_t head, bool writable, struct vhost_chain *chain)
{
	const struct vring_desc *table = r->desc;
	uint32_t size = r->mask + 1u, at = head;
	bool indirect = false; /* not to be told by the table: a guest may name the ring itself as one */

	chain->count = 0;
	chain->len = 0;
	for (unsigned links = 0; links < VHOST_LINKS && at < size; links++) {
		struct vhost_desc d = vhost_desc_read(&table[at]);

		r->links++;
		if (d.flags & VRING_DESC_F_INDIRECT) {
			/* it ends the ring's own chain, and holds no other */
			table = indirect ? NULL : indirect_table(r, &d);
			if (!table)
				return false;
			indirect = true;
			size = d.len / sizeof(*table);
			at = 0;
			continue;
		}
		if (!vhost_chain_add(r, chain, d.addr, d.len, d.flags, writable))
			return false;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return true;
		at = d.next;
	}
	return false;
}
