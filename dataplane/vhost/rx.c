/*
 * rx.c: frames from a guest. Three passes over up to BURST_MAX chains (heads, descriptors, frames),
 * each prefetching for the next. A chain of one descriptor takes the short way; any other goes through
 * ring.c.
 */
#include <rte_prefetch.h>
#include <sys/uio.h>

#include "dataplane/core/dp.h"
#include "dataplane/vhost/frame.h"
#include "dataplane/vhost/packed.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Fills slot `f` with the RARP that announces a guest which has moved here (RFC 903). */
static void rarp_take(struct vhost_queue *q, struct burst *b)
{
	static const uint8_t fixed[] = {0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3};
	uint64_t rarp = atomic_exchange_explicit(&q->rarp, 0, memory_order_relaxed);
	struct frame *f = burst_begin(b);

	memset(f->hdr + HDR_ROOM, 0, HDR_COPY);
	memset(f->hdr + HDR_ROOM, 0xff, 6);
	memcpy(f->hdr + HDR_ROOM + 6, &rarp, 6);
	memcpy(f->hdr + HDR_ROOM + 12, fixed, sizeof(fixed));
	memcpy(f->hdr + HDR_ROOM + 22, &rarp, 6);
	memcpy(f->hdr + HDR_ROOM + 32, &rarp, 6);
	f->len = 60;
	f->hdr_len = 60;
	burst_keep(b, f);
}

/* The long way for any chain. One that gives no frame is counted. */
static __attribute__((noinline)) void chain_take(
	struct port *port, struct worker *w, struct vhost_ring *r, struct burst *b, uint16_t head)
{
	struct vhost_chain chain;

	if (vhost_chain_read(r, head, false, &chain))
		vhost_take_chain(port, w, r, b, &chain);
	else
		port_rx_drop(w, port, DROP_BAD_RING);
}

/* Chains that were looked at: data[i] is NULL for one that must go the long way. */
struct batch {
	uint16_t head[BURST_MAX];
	uint32_t len[BURST_MAX]; /* of the frame */
	const uint8_t *hdr[BURST_MAX], *data[BURST_MAX];
};

/* Looks at chain i: one descriptor with header and frame, or one with each. */
static inline void look(
	struct vhost_ring *r, struct vhost_range *hot, struct batch *batch, unsigned i, uint32_t want)
{
	const uint32_t hdr_len = r->hdr_len;
	/* the caller has filled head[0..n); the analyzer loses sight of its loop */
	struct vhost_desc d = vhost_desc_read(&r->desc[batch->head[i] & r->mask]); /* NOLINT */
	const uint8_t *hdr = NULL, *data = NULL;
	uint32_t len = d.len - hdr_len;

	if (likely(!(d.flags & 7) && len - FRAME_MIN <= FRAME_MAX - FRAME_MIN)) {
		hdr = vhost_locate(r, hot, d.addr, d.len, hdr_len + want);
		data = hdr ? hdr + hdr_len : NULL;
	} else if ((d.flags & 7) == VRING_DESC_F_NEXT && d.len == hdr_len && d.next <= r->mask) {
		hdr = vhost_locate(r, hot, d.addr, d.len, hdr_len);
		d = vhost_desc_read(&r->desc[d.next]);
		len = d.len;
		if (hdr && !(d.flags & 7) && len - FRAME_MIN <= FRAME_MAX - FRAME_MIN)
			data = vhost_locate(r, hot, d.addr, len, want);
	}
	batch->hdr[i] = hdr;
	batch->data[i] = likely(batch->head[i] <= r->mask) ? data : NULL;
	batch->len[i] = len;
	rte_prefetch0(hdr);
	vhost_prefetch(data, HDR_COPY - 1);
}

