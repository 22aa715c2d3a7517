/*
 * underlay.c: what arrives on an uplink. The switch is a host there: it answers ARP or neighbour solicitations and
 * ping for the uplink's address and unwraps VXLAN; what is of a connection of a guest's with the world
 * outside goes to egress/; everything else is not for it. A frame that goes on from this stage is the inner
 * one, in its network. Only src_vtep tells that it came through a tunnel.
 */
#include "dataplane/overlay/underlay.h"

#include <linux/virtio_net.h>

#include "dataplane/bfd/bfd.h"
#include "dataplane/core/dp.h"
#include "dataplane/core/exchange.h"
#include "dataplane/egress/egress.h"
#include "dataplane/frame/csum.h"
#include "dataplane/frame/nd.h"
#include "dataplane/frame/offload.h"
#include "dataplane/frame/parse.h"
#include "dataplane/frame/reply.h"
#include "dataplane/frame/sctp.h"
#include "dataplane/l2/fdb.h"
#include "dataplane/l2/network.h"
#include "dataplane/overlay/load.h"
#include "dataplane/overlay/vxlan.h"

enum { VXLAN_HAS_VNI = 0x08 };

static void underlay_arp(struct worker *w, struct burst *b, struct frame *f)
{
	const uint8_t *arp = reply_arp_packet(f);

	if (!arp || !b->in->address || load_ip4(arp + ARP_TARGET_IP) != b->in->address) {
		frame_drop(f, DROP_NOT_FOR_US);
	} else if (load16(arp + ARP_OP) == ARP_REQUEST) {
		exchange_punt(w, b->in, f); /* who asks for us can be asked: saves a request of our own */
		reply_arp(f, b->in->mac);
	} else {
		exchange_punt(w, b->in, f);
		f->verdict = V_CONSUMED;
	}
}

