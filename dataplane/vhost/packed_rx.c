/*
 * packed_rx.c: frames from a guest by a packed ring. Two passes over as many chains of one descriptor
 * (or one with the header and one with the frame) as follow each other; any other chain is a run of its own.
 */
#include <rte_prefetch.h>

#include "dataplane/vhost/frame.h"
#include "dataplane/vhost/packed.h"

#define likely(x) __builtin_expect(!!(x), 1)

/* Chains that were looked at. */
struct batch {
	struct vhost_given given[BURST_MAX];
	uint32_t len[BURST_MAX]; /* of the frame */
	const uint8_t *hdr[BURST_MAX], *data[BURST_MAX];
};

/*
 * Looks at the chain that begins with `d` at `at`. False: it must go the long way.
 */
static inline bool look(struct vhost_ring *r, struct vhost_range *hot, struct vhost_position at,
	struct vhost_packed_desc d, struct batch *batch, unsigned i, uint32_t want)
{
	const uint32_t hdr_len = r->hdr_len;
	const uint8_t *hdr = NULL, *data = NULL;
	uint32_t len = d.len - hdr_len;
	uint16_t slots = 1;

	if (likely(!(d.flags & VHOST_PACKED_KIND) && len - FRAME_MIN <= FRAME_MAX - FRAME_MIN)) {
		hdr = vhost_locate(r, hot, d.addr, d.len, hdr_len + want);
		data = hdr ? hdr + hdr_len : NULL;
	} else if ((d.flags & VHOST_PACKED_KIND) == VRING_DESC_F_NEXT && d.len == hdr_len) {
		hdr = vhost_locate(r, hot, d.addr, d.len, hdr_len);
		d = vhost_packed_read(&r->slot[vhost_packed_after(r, at, 1).slot]);
		len = d.len;
		slots = 2;
		if (hdr && !(d.flags & VHOST_PACKED_KIND) && len - FRAME_MIN <= FRAME_MAX - FRAME_MIN)
			data = vhost_locate(r, hot, d.addr, len, want);
	}
	batch->given[i] = (struct vhost_given){d.id, slots, 0};
	batch->hdr[i] = hdr;
	batch->data[i] = data;
	batch->len[i] = len;
	rte_prefetch0(hdr);
	vhost_prefetch(data, HDR_COPY - 1);
	return data;
}

/*
 * Asks for the lines of a burst like the last one, to write to them, for that is how they are given back: one that comes as
 * a copy has to be asked for twice. No more than that, for behind them the guest is writing.
 */
static inline void prefetch_burst(const struct vhost_ring *r)
{
	for (unsigned i = 0; i < r->lately; i += VHOST_PACKED_LINE)
		vhost_prefetch_put(&r->slot[(r->next_avail + i) & r->mask], 0);
}

/* Looks at up to `max` short chains from the next one on. *more: a chain waits that must go the long way. */
static unsigned look_ahead(struct vhost_ring *r, struct batch *batch, unsigned max, uint32_t want, bool *more)
{
	struct vhost_position at = vhost_packed_next(r);
	struct vhost_range hot = r->hot;
	unsigned n;

	*more = false;
	for (n = 0; n < max; n++) {
		struct vhost_packed_desc d = vhost_packed_read(&r->slot[at.slot]);

		if (!vhost_packed_offers(d.flags, at.wrap))
			break;
		if (!look(r, &hot, at, d, batch, n, want)) {
			*more = n == 0;
			break;
		}
		at = vhost_packed_after(r, at, batch->given[n].slots);
	}
	return n;
}

static inline void note(struct vhost_ring *r, struct vhost_given given)
{
	struct vhost_position at = vhost_packed_after(r, vhost_packed_next(r), given.slots);

	r->given[r->taken++] = given;
	r->next_avail = at.slot;
	r->avail_wrap = at.wrap;
}

static bool has_room(const struct vhost_ring *r, const struct burst *b)
{
	return r->taken < BURST_MAX && r->links < VHOST_RX_LINKS && burst_has_room(b);
}

/* Returns false when the chain breaks the rules: enough of this guest for this turn. */
static __attribute__((noinline)) bool take_long(
	struct port *port, struct worker *w, struct vhost_ring *r, struct burst *b)
{
	struct vhost_chain chain;
	struct vhost_given given;
	bool good = vhost_packed_chain(r, vhost_packed_next(r), false, &chain, &given);

	note(r, given);
	if (!good) {
		port_rx_drop(w, port, DROP_BAD_RING);
		return false;
	}
	vhost_take_chain(port, w, r, b, &chain);
	return true;
}

void vhost_packed_take(struct port *port, struct worker *w, struct vhost_ring *r, struct burst *b)
{
	const uint32_t want = port_hdr_copy(port);
	bool more = true;
	unsigned n, max;

	r->taken = 0;
	r->links = 0;
	if (!vhost_packed_waiting(r))
		return;
	prefetch_burst(r);
	do {
		struct batch batch;

		max = BURST_MAX - (b->count > r->taken ? b->count : r->taken);
		n = look_ahead(r, &batch, max, want, &more);
		for (unsigned i = 0; i < n && has_room(r, b); i++) {
			note(r, batch.given[i]);
			vhost_take_piece(port, w, r, b, batch.hdr[i], batch.data[i], batch.len[i], want);
		}
		if (more && !take_long(port, w, r, b))
			break;
	} while ((more || n > 0) && n < max && has_room(r, b));
	r->lately = r->taken;
}
