/*
 * local.c: what the switch itself answers inside a network. ARP and neighbour solicitations for gateways and vips get
 * the router MAC, at the port where it is asked: never flooded, and never for a request that came through a vtep, since
 * every host answers for itself. ping to a vip is answered here; ping to the gateway by the kernel behind the
 * gateway port. Where the addresses of guests on other hosts are known (known.h), the same is said of them.
 */
#include "dataplane/core/dp.h"
#include "dataplane/core/exchange.h"
#include "dataplane/engine/pipeline.h"
#include "dataplane/frame/nd.h"
#include "dataplane/frame/parse.h"
#include "dataplane/frame/reply.h"
#include "dataplane/l2/known.h"
#include "dataplane/l2/network.h"
#include "dataplane/lb/service.h"

static bool is_ours(const struct network *net, const struct lb_view *lb, struct ip_addr ip)
{
	return network_is_gateway(net, ip) || (lb && lb_has_vip(lb, ip));
}

/* Who has `ip`, which is ours? Every host answers its own guests; the gateway's kernel may ask for a vip, not for
 * itself. */
static bool answers(const struct burst *b, const struct network *net, struct ip_addr ip)
{
	return !b->in->is_gateway || !network_is_gateway(net, ip);
}

/* Who has it on another host, for a guest of this one that asks; NULL: nobody, or the asker says that it is itself. What
 * came through a vtep was asked there already. */
static const uint8_t *known_to(const struct frame *f, const struct network *net, struct ip_addr ip)
{
	const uint8_t *mac = f->src_vtep == VTEP_NONE ? known_mac(net, ip) : NULL;

	return mac && !mac_equal(mac, f->hdr + f->hdr_off + 6) ? mac : NULL;
}

static void local_arp(struct worker *w, struct burst *b, struct frame *f, const struct network *net,
	const struct lb_view *lb)
{
	const uint8_t *arp = reply_arp_packet(f);
	bool to_probe = mac_equal(frame_data(f), w->dp->probe_mac);
	const uint8_t *mac;
	struct ip_addr asked;

	if (to_probe) { /* the answer to one of control's own requests */
		if (arp)
			exchange_punt(w, b->in, f);
		f->verdict = V_CONSUMED;
		return;
	}
	if (!arp || load16(arp + ARP_OP) != ARP_REQUEST)
		return;
	asked = ip_from4(load_ip4(arp + ARP_TARGET_IP));
	if (!is_ours(net, lb, asked)) {
		mac = load_ip4(arp + ARP_SENDER_IP) == load_ip4(arp + ARP_TARGET_IP)
			      ? NULL /* an announcement: all are to hear it */
			      : known_to(f, net, asked);
		if (mac)
			reply_arp(f, mac);
		return;
	}
	if (f->src_vtep != VTEP_NONE)
		f->verdict = V_CONSUMED;
	else if (answers(b, net, asked))
		reply_arp(f, dp_router_mac);
}

/* The same of IPv6. Whoever has answered control asks after it, too, and gets no answer: control asks again. */
static void local_nd(struct worker *w, struct burst *b, struct frame *f, const struct network *net,
	const struct lb_view *lb)
{
	bool to_probe = mac_equal(frame_data(f), w->dp->probe_mac);
	const uint8_t *nd = nd_message(f, to_probe ? ND_ADVERT : ND_SOLICIT);
	const uint8_t *mac;
	struct ip_addr asked;

	if (to_probe) {
		if (nd)
			exchange_punt(w, b->in, f);
		f->verdict = V_CONSUMED;
		return;
	}
	if (!nd)
		return;
	asked = ip_from6(nd + ND_TARGET);
	if (!is_ours(net, lb, asked)) {
		mac = known_to(f, net, asked);
		if (mac)
			nd_answer(f, mac, false);
		return;
	}
	if (f->src_vtep != VTEP_NONE)
		f->verdict = V_CONSUMED;
	else if (answers(b, net, asked))
		nd_answer(f, dp_router_mac, network_is_gateway(net, asked));
}

/* May it be for a vip? What came through a vtep is not: its own host answers, and an answer from here would leave the
 * uplink without a tunnel. */
static bool to_router(struct frame *f, const struct lb_view *lb)
{
	return lb && f->l3_off && f->src_vtep == VTEP_NONE && mac_equal(frame_data(f), dp_router_mac);
}

static void local_icmp6(struct worker *w, struct burst *b, struct frame *f, const struct network *net,
	const struct lb_view *lb)
{
	const uint8_t *data;

	local_nd(w, b, f, net, lb);
	data = frame_data(f);
	if (f->verdict == V_NONE && to_router(f, lb) && lb_has_vip(lb, ip_from6(data + f->l3_off + 24)))
		reply_icmp6_echo(f, dp_router_mac);
}

static void local_one(struct worker *w, struct burst *b, struct frame *f, const struct network *net)
{
	const struct lb_view *lb = atomic_load_explicit(&net->lb, memory_order_acquire);
	const uint8_t *data = frame_data(f);

	if (f->ethertype == ETHERTYPE_ARP)
		local_arp(w, b, f, net, lb);
	else if (nd_maybe(f))
		local_icmp6(w, b, f, net, lb);
	else if (f->ip_proto == IPPROTO_ICMP && to_router(f, lb) &&
		 lb_is_vip(lb, load_ip4(data + f->l3_off + 16)))
		reply_icmp_echo(f, dp_router_mac);
}

void local_stage(struct worker *w, struct burst *b)
{
	for (unsigned i = 0; i < b->count; i++) {
		struct frame *f = &b->frame[i];
		const struct network *net;

		if (f->verdict != V_NONE ||
			(f->ethertype != ETHERTYPE_ARP && f->ip_proto != IPPROTO_ICMP && !nd_maybe(f)))
			continue;
		net = dp_get_net(w->dp, f->net);
		if (net && net->mode != DP_P2P)
			local_one(w, b, f, net);
	}
}
