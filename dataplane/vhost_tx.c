/*
 * vhost_tx.c: frames to a guest, each copied once into the buffers that it offered. A frame that fits one
 * descriptor takes the short way, in three passes as in vhost_rx.c; any other goes through vhost_chain.c.
 */
#include <linux/virtio_net.h>
#include <rte_memcpy.h>
#include <rte_prefetch.h>

#include "dataplane/dp.h"
#include "dataplane/vhost_dev.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* The virtio_net_hdr of a frame that asks for something. */
static __attribute__((noinline)) void put_offload(
	const struct vhost_ring *r, uint8_t *dst, const struct frame *f, uint16_t buffers)
{
	struct virtio_net_hdr_mrg_rxbuf hdr = {.num_buffers = buffers};

	memcpy(&hdr, &f->off, sizeof(f->off));
	hdr.hdr.flags &= r->tx_flags;
	if (!(hdr.hdr.flags | hdr.hdr.gso_type))
		memset(&hdr.hdr, 0, sizeof(hdr.hdr));
	memcpy(dst, &hdr, r->hdr_len);
}

/*
 * Writes the virtio_net_hdr of `f`, which lies in `buffers` chains. The plain one is left alone where it
 * stands from the last time: its line, which often holds nothing else, may then stay in the guest's cache.
 */
static inline void put_hdr(const struct vhost_ring *r, uint8_t *dst, const struct frame *f, uint16_t buffers)
{
	uint32_t want = (uint32_t)buffers << 16, low = 0;
	uint64_t high;

	if (unlikely(f->off.flags | f->off.gso_type)) {
		put_offload(r, dst, f, buffers);
	} else if (likely(r->hdr_len == VHOST_HDR)) {
		memcpy(&high, dst, sizeof(high));
		memcpy(&low, dst + sizeof(high), sizeof(low));
		if (high | (low ^ want)) {
			memset(dst, 0, sizeof(high));
			memcpy(dst + sizeof(high), &want, sizeof(want));
		}
	} else {
		memset(dst, 0, VHOST_HDR_LEGACY);
	}
}

/* Exactly n bytes (up to HDR_MAX), in copies of a fixed size that overlap. */
static inline void copy_hdr(uint8_t *dst, const uint8_t *src, uint32_t n)
{
	if (likely(n >= 64)) {
		rte_mov64(dst, src);
		if (n > 64)
			rte_mov64(dst + n - 64, src + n - 64);
	} else if (n >= 32) {
		rte_mov32(dst, src);
		rte_mov32(dst + n - 32, src + n - 32);
	} else if (n >= 16) {
		rte_mov16(dst, src);
		rte_mov16(dst + n - 16, src + n - 16);
	} else {
		memcpy(dst, src, n);
	}
}

/* The short way: header and frame into one piece that is long enough. */
static inline void put_single(const struct vhost_ring *r, uint8_t *dst, const struct frame *f)
{
	put_hdr(r, dst, f, 1);
	dst += r->hdr_len;
	copy_hdr(dst, f->hdr + f->hdr_off, f->hdr_len);
	dst += f->hdr_len;
	for (unsigned i = 0; i < f->nspan; i++) {
		rte_memcpy(dst, f->span[i].ptr, f->span[i].len);
		dst += f->span[i].len;
	}
}

/* Where in a frame the copy stands: span -1 is the private header. */
struct cursor {
	const struct frame *f;
	int span;
	uint32_t at;
};

/* Copies the next n bytes of the frame. */
static void cursor_copy(struct cursor *c, uint8_t *dst, uint32_t n)
{
	while (n) {
		const uint8_t *src = c->span < 0 ? c->f->hdr + c->f->hdr_off : c->f->span[c->span].ptr;
		uint32_t len = c->span < 0 ? c->f->hdr_len : c->f->span[c->span].len, part = len - c->at;

		if (part > n)
			part = n;
		rte_memcpy(dst, src + c->at, part);
		dst += part;
		n -= part;
		c->at += part;
		if (c->at == len) {
			c->span++;
			c->at = 0;
		}
	}
}

/* Fills the chain from byte `skip` on with what is left of the frame. Returns the bytes written. */
static uint32_t fill_chain(const struct vhost_chain *chain, uint32_t skip, struct cursor *c, uint32_t left)
{
	uint32_t done = 0;

	for (unsigned i = 0; i < chain->count && done < left; i++) {
		uint32_t n = chain->piece[i].len - skip;

		if (n > left - done)
			n = left - done;
		cursor_copy(c, chain->piece[i].ptr + skip, n);
		done += n;
		skip = 0;
	}
	return done;
}

/* Gives back the chains [first, first + n) as holding nothing. */
static void void_chains(struct vhost_ring *r, uint16_t first, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++)
		vhost_ring_use(r, first + i, vhost_ring_head(r, first + i), 0);
}

/*
 * The long way: `f` into the chains from the `first`th on, at most `room` of them. Returns how many chains it
 * used up (0 when it dropped the frame without touching one), or -1 when there are not enough.
 */
static __attribute__((noinline)) int put_chains(struct port *port, struct worker *w, struct vhost_ring *r,
	const struct frame *f, uint16_t first, uint16_t room)
{
	struct cursor cursor = {.f = f, .span = -1};
	uint32_t left = f->len, skip = r->hdr_len, done;
	struct vhost_chain chain;
	uint8_t *hdr = NULL;
	uint16_t n = 0;

	do {
		uint16_t head;

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
		done = fill_chain(&chain, skip, &cursor, left);
		vhost_ring_use(r, first + n, head, skip + done);
		left -= done;
		skip = 0;
		n++;
	} while (left);
	put_hdr(r, hdr, f, n);
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
		__builtin_prefetch(dst[i] + r->hdr_len, 1);
		__builtin_prefetch(dst[i] + r->hdr_len + 63, 1);
	}
}

/* Takes the long way for `f`, with all the chains that there are. Returns as put_chains(). */
static __attribute__((noinline)) int put_long(
	struct port *port, struct worker *w, struct vhost_ring *r, const struct frame *f, uint16_t used)
{
	uint16_t room = vhost_ring_offered(r);

	return room > r->mask + 1 ? -1 : put_chains(port, w, r, f, used, room - used);
}

static uint16_t put(
	struct port *port, struct worker *w, struct vhost_ring *r, struct frame *const *frames, uint16_t n)
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
	while (done < n && used < room) {
		uint16_t m = n - done < room - used ? n - done : room - used;
		int chains = 1;

		look_ahead(r, frames + done, m, used, head, dst);
		for (uint16_t i = 0; i < m && chains == 1; i++) {
			const struct frame *f = frames[done];

			if (likely(dst[i] != NULL)) {
				put_single(r, dst[i], f);
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
		vhost_ring_publish(r, used);
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
	done = put(port, w, r, frames, n);
	if (several)
		rte_spinlock_unlock(&r->lock);
	return done;
}
