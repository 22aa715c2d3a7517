/*
 * local.c: what the switch itself answers inside a network. ARP for the gateway and for vips gets the router
 * MAC, at the port where it is asked: never flooded, and never for a request that came through a vtep, since
 * every host answers for itself. ping to a vip is answered here; ping to the gateway by the kernel behind the
 * gateway port.
 */
#include "dataplane/core/dp.h"
#include "dataplane/core/exchange.h"
#include "dataplane/engine/pipeline.h"
#include "dataplane/frame/parse.h"
#include "dataplane/frame/reply.h"
#include "dataplane/l2/network.h"
#include "dataplane/lb/service.h"

static bool is_ours(const struct network *net, const struct lb_view *lb, uint32_t ip)
{
	return (net->gateway && ip == net->gateway) || (lb && lb_is_vip(lb, ip));
}

static void local_arp(struct worker *w, struct burst *b, struct frame *f, const struct network *net,
	const struct lb_view *lb)
{
	const uint8_t *arp = reply_arp_packet(f);
	bool to_probe = mac_equal(frame_data(f), w->dp->probe_mac);
	uint32_t asked;

	if (to_probe) { /* the answer to one of control's own requests */
		if (arp)
			exchange_punt(w, b->in, f);
		f->verdict = V_CONSUMED;
		return;
	}
	if (!arp || load16(arp + ARP_OP) != ARP_REQUEST)
		return;
	asked = load_ip4(arp + ARP_TARGET_IP);
	if (!is_ours(net, lb, asked))
		return;
	if (f->src_vtep != VTEP_NONE)
		f->verdict = V_CONSUMED;
	else if (!b->in->is_gateway ||
		 asked != net->gateway) /* the gateway's kernel may ask for a vip, not for itself */
		reply_arp(f, dp_router_mac);
}

static void local_one(struct worker *w, struct burst *b, struct frame *f, const struct network *net)
{
	const struct lb_view *lb = atomic_load_explicit(&net->lb, memory_order_acquire);
	const uint8_t *data = frame_data(f);

	if (f->ethertype == ETHERTYPE_ARP)
		local_arp(w, b, f, net, lb);
	else if (f->ip_proto == IPPROTO_ICMP && f->l3_off && lb && mac_equal(data, dp_router_mac) &&
		 lb_is_vip(lb, load_ip4(data + f->l3_off + 16)))
		reply_icmp_echo(f, dp_router_mac);
}

void local_stage(struct worker *w, struct burst *b)
{
	for (unsigned i = 0; i < b->count; i++) {
		struct frame *f = &b->frame[i];
		const struct network *net;

		if (f->verdict != V_NONE || (f->ethertype != ETHERTYPE_ARP && f->ip_proto != IPPROTO_ICMP))
			continue;
		net = dp_get_net(w->dp, f->net);
		if (net && net->mode != DP_P2P)
			local_one(w, b, f, net);
	}
}
