/*
 * vhost_rx.c: frames from a guest. Three passes over up to BURST_MAX chains (heads, descriptors, frames),
 * each prefetching for the next. A chain of one descriptor takes the short way; any other goes through
 * vhost_chain.c.
 */
#include <linux/virtio_net.h>
#include <rte_prefetch.h>
#include <sys/uio.h>

#include "dataplane/dp.h"
#include "dataplane/offload.h"
#include "dataplane/vhost_dev.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Fills slot `f` with the RARP that announces a guest which has moved here (RFC 903). */
static void rarp_take(struct vhost_queue *q, struct burst *b)
{
	static const uint8_t fixed[] = {0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3};
	uint64_t rarp = atomic_exchange_explicit(&q->rarp, 0, memory_order_relaxed);
	struct frame *f = &b->frame[b->count++];

	frame_init(f);
	memset(f->hdr + HDR_ROOM, 0, HDR_COPY);
	memset(f->hdr + HDR_ROOM, 0xff, 6);
	memcpy(f->hdr + HDR_ROOM + 6, &rarp, 6);
	memcpy(f->hdr + HDR_ROOM + 12, fixed, sizeof(fixed));
	memcpy(f->hdr + HDR_ROOM + 22, &rarp, 6);
	memcpy(f->hdr + HDR_ROOM + 32, &rarp, 6);
	f->len = 60;
	f->hdr_len = 60;
	b->bytes += f->len;
}

/* Takes the guest's request from a private copy of its header. False: not one that it may make of this frame.
 */
static __attribute__((noinline)) bool offload_take(
	const struct vhost_ring *r, struct frame *f, const uint8_t *hdr)
{
	memcpy(&f->off, hdr, sizeof(f->off));
	f->off.flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM; /* the rest has no meaning in this direction */
	if (f->off.flags & ~r->rx_flags)
		return false;
	if (f->off.gso_type > 7 || !(r->gso_types & (1u << f->off.gso_type)))
		return false;
	return (!f->off.flags && !f->off.gso_type) || offload_valid(f);
}

/* Copies the first `want` bytes of the pieces from *at on, skipping `skip`; the rest become spans of the
 * frame. */
static void chain_split(const struct vhost_chain *chain, uint32_t skip, uint8_t *dst, uint32_t want,
	struct span *span, uint8_t *nspan)
{
	for (unsigned i = 0; i < chain->count; i++) {
		const uint8_t *ptr = chain->piece[i].ptr;
		uint32_t len = chain->piece[i].len, n = len < skip ? len : skip;

		ptr += n;
		len -= n;
		skip -= n;
		n = len < want ? len : want;
		memcpy(dst, ptr, n);
		dst += n;
		ptr += n;
		len -= n;
		want -= n;
		if (len && span)
			span[(*nspan)++] = (struct span){ptr, len};
		if (!span && !want)
			return;
	}
}

/* The long way for any chain. Returns false when it gives no frame, which it has counted. */
static __attribute__((noinline)) bool chain_take(
	struct port *port, struct worker *w, struct vhost_ring *r, struct burst *b, uint16_t head)
{
	struct frame *f = &b->frame[b->count];
	struct vhost_chain chain;
	uint8_t hdr[VHOST_HDR] = {0};
	uint32_t want = port_hdr_copy(port);
	uint16_t used;

	if (!vhost_chain_read(r, head, false, &chain) || chain.len < r->hdr_len) {
		port_rx_drop(w, port, DROP_BAD_RING);
		return false;
	}
	frame_init(f);
	f->len = chain.len - r->hdr_len;
	if (f->len < FRAME_MIN || f->len > FRAME_MAX) {
		port_rx_drop(w, port, DROP_MALFORMED);
		return false;
	}
	chain_split(&chain, 0, hdr, r->hdr_len, NULL, NULL);
	f->hdr_len = (uint16_t)(f->len < want ? f->len : want);
	f->span = &b->span[b->nspan];
	chain_split(&chain, r->hdr_len, f->hdr + HDR_ROOM, f->hdr_len, &b->span[b->nspan], &f->nspan);
	used = b->nspan + f->nspan; /* whatever the frame itself gives up of them */
	if ((hdr[0] | hdr[1]) && !offload_take(r, f, hdr)) {
		port_rx_drop(w, port, DROP_BAD_OFFLOAD);
		return false;
	}
	b->nspan = used;
	return true;
}

/* Chains that were looked at: data[i] is NULL for one that must go the long way. */
struct batch {
	uint16_t head[BURST_MAX];
	uint32_t len[BURST_MAX]; /* of the frame */
	const uint8_t *hdr[BURST_MAX], *data[BURST_MAX];
};

