/*
 * packed_tx.c: frames to a guest by a packed ring. A frame that fits one descriptor takes the short
 * way, in two passes; any other is put into as many chains as it needs.
 */
#include <rte_prefetch.h>

#include "dataplane/vhost/frame.h"
#include "dataplane/vhost/packed.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

enum {
	CHAINS = BURST_MAX + VHOST_FRAME_CHAINS + 1, /* noted before a frame, by it, and a broken one */
};
static_assert(CHAINS >= 2 * BURST_MAX, "frames of a buffer each behind what was noted before");

/* What goes back to the guest, from where on, and where the next chain begins. */
struct delivery {
	struct vhost_given given[CHAINS];
	unsigned n;
	struct vhost_position at;
};

static inline void note(const struct vhost_ring *r, struct delivery *d, struct vhost_given given)
{
	d->given[d->n++] = given;
	d->at = vhost_packed_after(r, d->at, given.slots);
}

static void give(struct vhost_ring *r, struct delivery *d, bool *notify)
{
	r->next_avail = d->at.slot;
	r->avail_wrap = d->at.wrap;
	if (d->n)
		*notify |= vhost_packed_give(r, d->given, d->n);
	d->n = 0;
}

/* Finds where the next frames go, while each fits the single descriptor that is its. Returns how many do. */
static inline unsigned look_ahead(struct vhost_ring *r, struct frame *const *frames, unsigned n,
	struct vhost_position at, uint16_t *id, uint8_t **dst)
{
	struct vhost_range hot = r->hot;
	unsigned i;

	for (i = 0; i < n; i++, at = vhost_packed_after(r, at, 1)) {
		struct vhost_packed_desc d = vhost_packed_read(&r->slot[at.slot]);
		uint32_t want = r->hdr_len + frames[i]->len;

		if (!vhost_packed_offers(d.flags, at.wrap) ||
			(d.flags & VHOST_PACKED_KIND) != VRING_DESC_F_WRITE || d.len < want)
			break;
		id[i] = d.id;
		dst[i] = vhost_range_at(&hot, d.addr);
		if (unlikely(!dst[i])) {
			dst[i] = vhost_ring_at(r, d.addr, want);
			hot = r->hot;
			if (!dst[i])
				break;
		}
		rte_prefetch0(dst[i]);
		vhost_prefetch_put(dst[i], r->hdr_len);
		vhost_prefetch_put(dst[i], r->hdr_len + frames[i]->hdr_len - 1u);
	}
	return i;
}

enum outcome { DONE, FULL, BROKEN };

/*
 * Puts `f` into the chains from d->at on. DONE: it was delivered, or dropped and counted, and `d` says what
 * it used up. FULL: there are not enough chains, and nothing has happened. BROKEN: as DONE, and the ring must
 * not be used further in this turn.
 */
static __attribute__((noinline)) enum outcome put_long(
	struct port *port, struct worker *w, struct vhost_ring *r, struct delivery *d, const struct frame *f)
{
	struct vhost_cursor cursor = {.f = f, .span = -1};
	const unsigned first = d->n;
	const struct vhost_position start = d->at;
	uint32_t left = f->len, skip = r->hdr_len, done;
	struct vhost_chain chain;
	struct vhost_given given;
	uint8_t *hdr = NULL;

	vhost_tx_allow(r, f->len);
	do {
		bool good;

		if (!vhost_tx_goes_on(r, d->n - first, f->len, left)) {
			d->n = first;
			d->at = start;
			port_tx_drop(w, port, f, DROP_BUDGET);
			return DONE;
		}
		if (!vhost_packed_offers(vhost_read16(&r->slot[d->at.slot].flags), d->at.wrap)) {
			d->n = first;
			d->at = start;
			return FULL;
		}
		good = vhost_packed_chain(r, d->at, true, &chain, &given) && chain.count &&
		       (hdr || chain.piece[0].len >= skip);
		if (!good) {
			/* what was begun goes back as holding nothing */
			for (unsigned i = first; i < d->n; i++)
				d->given[i].len = 0;
			note(r, d, given);
			port_tx_drop(w, port, f, DROP_BAD_RING);
			return BROKEN;
		}
		if (!r->mergeable && chain.len - skip < left) {
			port_tx_drop(w, port, f, DROP_MTU);
			return DONE;
		}
		if (!hdr)
			hdr = chain.piece[0].ptr;
		done = vhost_fill_chain(&chain, skip, &cursor, left);
		given.len = skip + done;
		note(r, d, given);
		left -= done;
		skip = 0;
	} while (left);
	vhost_put_hdr(r, hdr, f, (uint16_t)(d->n - first));
	return DONE;
}

/* The frames that fit one descriptor each, as many as follow each other. Returns how many. */
static inline unsigned put_short(
	struct vhost_ring *r, struct delivery *d, struct frame *const *frames, unsigned n)
{
	uint16_t id[BURST_MAX];
	uint8_t *dst[BURST_MAX];

	n = look_ahead(r, frames, n, d->at, id, dst);
	for (unsigned i = 0; i < n; i++) {
		vhost_put_piece(r, dst[i], frames[i]);
		note(r, d, (struct vhost_given){id[i], 1, r->hdr_len + frames[i]->len});
	}
	return n;
}

/* To write to them: each is read and then given back, and a line that comes as a copy has to be asked for twice. */
static inline void prefetch_next(const struct vhost_ring *r)
{
	for (unsigned i = 0; i < BURST_MAX; i += VHOST_PACKED_LINE)
		vhost_prefetch_put(&r->slot[(r->next_avail + i) & r->mask], 0);
}

uint16_t vhost_packed_put(struct port *port, struct worker *w, struct vhost_ring *r,
	struct frame *const *frames, uint16_t n, bool *notify)
{
	struct delivery d;
	enum outcome outcome = DONE;
	uint16_t done = 0;

	d.n = 0;
	d.at = vhost_packed_next(r);
	vhost_tx_begin(r);
	while (done < n && outcome == DONE) {
		unsigned some;

		if (unlikely(d.n > BURST_MAX))
			give(r, &d, notify);
		some = put_short(r, &d, frames + done, n - done);
		done += some;
		if (done == n || some > 0)
			continue;
		outcome = put_long(port, w, r, &d, frames[done]);
		done += outcome != FULL;
	}
	give(r, &d, notify);
	prefetch_next(r);
	return done;
}
