#include "dataplane/vhost/frame.h"

#include "dataplane/frame/offload.h"

bool vhost_take_offload(const struct vhost_ring *r, struct frame *f, const uint8_t *hdr)
{
	memcpy(&f->off, hdr, sizeof(f->off));
	f->off.flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM; /* the rest has no meaning in this direction */
	if (f->off.flags & ~r->rx_flags)
		return false;
	if (f->off.gso_type > 7 || !(r->gso_types & (1u << f->off.gso_type)))
		return false;
	return (!f->off.flags && !f->off.gso_type) || offload_valid(f);
}

/* Copies `n` bytes of the pieces from byte `skip` on. */
static void chain_copy(const struct vhost_chain *chain, uint32_t skip, uint8_t *dst, uint32_t n)
{
	for (unsigned i = 0; i < chain->count && n; i++) {
		uint32_t len = chain->piece[i].len, past = len < skip ? len : skip, part = len - past;

		if (part > n)
			part = n;
		memcpy(dst, chain->piece[i].ptr + past, part);
		dst += part;
		n -= part;
		skip -= past;
	}
}

/* The bytes of the pieces from byte `skip` on as spans of `f`. False: they are too many pieces. */
static bool chain_lend(const struct vhost_chain *chain, uint32_t skip, struct burst *b, struct frame *f)
{
	for (unsigned i = 0; i < chain->count; i++) {
		uint32_t len = chain->piece[i].len, past = len < skip ? len : skip;

		if (len > past && !burst_lend(b, f, chain->piece[i].ptr + past, len - past))
			return false;
		skip -= past;
	}
	return true;
}

bool vhost_take_chain(struct port *port, struct worker *w, const struct vhost_ring *r, struct burst *b,
	const struct vhost_chain *chain)
{
	struct frame *f = burst_begin(b);
	uint8_t hdr[VHOST_HDR] = {0};
	uint32_t want = port_hdr_copy(port);

	if (chain->len < r->hdr_len) {
		port_rx_drop(w, port, DROP_BAD_RING);
		return false;
	}
	f->len = chain->len - r->hdr_len;
	if (f->len < FRAME_MIN || f->len > FRAME_MAX) {
		port_rx_drop(w, port, DROP_MALFORMED);
		return false;
	}
	f->hdr_len = (uint16_t)(f->len < want ? f->len : want);
	if (!chain_lend(chain, r->hdr_len + f->hdr_len, b, f)) {
		port_rx_drop(w, port, DROP_BAD_RING);
		return false;
	}
	chain_copy(chain, 0, hdr, r->hdr_len);
	chain_copy(chain, r->hdr_len, f->hdr + HDR_ROOM, f->hdr_len);
	if ((hdr[0] | hdr[1]) && !vhost_take_offload(r, f, hdr)) {
		port_rx_drop(w, port, DROP_BAD_OFFLOAD);
		return false;
	}
	burst_keep(b, f);
	return true;
}

void vhost_put_offload(const struct vhost_ring *r, uint8_t *dst, const struct frame *f, uint16_t buffers)
{
	struct virtio_net_hdr_mrg_rxbuf hdr = {.num_buffers = buffers};

	memcpy(&hdr, &f->off, sizeof(f->off));
	hdr.hdr.flags &= r->tx_flags;
	if (!(hdr.hdr.flags | hdr.hdr.gso_type))
		memset(&hdr.hdr, 0, sizeof(hdr.hdr));
	memcpy(dst, &hdr, r->hdr_len);
}

/* Copies the next n bytes of the frame. */
static void cursor_copy(struct vhost_cursor *c, uint8_t *dst, uint32_t n)
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

uint32_t vhost_fill_chain(
	const struct vhost_chain *chain, uint32_t skip, struct vhost_cursor *c, uint32_t left)
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
