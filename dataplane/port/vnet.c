#include "dataplane/port/vnet.h"

#include <errno.h>

#include "dataplane/core/worker.h"
#include "dataplane/frame/offload.h"
#include "dataplane/frame/parse.h"
#include "dataplane/frame/sctp.h"

/* On an uplink: does the request stay inside the frame? */
static bool within(struct frame *f)
{
	struct offload *off = &f->off;

	off->gso_type &= ~VIRTIO_NET_HDR_GSO_ECN;
	/* that a device found the outer checksum right says nothing about the inner one */
	f->outer_right = off->flags & VIRTIO_NET_HDR_F_DATA_VALID;
	off->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	if (!off->flags) {
		bool plain = off->gso_type == VIRTIO_NET_HDR_GSO_NONE;

		*off = (struct offload){0};
		return plain;
	}
	return (uint32_t)off->csum_start + off->csum_offset + 2 <= f->len;
}

/*
 * A request for a checksum inside a tunnel of the guest's own is served at once. Later it would be taken for
 * one of the outer header, which load balancing rewrites.
 */
static bool serve_inner(struct frame *f)
{
	uint32_t end = (uint32_t)f->off.csum_start + f->off.csum_offset + 2;

	if (f->off.flags != VIRTIO_NET_HDR_F_NEEDS_CSUM || f->off.gso_type != VIRTIO_NET_HDR_GSO_NONE ||
		!f->l4_off || f->off.csum_start <= f->l4_off || frame_pull(f, HDR_MAX) < end)
		return false;
	offload_checksum(f);
	return true;
}

/* A large frame in such a tunnel: the kernel does not say which tunnel it is, so nobody could cut it. */
static bool large_in_tunnel(const struct frame *f)
{
	uint16_t ip_len = f->ethertype == ETHERTYPE_IP4 ? 20 : 40;

	return f->off.gso_type != VIRTIO_NET_HDR_GSO_NONE && f->l3_off &&
	       f->off.csum_start >= f->l3_off + 2 * ip_len;
}

enum drop_reason vnet_take(const struct port *port, struct frame *f, const struct virtio_net_hdr *hdr)
{
	memcpy(&f->off, hdr, sizeof(f->off));
	if (!f->off.flags && !f->off.gso_type)
		return DROP_COUNT;
	if (port->is_uplink)
		return within(f) ? DROP_COUNT : DROP_BAD_OFFLOAD;
	if (offload_valid(f) || serve_inner(f) || sctp_serve(f))
		return DROP_COUNT;
	return large_in_tunnel(f) ? DROP_TUNNEL_OFFLOAD : DROP_BAD_OFFLOAD;
}

bool vnet_keep(struct port *port, struct worker *w, struct burst *b, struct frame *f,
	const struct virtio_net_hdr *hdr)
{
	enum drop_reason reason = vnet_take(port, f, hdr);

	if (reason != DROP_COUNT) {
		port_rx_drop(w, port, reason);
		return false;
	}
	burst_keep(b, f);
	return true;
}

unsigned vnet_vector(const struct frame *f, void *hdr, unsigned hdr_len, struct iovec *iov)
{
	unsigned n = 0;

	memset(hdr, 0, hdr_len);
	if (f->off.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		memcpy(hdr, &f->off, sizeof(f->off));
	iov[n++] = (struct iovec){hdr, hdr_len};
	iov[n++] = (struct iovec){(void *)(f->hdr + f->hdr_off), f->hdr_len};
	for (unsigned i = 0; i < f->nspan; i++)
		iov[n++] = (struct iovec){(void *)f->span[i].ptr, f->span[i].len};
	return n;
}

/* A kernel before Linux 6.2 knows no large UDP datagrams, and refuses them as invalid. */
static bool refuses_uso(struct port *port, const struct frame *f)
{
	if (f->off.gso_type != VIRTIO_NET_HDR_GSO_UDP_L4)
		return false;
	atomic_fetch_and_explicit(&port->offloads, ~(uint32_t)PORT_USO, memory_order_relaxed);
	return true;
}

bool vnet_refused(struct port *port, struct worker *w, const struct frame *f, int error)
{
	enum drop_reason reason = DROP_TX_ERROR;

	switch (error) {
	case EAGAIN:
	case ENOBUFS:
	case ENOMEM:
		return false;
	case ENETDOWN:
	case ENXIO:
	case ENODEV:
		port_set_link(port, false);
		reason = DROP_LINK_DOWN;
		break;
	case EMSGSIZE:
		reason = DROP_MTU;
		break;
	case EINVAL:
		if (refuses_uso(port, f))
			return false;
	}
	port_tx_drop(w, port, f, reason);
	return true;
}
