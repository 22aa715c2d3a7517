/*
 * underlay.c: what arrives on an uplink. The switch is a host there: it answers ARP and ping for the uplink's
 * address and takes VXLAN apart; everything else is not for it. After this stage a frame that goes on is the
 * inner one, in its network, and nothing says any more that it was wrapped but src_vtep.
 */
#include <linux/virtio_net.h>

#include "dataplane/dp.h"
#include "dataplane/exchange.h"
#include "dataplane/offload.h"
#include "dataplane/parse.h"
#include "dataplane/pipeline.h"
#include "dataplane/reply.h"
#include "dataplane/sctp.h"
#include "dataplane/vxlan.h"

static void underlay_arp(struct worker *w, struct burst *b, struct frame *f)
{
	const uint8_t *arp = reply_arp_packet(f);

	if (!arp || load_ip4(arp + ARP_TARGET_IP) != b->in->address) {
		frame_drop(f, DROP_NOT_FOR_US);
	} else if (load16(arp + ARP_OP) == ARP_REQUEST) {
		exchange_punt(w, b->in, f); /* who asks for us can be asked: saves a request of our own */
		reply_arp(f, b->in->mac);
	} else {
		exchange_punt(w, b->in, f);
		f->verdict = V_CONSUMED;
	}
}

/* The inner frame's offload request: one that names the outer UDP checksum has been served with the outer
 * header. */
static bool inner_offload(struct frame *f, uint16_t outer)
{
	if (!f->off.flags && !f->off.gso_type)
		return true;
	if ((f->off.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) && f->off.csum_start < outer) {
		if (f->off.gso_type != VIRTIO_NET_HDR_GSO_NONE)
			return false;
		f->off = (struct offload){.flags = VIRTIO_NET_HDR_F_DATA_VALID};
		return true;
	}
	f->off.csum_start -= outer;
	return offload_valid(f) || sctp_serve(f);
}

/* The inner frame starts `outer` bytes after the outer one and ends where the outer IP packet does. */
static void decapsulate(struct worker *w, struct burst *b, struct frame *f, const struct vxlan_slot *slot,
	uint16_t outer, uint32_t end)
{
	if (end > f->len || end < outer + (uint32_t)FRAME_MIN || f->hdr_len < outer + FRAME_MIN) {
		frame_drop(f, DROP_MALFORMED);
		return;
	}
	frame_trim(f, end); /* padding of the underlay */
	f->hdr_off += outer;
	f->hdr_len -= outer;
	f->len -= outer;
	f->hash = 0;
	f->net = slot->net;
	f->src_vtep = slot->vtep;
	w->net_stats[f->net].rx++;
	parse_frame(f);
	if (!inner_offload(f, outer))
		frame_drop(f, DROP_BAD_OFFLOAD);
}

/* Is any network here known by this VNI? Told apart from an unknown vtep for whoever reads the counters. */
static bool vni_known(struct dp *dp, uint32_t vni)
{
	for (unsigned i = 0; i < MAX_NETS; i++) {
		const struct network *net = dp_get_net(dp, i);

		if (net && net->mode == DP_OVERLAY && net->vni == vni)
			return true;
	}
	return false;
}

static void underlay_vxlan(struct worker *w, struct burst *b, struct frame *f)
{
	const uint8_t *data = frame_data(f), *vxlan = data + f->l4_off + 8;
	uint16_t outer = f->l4_off + 16;
	uint32_t vni, remote = load_ip4(data + f->l3_off + 12);
	const struct vxlan_slot *slot;

	if (f->hdr_len < outer || !(vxlan[0] & 0x08)) {
		frame_drop(f, DROP_MALFORMED);
		return;
	}
	vni = (uint32_t)vxlan[4] << 16 | load16(vxlan + 5);
	slot = vxlan_find(atomic_load_explicit(&w->dp->vxlan, memory_order_acquire), vni, remote);
	if (!slot)
		frame_drop(f, vni_known(w->dp, vni) ? DROP_UNKNOWN_VTEP : DROP_UNKNOWN_VNI);
	else
		decapsulate(w, b, f, slot, outer, f->l3_off + load16(data + f->l3_off + 2));
}

static void underlay_one(struct worker *w, struct burst *b, struct frame *f)
{
	const uint8_t *data = frame_data(f);

	if (f->ethertype == ETHERTYPE_ARP) {
		f->off = (struct offload){0};
		underlay_arp(w, b, f);
	} else if (!f->l3_off || f->ethertype != ETHERTYPE_IP4 || !mac_equal(data, b->in->mac) ||
		   !b->in->address || load_ip4(data + f->l3_off + 16) != b->in->address) {
		frame_drop(f, DROP_NOT_FOR_US);
	} else if (f->ip_proto == IPPROTO_UDP && f->l4_off &&
		   load16(data + f->l4_off + 2) == b->in->vxlan_port) {
		underlay_vxlan(w, b, f);
	} else if (f->off = (struct offload){0}, !reply_icmp_echo(f, b->in->mac)) {
		frame_drop(f, DROP_NOT_FOR_US);
	}
}

void underlay_stage(struct worker *w, struct burst *b)
{
	b->traits |= BURST_HAS_LOCAL | BURST_HAS_SERVICE;
	for (unsigned i = 0; i < b->count; i++) {
		struct frame *f = &b->frame[i];

		f->net = NET_NONE;
		parse_frame(f);
		underlay_one(w, b, f);
	}
}