/* Neighbour discovery for the uplink's address, and answers to control's own questions. False: it is neither. */
static bool underlay_nd(struct worker *w, struct burst *b, struct frame *f)
{
	const uint8_t *nd;

	if (!nd_maybe(f))
		return false;
	nd = nd_message(f, ND_SOLICIT);
	if (nd && ip_equal(ip_from6(nd + ND_TARGET), b->in->address6)) {
		nd_answer(f, b->in->mac, false);
		return true;
	}
	if (nd || !mac_equal(frame_data(f), b->in->mac) || !nd_message(f, ND_ADVERT))
		return false;
	exchange_punt(w, b->in, f);
	f->verdict = V_CONSUMED;
	return true;
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

/* The tunnel that the frame before came through, for the next one as a rule comes through it too. */
struct tunnel {
	uint32_t vni, remote;
	struct ip_addr remote6;	       /* of IPv6 */
	const struct vxlan_slot *slot; /* NULL: none yet, or none that comes by this uplink */
	bool deep;		       /* some stage will look past the inner Ethernet header */
};

static void take_tunnel(
	struct worker *w, const struct port *in, struct tunnel *tunnel, const struct vxlan_slot *slot)
{
	const struct network *net;

	tunnel->slot = slot;
	if (tunnel->slot && tunnel->slot->uplink != in->id)
		tunnel->slot = NULL;
	net = tunnel->slot ? dp_get_net(w->dp, tunnel->slot->net) : NULL;
	tunnel->deep = net && atomic_load_explicit(&net->lb, memory_order_relaxed);
}

static void find_tunnel(
	struct worker *w, const struct port *in, struct tunnel *tunnel, uint32_t vni, uint32_t remote)
{
	const struct vxlan_map *map = atomic_load_explicit(&w->dp->vxlan, memory_order_acquire);

	tunnel->vni = vni;
	tunnel->remote = remote;
	take_tunnel(w, in, tunnel, vxlan_find(map, vni, remote));
}

static void find_tunnel6(
	struct worker *w, const struct port *in, struct tunnel *tunnel, uint32_t vni, struct ip_addr remote)
{
	tunnel->vni = vni;
	tunnel->remote6 = remote;
	take_tunnel(w, in, tunnel, vxlan_find6(w->dp, vni, remote));
}

/* TCP or UDP over IPv6 right behind the headers: neither neighbour discovery nor what could hide it. */
static inline bool is_plain_ip6(const struct frame *f)
{
	const uint8_t *data = f->hdr + f->hdr_off;
	uint8_t next = data[ETH_LEN + 6];

	return f->ethertype == ETHERTYPE_IP6 && f->hdr_len >= ETH_LEN + 40 &&
	       load16(data + 12) == ETHERTYPE_IP6 && (next == IPPROTO_TCP || next == IPPROTO_UDP);
}

/* The inner frame starts `outer` bytes after the outer one and ends where the outer IP packet does. */
static inline void decapsulate(struct worker *w, struct burst *b, struct frame *f,
	const struct tunnel *tunnel, uint16_t outer, uint32_t end)
{
	if (end > f->len || end < outer + (uint32_t)FRAME_MIN || f->hdr_len < outer + FRAME_MIN) {
		frame_drop(f, DROP_MALFORMED);
		return;
	}
	if (__builtin_expect(end < f->len, 0))
		frame_trim(f, end); /* padding of the underlay */
	f->hdr_off += outer;
	f->hdr_len -= outer;
	f->len -= outer;
	f->hash = 0;
	f->net = tunnel->slot->net;
	f->src_vtep = tunnel->slot->vtep;
	fdb_ask(w->dp->fdb, fdb_frame_key(f->net, frame_data(f) + 6),
		&b->asked[f - b->frame]); /* for the learn stage */
	stat_add(&w->net_stats[f->net].rx, 1);
	if (tunnel->deep || f->off.flags || f->off.gso_type || b->in->unfinished)
		parse_frame(f);
	else
		parse_later(f);
	if (tunnel->deep)
		b->traits |= BURST_HAS_LOCAL | BURST_HAS_SERVICE;
	if (__builtin_expect(f->ethertype != ETHERTYPE_IP4, 0) && !is_plain_ip6(f))
		b->traits |= BURST_HAS_LOCAL | BURST_ODD;
	if (b->in->unfinished && !f->off.flags)
		offload_detect(f);
	else if (!inner_offload(f, outer))
		frame_drop(f, DROP_BAD_OFFLOAD);
}

/* Why there is no tunnel, told apart for whoever reads the counters. */
static void drop_unknown(struct worker *w, struct frame *f, uint32_t vni)
{
	frame_drop(f, network_has_vni(w->dp, vni) ? DROP_UNKNOWN_VTEP : DROP_UNKNOWN_VNI);
}

/*
 * Is the checksum of the UDP packet at byte `l4` right, as far as it has one (RFC 6935: a tunnel's may be 0) and nobody
 * has looked yet? What asks for a checksum has not been on a wire; from a port that does not say, it looks like one that
 * asks.
 */
static bool is_intact6(const struct port *in, struct frame *f, uint16_t l3, uint16_t l4, uint32_t end)
{
	enum { UDP_CSUM = 6, ADDRESSES = 8 };
	const uint8_t *data = frame_data(f);
	uint16_t found = csum_load(data + l4 + UDP_CSUM);
	uint64_t sum;

	if (!found || f->outer_right || f->off.flags || f->off.gso_type)
		return true;
	if (end < f->len)
		frame_trim(f, end); /* padding is not summed */
	sum = csum_add(0, data + l3 + ADDRESSES, 32) + __builtin_bswap16((uint16_t)(end - l4)) +
	      __builtin_bswap16(IPPROTO_UDP);
	return (in->unfinished && found == csum_fold(sum)) ||
	       csum_fold(sum + offload_sum(f, l4)) == UINT16_MAX;
}

/* A packet to the port of VXLAN that carries no frame: what another host tells (load.h), or nothing that we know. */
static __attribute__((noinline)) void not_vxlan(
	struct worker *w, struct burst *b, struct frame *f, uint16_t l3, uint16_t l4)
{
	const uint8_t *data = frame_data(f), *vxlan = data + l4 + 8;
	bool six = f->ethertype == ETHERTYPE_IP6;
	uint32_t end = l4 + (uint32_t)load16(data + l4 + 4), vni;
	struct tunnel tunnel = {.slot = NULL};

	if (f->hdr_len < l4 + 16 || vxlan[0] || end > f->len || (six && !is_intact6(b->in, f, l3, l4, end))) {
		frame_drop(f, DROP_MALFORMED);
		return;
	}
	vni = (uint32_t)vxlan[4] << 16 | load16(vxlan + 5);
	if (six)
		find_tunnel6(w, b->in, &tunnel, vni, ip_from6(data + l3 + 8));
	else
		find_tunnel(w, b->in, &tunnel, vni, load_ip4(data + l3 + 12));
	if (tunnel.slot)
		hear_load(w, f, l4 + 8, end, tunnel.slot);
	else
		drop_unknown(w, f, vni);
}

/* A packet to the port of VXLAN whose IP header begins at byte `l3` and whose UDP header at byte `l4`. */
static inline void underlay_vxlan(
	struct worker *w, struct burst *b, struct frame *f, uint16_t l3, uint16_t l4, struct tunnel *tunnel)
{
	const uint8_t *data = frame_data(f), *vxlan = data + l4 + 8;
	uint32_t vni, remote = load_ip4(data + l3 + 12);
	uint16_t outer = l4 + 16;

	if (f->hdr_len < outer || !(vxlan[0] & VXLAN_HAS_VNI)) {
		not_vxlan(w, b, f, l3, l4);
		return;
	}
	vni = (uint32_t)vxlan[4] << 16 | load16(vxlan + 5);
	if (__builtin_expect(!tunnel->slot || tunnel->vni != vni || tunnel->remote != remote, 0))
		find_tunnel(w, b->in, tunnel, vni, remote);
	if (!tunnel->slot)
		drop_unknown(w, f, vni);
	else
		decapsulate(w, b, f, tunnel, outer, l3 + load16(data + l3 + 2));
}

/* The same over IPv6. */
static __attribute__((noinline)) void underlay_vxlan6(
	struct worker *w, struct burst *b, struct frame *f, uint16_t l3, uint16_t l4, struct tunnel *tunnel)
{
	const uint8_t *data = frame_data(f), *vxlan = data + l4 + 8;
	struct ip_addr remote = ip_from6(data + l3 + 8);
	uint16_t outer = l4 + 16;
	uint32_t end = l4 + (uint32_t)load16(data + l3 + 4), vni;
	bool intact;

	if (f->hdr_len < outer || end > f->len || end < outer || load16(data + l4 + 4) != end - l4) {
		frame_drop(f, DROP_MALFORMED);
		return;
	}
	if (!(vxlan[0] & VXLAN_HAS_VNI)) {
		not_vxlan(w, b, f, l3, l4);
		return;
	}
	vni = (uint32_t)vxlan[4] << 16 | load16(vxlan + 5);
	if (__builtin_expect(!tunnel->slot || tunnel->vni != vni || !ip_equal(tunnel->remote6, remote), 0))
		find_tunnel6(w, b->in, tunnel, vni, remote);
	if (!tunnel->slot) {
		drop_unknown(w, f, vni);
		return;
	}
	intact = is_intact6(b->in, f, l3, l4, end);
	decapsulate(w, b, f, tunnel, outer, end);
	/* where the inner checksum is still to be made, the outer one is already of what it will be */
	if (!intact && f->verdict == V_NONE && !(b->in->unfinished && f->off.flags))
		frame_drop(f, DROP_MALFORMED);
}

/* What nearly every frame of an underlay is: UDP to our port of VXLAN, in an IPv4 packet that is whole and
 * has no options, without a VLAN tag. */
static inline bool is_plain_vxlan(const struct port *in, struct frame *f)
{
	const uint8_t *data = frame_data(f), *ip = data + ETH_LEN;
	uint16_t total;

	if (f->hdr_len < ETH_LEN + 20 + 8)
		return false;
	total = load16(ip + 2);
	return load16(data + 12) == ETHERTYPE_IP4 && ip[0] == 0x45 && ip[9] == IPPROTO_UDP &&
	       !(load16(ip + 6) & IP4_MF_OFFSET) && total >= 20 && total <= f->len - ETH_LEN &&
	       load16(ip + 22) == in->vxlan_port && load_ip4(ip + 16) == in->address && in->address &&
	       mac_equal(data, in->mac);
}

/* Of an uplink whose address is of IPv6. */
static void underlay_ip6(struct worker *w, struct burst *b, struct frame *f, struct tunnel *tunnel)
{
	const uint8_t *data = frame_data(f);

	if (underlay_nd(w, b, f)) {
		f->off = (struct offload){0};
	} else if (!mac_equal(data, b->in->mac) ||
		   !ip_equal(ip_from6(data + f->l3_off + 24), b->in->address6)) {
		frame_drop(f, DROP_NOT_FOR_US);
	} else if (f->ip_proto == IPPROTO_UDP && f->l4_off &&
		   load16(data + f->l4_off + 2) == b->in->vxlan_port) {
		underlay_vxlan6(w, b, f, f->l3_off, f->l4_off, tunnel);
	} else if (f->ip_proto == IPPROTO_UDP && f->l4_off &&
		   bfd_input(w, b->in, f, ip_from6(data + f->l3_off + 8), data[f->l3_off + 7])) {
		f->off = (struct offload){0};
	} else if (egress_input(w, b, f)) {
		return;
	} else if (f->off = (struct offload){0}, !reply_icmp6_echo(f, b->in->mac)) {
		frame_drop(f, DROP_NOT_FOR_US);
	}
}

static void underlay_one(struct worker *w, struct burst *b, struct frame *f, struct tunnel *tunnel)
{
	const uint8_t *data = frame_data(f);

	if (f->l3_off && f->ethertype == ETHERTYPE_IP6 && !ip_is_none(b->in->address6)) {
		underlay_ip6(w, b, f, tunnel);
		return;
	}
	if (f->ethertype == ETHERTYPE_ARP) {
		f->off = (struct offload){0};
		underlay_arp(w, b, f);
	} else if (!f->l3_off || f->ethertype != ETHERTYPE_IP4 || !mac_equal(data, b->in->mac) ||
		   !b->in->address || load_ip4(data + f->l3_off + 16) != b->in->address) {
		frame_drop(f, DROP_NOT_FOR_US);
	} else if (f->ip_proto == IPPROTO_UDP && f->l4_off &&
		   load16(data + f->l4_off + 2) == b->in->vxlan_port) {
		underlay_vxlan(w, b, f, f->l3_off, f->l4_off, tunnel);
	} else if (f->ip_proto == IPPROTO_UDP && f->l4_off &&
		   bfd_input(w, b->in, f, ip_from4(load_ip4(data + f->l3_off + 12)), data[f->l3_off + 8])) {
		f->off = (struct offload){0};
	} else if (egress_input(w, b, f)) {
		return;
	} else if (f->off = (struct offload){0}, !reply_icmp_echo(f, b->in->mac)) {
		frame_drop(f, DROP_NOT_FOR_US);
	}
}

void underlay_stage(struct worker *w, struct burst *b)
{
	struct tunnel tunnel = {.slot = NULL};

	for (unsigned i = 0; i < b->count; i++) {
		struct frame *f = &b->frame[i];

		f->net = NET_NONE;
		if (__builtin_expect(is_plain_vxlan(b->in, f), 1)) {
			underlay_vxlan(w, b, f, ETH_LEN, ETH_LEN + 20, &tunnel);
		} else {
			parse_frame(f);
			underlay_one(w, b, f, &tunnel);
		}
	}
}