/* The short way: the frame is in one piece, with at least `want` bytes there to read. */
static inline bool short_take(struct port *port, struct worker *w, const struct vhost_ring *r,
	struct burst *b, const struct batch *batch, unsigned i, uint32_t want)
{
	struct frame *f = &b->frame[b->count];
	const uint8_t *data = batch->data[i];
	uint32_t len = batch->len[i];

	frame_init(f);
	memcpy(f->hdr + HDR_ROOM, data, HDR_COPY);
	if (want > HDR_COPY)
		memcpy(f->hdr + HDR_ROOM + HDR_COPY, data + HDR_COPY, HDR_MAX - HDR_COPY);
	f->len = len;
	f->hdr_len = (uint16_t)(len < want ? len : want);
	f->span = &b->span[b->nspan];
	if (len > want) {
		b->span[b->nspan] = (struct span){data + want, len - want};
		f->nspan = 1;
	}
	/* flags and gso_type */
	if (unlikely(vhost_read16(batch->hdr[i])) && !offload_take(r, f, batch->hdr[i])) {
		port_rx_drop(w, port, DROP_BAD_OFFLOAD);
		return false;
	}
	b->nspan += f->nspan;
	return true;
}

/* Where `len` bytes at `gpa` are, of which the first `want` will be read whatever the length. */
static inline const uint8_t *locate(
	struct vhost_ring *r, struct vhost_range *hot, uint64_t gpa, uint32_t len, uint32_t want)
{
	const uint8_t *ptr = vhost_range_at(hot, gpa);

	if (unlikely(!ptr)) {
		ptr = vhost_ring_at(r, gpa, len > want ? len : want);
		*hot = r->hot;
	}
	return ptr;
}

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
		hdr = locate(r, hot, d.addr, d.len, hdr_len + want);
		data = hdr ? hdr + hdr_len : NULL;
	} else if ((d.flags & 7) == VRING_DESC_F_NEXT && d.len == hdr_len && d.next <= r->mask) {
		hdr = locate(r, hot, d.addr, d.len, hdr_len);
		d = vhost_desc_read(&r->desc[d.next]);
		len = d.len;
		if (hdr && !(d.flags & 7) && len - FRAME_MIN <= FRAME_MAX - FRAME_MIN)
			data = locate(r, hot, d.addr, len, want);
	}
	batch->hdr[i] = hdr;
	batch->data[i] = likely(batch->head[i] <= r->mask) ? data : NULL;
	batch->len[i] = len;
	rte_prefetch0(hdr);
	rte_prefetch0(data + HDR_COPY - 1);
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
	for (i = 0; i < n && b->bytes < BURST_BYTES && b->nspan <= BURST_SPANS - FRAME_SPANS; i++) {
		bool good = likely(batch.data[i] != NULL) ? short_take(port, w, r, b, &batch, i, want)
							  : chain_take(port, w, r, b, batch.head[i]);

		vhost_ring_use(r, i, batch.head[i], 0);
		b->bytes += good ? b->frame[b->count].len : 0;
		b->count += good;
	}
	r->next_avail += i;
	r->taken = i;
	vhost_ring_prefetch_next(r);
}

uint16_t vhost_rx(struct port *port, struct worker *w, struct burst *b)
{
	struct vhost_dev *dev = port->priv;
	struct vhost_queue *q = &dev->queue[b->queue];
	struct vhost_ring *r = atomic_load_explicit(&q->rx, memory_order_acquire);
	uint16_t offered;

	if (!r || atomic_load_explicit(&dev->broken, memory_order_relaxed))
		return 0;
	offered = vhost_ring_known(r, BURST_MAX);
	if (unlikely(atomic_load_explicit(&q->rarp, memory_order_relaxed)))
		rarp_take(q, b);
	else if (!offered)
		return 0;
	if (unlikely(offered > r->mask + 1)) {
		/* an index that jumped: nothing behind it can be meant, so go on from where it is now */
		port_rx_drop(w, port, DROP_BAD_RING);
		r->next_avail += offered;
		return b->count;
	}
	take(port, w, r, b, offered < BURST_MAX - b->count ? offered : BURST_MAX - b->count);
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

	if (unlikely(!r))
		return;
	if (r->taken)
		vhost_ring_publish(r, r->taken);
	r->taken = 0;
	q->borrowed = NULL;
}

bool vhost_arm(struct port *port, uint16_t queue, bool on)
{
	struct vhost_dev *dev = port->priv;
	struct vhost_ring *r = atomic_load_explicit(&dev->queue[queue].rx, memory_order_acquire);
	uint64_t kicks;
	struct iovec iov = {&kicks, sizeof(kicks)};

	if (!r || r->armed == on)
		return r && on && vhost_ring_offered(r);
	vhost_ring_want_kick(r, on);
	r->armed = on;
	if (on)
		return vhost_ring_offered(r);
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
