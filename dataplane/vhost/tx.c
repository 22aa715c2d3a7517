/*
 * tx.c: frames to a guest, each copied once into the buffers that it offered. A frame that fits one
 * descriptor takes the short way, in three passes as in rx.c; any other goes through ring.c.
 */
#include <rte_prefetch.h>

#include "dataplane/core/dp.h"
#include "dataplane/vhost/frame.h"
#include "dataplane/vhost/packed.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Gives back the chains [first, first + n) as holding nothing. */
static void void_chains(struct vhost_ring *r, uint16_t first, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++)
		vhost_ring_use(r, first + i, vhost_ring_head(r, first + i), 0);
}

/*
 * The long way: puts `f` into the chains from the `first`th on, at most `room` of them. Returns how many
 * chains it used up, 0 when it dropped the frame and left them to be filled, or -1 when there are not enough.
 */
static __attribute__((noinline)) int put_chains(struct port *port, struct worker *w, struct vhost_ring *r,
	const struct frame *f, uint16_t first, uint16_t room)
{
	struct vhost_cursor cursor = {.f = f, .span = -1};
	uint32_t left = f->len, skip = r->hdr_len, done;
	struct vhost_chain chain;
	uint8_t *hdr = NULL;
	uint16_t n = 0;

	vhost_tx_allow(r, f->len);
	do {
		uint16_t head;

		if (!vhost_tx_goes_on(r, n, f->len, left)) {
			port_tx_drop(w, port, f, DROP_BUDGET);
			return 0;
		}
		if (n == room)
			return -1;
		head = vhost_ring_head(r, first + n);
		if (!vhost_chain_read(r, head, true, &chain) || !chain.count ||
			(!n && chain.piece[0].len < skip)) {
			void_chains(r, first, n + 1);
			port_tx_drop(w, port, f, DROP_BAD_RING);
			return n + 1;
		}
		if (!r->mergeable && chain.len - skip < left) {
			port_tx_drop(w, port, f, DROP_MTU);
			return 0;
		}
		if (!n)
			hdr = chain.piece[0].ptr;
		done = vhost_fill_chain(&chain, skip, &cursor, left);
		vhost_ring_use(r, first + n, head, skip + done);
		left -= done;
		skip = 0;
		n++;
	} while (left);
	vhost_put_hdr(r, hdr, f, n);
	return n;
}

/*
 * Finds where the next m frames go: dst[i] is NULL when frame i does not fit the single descriptor that is
 * its.
 */
static inline void look_ahead(struct vhost_ring *r, struct frame *const *frames, uint16_t m, uint16_t first,
	uint16_t *head, uint8_t **dst)
{
	struct vhost_range hot = r->hot;

	for (uint16_t i = 0; i < m; i++) {
		head[i] = vhost_ring_head(r, first + i);
		rte_prefetch0(&r->desc[head[i] & r->mask]);
	}
	for (uint16_t i = 0; i < m; i++) {
		struct vhost_desc d = vhost_desc_read(&r->desc[head[i] & r->mask]);
		uint32_t want = r->hdr_len + frames[i]->len;

		dst[i] = NULL;
		if (likely((d.flags & 7) == VRING_DESC_F_WRITE && d.len >= want && head[i] <= r->mask)) {
			dst[i] = vhost_range_at(&hot, d.addr);
			if (unlikely(!dst[i])) {
				dst[i] = vhost_ring_at(r, d.addr, want);
				hot = r->hot;
			}
		}
		rte_prefetch0(dst[i]);
		vhost_prefetch_put(dst[i], r->hdr_len);
		vhost_prefetch_put(dst[i], r->hdr_len + frames[i]->hdr_len - 1u);
	}
}

/* Takes the long way for `f`, with all the chains that there are. Returns as put_chains(). */
static __attribute__((noinline)) int put_long(
	struct port *port, struct worker *w, struct vhost_ring *r, const struct frame *f, uint16_t used)
{
	uint16_t room = vhost_ring_offered(r);

	/* an index that jumped, or went back behind what was used already */
	return room > r->mask + 1 || room < used ? -1 : put_chains(port, w, r, f, used, room - used);
}

static uint16_t put(struct port *port, struct worker *w, struct vhost_ring *r, struct frame *const *frames,
	uint16_t n, bool *notify)
{
	uint16_t room = vhost_ring_known(r, n), done = 0, used = 0;
	uint16_t head[BURST_MAX];
	uint8_t *dst[BURST_MAX];

	if (unlikely(room > r->mask + 1)) {
		/* an index that jumped: nothing behind it can be meant, so go on from where it is now */
		r->next_avail += room;
		return 0;
	}
	vhost_ring_prefetch_used(r, n);
	vhost_tx_begin(r);
	while (done < n && used < room) {
		uint16_t m = n - done < room - used ? n - done : room - used;
		int chains = 1;

		look_ahead(r, frames + done, m, used, head, dst);
		for (uint16_t i = 0; i < m && chains == 1; i++) {
			const struct frame *f = frames[done];

			if (likely(dst[i] != NULL)) {
				vhost_put_piece(r, dst[i], f);
				vhost_ring_use(r, used, head[i], r->hdr_len + f->len);
			} else {
				chains = put_long(port, w, r, f, used);
				if (chains < 0)
					goto full;
			}
			used += chains;
			done++;
		}
		room = vhost_ring_known(r, used + n - done);
		if (unlikely(room > r->mask + 1))
			break;
	}
full:
	r->next_avail += used;
	if (used)
		*notify = vhost_ring_publish(r, used);
	vhost_ring_prefetch_next(r);
	return done;
}

static void drop_all(struct port *port, struct worker *w, struct frame *const *frames, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++)
		port_tx_drop(w, port, frames[i], DROP_LINK_DOWN);
}

uint16_t vhost_tx(struct port *port, struct worker *w, struct frame *const *frames, uint16_t n)
{
	struct vhost_dev *dev = port->priv;
	uint16_t active = atomic_load_explicit(&dev->active, memory_order_relaxed);
	bool several = w->dp->nworker > 1;
	struct vhost_ring *r = NULL;
	bool notify = false;
	uint16_t done;

	if (likely(active && !atomic_load_explicit(&dev->broken, memory_order_relaxed)))
		r = atomic_load_explicit(
			&dev->queue[several ? w->index % active : 0].tx, memory_order_acquire);
	if (unlikely(!r)) {
		drop_all(port, w, frames, n);
		return n;
	}
	if (several)
		rte_spinlock_lock(&r->lock);
	done = r->packed ? vhost_packed_put(port, w, r, frames, n, &notify)
			 : put(port, w, r, frames, n, &notify);
	if (several)
		rte_spinlock_unlock(&r->lock);
	if (notify)
		vhost_notify(w->notifier, r->call);
	return done;
}