/* Takes up to `n` chains; those that give no frame are used up all the same. */
static void take(struct port *port, struct worker *w, struct vhost_ring *r, struct burst *b, uint16_t n)
{
	const uint32_t want = port_hdr_copy(port);
	struct vhost_range hot = r->hot;
	struct batch batch;
	uint16_t i;

	for (i = 0; i < n; i++) {
		batch.head[i] = vhost_ring_head(r, i);
		rte_prefetch0(&r->desc[batch.head[i] & r->mask]);
	}
	vhost_ring_prefetch_used(r, n);
	for (i = 0; i < n; i++)
		look(r, &hot, &batch, i, want);
	r->links = 0;
	for (i = 0; i < n && burst_has_room(b); i++) {
		if (likely(batch.data[i] != NULL)) {
			vhost_take_piece(port, w, r, b, batch.hdr[i], batch.data[i], batch.len[i], want);
		} else {
			chain_take(port, w, r, b, batch.head[i]);
			n = r->links < VHOST_RX_LINKS ? n : i + 1;
		}
		vhost_ring_use(r, i, batch.head[i], 0);
	}
	r->next_avail += i;
	r->taken = i;
	vhost_ring_prefetch_next(r);
}

static inline void take_offered(struct port *port, struct worker *w, struct vhost_ring *r, struct burst *b)
{
	uint16_t offered = vhost_ring_known(r, BURST_MAX);

	if (unlikely(offered > r->mask + 1)) {
		/* an index that jumped: nothing behind it can be meant, so go on from where it is now */
		port_rx_drop(w, port, DROP_BAD_RING);
		r->next_avail += offered;
	} else if (offered) {
		take(port, w, r, b, offered < BURST_MAX - b->count ? offered : BURST_MAX - b->count);
	}
}

uint16_t vhost_rx(struct port *port, struct worker *w, struct burst *b)
{
	struct vhost_dev *dev = port->priv;
	struct vhost_queue *q = &dev->queue[b->queue];
	struct vhost_ring *r = atomic_load_explicit(&q->rx, memory_order_acquire);

	if (!r || atomic_load_explicit(&dev->broken, memory_order_relaxed))
		return 0;
	if (unlikely(atomic_load_explicit(&q->rarp, memory_order_relaxed)))
		rarp_take(q, b);
	if (r->packed)
		vhost_packed_take(port, w, r, b);
	else
		take_offered(port, w, r, b);
	if (!(b->count | r->taken))
		return 0;
	q->borrowed = r;
	if (unlikely(!b->count))
		vhost_complete(port, w, b);
	return b->count;
}

void vhost_complete(struct port *port, struct worker *w, struct burst *b)
{
	struct vhost_dev *dev = port->priv;
	struct vhost_queue *q = &dev->queue[b->queue];
	struct vhost_ring *r = q->borrowed; /* the published one may have been taken back meanwhile */

	bool notify = false;

	if (unlikely(!r))
		return;
	if (r->taken)
		notify = r->packed ? vhost_packed_give(r, r->given, r->taken)
				   : vhost_ring_publish(r, r->taken);
	if (notify)
		vhost_notify(w->notifier, r->call);
	r->taken = 0;
	q->borrowed = NULL;
}

static bool waiting(struct vhost_ring *r)
{
	return r->packed ? vhost_packed_waiting(r) : vhost_ring_offered(r) != 0;
}

bool vhost_arm(struct port *port, uint16_t queue, bool on)
{
	struct vhost_dev *dev = port->priv;
	struct vhost_ring *r = atomic_load_explicit(&dev->queue[queue].rx, memory_order_acquire);
	uint64_t kicks;
	struct iovec iov = {&kicks, sizeof(kicks)};

	if (!r || r->armed == on)
		return r && on && waiting(r);
	if (r->packed)
		vhost_packed_want_kick(r, on);
	else
		vhost_ring_want_kick(r, on);
	r->armed = on;
	if (on)
		return waiting(r);
	/* RWF_NOWAIT, for the guest can turn O_NONBLOCK off on an fd that it shares */
	if (r->kick >= 0 && preadv2(r->kick, &iov, 1, -1, RWF_NOWAIT) < 0)
		return false; /* it did not kick */
	return false;
}

int vhost_rx_fd(struct port *port, uint16_t queue)
{
	struct vhost_dev *dev = port->priv;
	struct vhost_ring *r = atomic_load_explicit(&dev->queue[queue].rx, memory_order_acquire);

	return r ? r->kick : -1;
}
