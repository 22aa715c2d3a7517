/*
 * frame.h: a frame out of a guest's buffers, and one into them, whatever kind the ring is that offered
 * them. The short ways, for a frame in one piece, are inline.
 */
#pragma once

#include <linux/virtio_net.h>
#include <rte_memcpy.h>

#include "dataplane/core/worker.h"
#include "dataplane/vhost/dev.h"

/**
 * Worker. Takes the guest's request from a private copy of its header. False: not one that it may make of
 * this frame.
 */
bool vhost_take_offload(const struct vhost_ring *r, struct frame *f, const uint8_t *hdr);

/**
 * Worker. The next frame of `b`, which has room, from any chain, which was read. False: it gives no frame, which
 * is counted: as bad-ring also when it has more spans than a frame may.
 */
bool vhost_take_chain(struct port *port, struct worker *w, const struct vhost_ring *r, struct burst *b,
	const struct vhost_chain *chain);

/**
 * Worker. The next frame of `b`, which has room, from one piece of `len` bytes at `data`, of which at least `want` are there
 * to read; its virtio_net_hdr lies at `hdr`. False: it gives no frame, which is counted.
 */
static inline bool vhost_take_piece(struct port *port, struct worker *w, const struct vhost_ring *r,
	struct burst *b, const uint8_t *hdr, const uint8_t *data, uint32_t len, uint32_t want)
{
	struct frame *f = burst_begin(b);

	memcpy(f->hdr + HDR_ROOM, data, HDR_COPY);
	if (want > HDR_COPY)
		memcpy(f->hdr + HDR_ROOM + HDR_COPY, data + HDR_COPY, HDR_MAX - HDR_COPY);
	f->len = len;
	f->hdr_len = (uint16_t)(len < want ? len : want);
	/* flags and gso_type */
	if (__builtin_expect(!vhost_read16(hdr), 1)) {
		burst_keep_piece(b, f, data + f->hdr_len, len - f->hdr_len);
		return true;
	}
	if (len > want)
		burst_lend(b, f, data + want, len - want); /* the first of the frame: there is room */
	if (!vhost_take_offload(r, f, hdr)) {
		port_rx_drop(w, port, DROP_BAD_OFFLOAD);
		return false;
	}
	burst_keep(b, f);
	return true;
}

/** Asks for the line `offset` bytes behind `ptr`, which may be NULL: then for nothing that matters. */
static inline void vhost_prefetch(const void *ptr, uint32_t offset)
{
	__builtin_prefetch((const void *)((uintptr_t)ptr + offset));
}

/** The same, to write to it. */
static inline void vhost_prefetch_put(const void *ptr, uint32_t offset)
{
	__builtin_prefetch((const void *)((uintptr_t)ptr + offset), 1);
}

/**
 * Worker. Where `len` bytes at `gpa` are, of which the first `want` will be read whatever the length. NULL:
 * not in the guest's memory.
 */
static inline const uint8_t *vhost_locate(
	struct vhost_ring *r, struct vhost_range *hot, uint64_t gpa, uint32_t len, uint32_t want)
{
	const uint8_t *ptr = vhost_range_at(hot, gpa);

	if (__builtin_expect(!ptr, 0)) {
		ptr = vhost_ring_at(r, gpa, len > want ? len : want);
		*hot = r->hot;
	}
	return ptr;
}

/** Worker. The virtio_net_hdr of a frame that asks for something, which lies in `buffers` chains. */
void vhost_put_offload(const struct vhost_ring *r, uint8_t *dst, const struct frame *f, uint16_t buffers);

/**
 * Worker. Writes the virtio_net_hdr of `f`, which lies in `buffers` chains. The plain one is left alone where
 * it stands from the last time: its line, which often holds nothing else, may then stay in the guest's cache.
 */
static inline void vhost_put_hdr(
	const struct vhost_ring *r, uint8_t *dst, const struct frame *f, uint16_t buffers)
{
	uint32_t want = (uint32_t)buffers << 16, low = 0;
	uint64_t high;

	if (__builtin_expect(f->off.flags | f->off.gso_type, 0)) {
		vhost_put_offload(r, dst, f, buffers);
	} else if (__builtin_expect(r->hdr_len == VHOST_HDR, 1)) {
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

/* Exactly n bytes, in copies of a fixed size that overlap. */
static inline void vhost_copy_hdr(uint8_t *dst, const uint8_t *src, uint32_t n)
{
	if (__builtin_expect(n >= 64, 1)) {
		rte_mov64(dst, src);
		if (n > 64) {
			/* more than HDR_MAX: the switch has put headers of its own before it */
			for (uint32_t at = 64; __builtin_expect(at + 64 < n, 0); at += 64)
				rte_mov64(dst + at, src + at);
			rte_mov64(dst + n - 64, src + n - 64);
		}
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

/** Worker. Header and frame into one piece that is long enough. */
static inline void vhost_put_piece(const struct vhost_ring *r, uint8_t *dst, const struct frame *f)
{
	vhost_put_hdr(r, dst, f, 1);
	dst += r->hdr_len;
	vhost_copy_hdr(dst, f->hdr + f->hdr_off, f->hdr_len);
	dst += f->hdr_len;
	for (unsigned i = 0; i < f->nspan; i++) {
		rte_memcpy(dst, f->span[i].ptr, f->span[i].len);
		dst += f->span[i].len;
	}
}

/* Where in a frame the copy stands: span -1 is the private header. */
struct vhost_cursor {
	const struct frame *f;
	int span;
	uint32_t at;
};

/** Worker. Fills the chain from byte `skip` on with what is left of the frame. Returns the bytes written. */
uint32_t vhost_fill_chain(
	const struct vhost_chain *chain, uint32_t skip, struct vhost_cursor *c, uint32_t left);
