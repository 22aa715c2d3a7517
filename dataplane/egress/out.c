/*
 * out.c: from a guest to the world outside. What is not of a connection yet makes one, where the network masquerades;
 * where ports are only published, nothing else leaves.
 */
#include "dataplane/core/dp.h"
#include "dataplane/core/exchange.h"
#include "dataplane/egress/egress.h"
#include "dataplane/egress/flow.h"
#include "dataplane/egress/fragment.h"
#include "dataplane/egress/icmp.h"
#include "dataplane/egress/inside.h"
#include "dataplane/egress/published.h"
#include "dataplane/egress/route.h"
#include "dataplane/frame/nat.h"
#include "dataplane/frame/offload.h"
#include "dataplane/frame/parse.h"
#include "dataplane/l2/network.h"
#include "dataplane/lb/service.h"

/* The frame at hand, and what was found out about it. */
struct leaving {
	struct worker *w;
	struct burst *b;
	struct frame *f;
	const struct network *net;
	bool ip6;
	struct ends ends;
	uint8_t tcp;
	const struct route *route;
	const struct port *uplink;
	bool turns;	/* it is for the uplink's own address */
	uint8_t mac[6]; /* of the next hop */
};

/* By the uplink whose address the packet has outside: the one that leads there, while nothing is said about it. */
static const struct route *route_by(
	const struct routes *routes, struct ip_addr address, struct ip_addr ip, struct ip_addr *hop)
{
	const struct route *best = route_find(routes, ip, hop);

	if (!best || ip_equal(best->address, address))
		return best;
	return route_from(routes, address, ip, hop);
}

/* Drops it, and tells its sender. */
static void refuse(struct leaving *l, enum egress_problem problem, enum drop_reason reason)
{
	struct egress_answer answer = {.problem = problem,
		.source = l->ip6 ? l->net->gateway6 : ip_from4(l->net->gateway),
		.mac = dp_router_mac,
		.reason = (uint8_t)reason};

	if (problem == PROBLEM_TOO_LONG)
		answer.info = l->uplink->mtu;
	icmp_refuse(l->b, l->f, &answer);
}

/* Finds uplink and next hop for `ip`; none for the address of the uplink itself, which has `turns` set. `address`: of the
 * uplink that it has to be; none: any. False: the frame is dropped. */
static bool find_way(struct leaving *l, struct ip_addr ip, struct ip_addr address)
{
	struct egress *e = l->w->dp->egress;
	const struct routes *routes = atomic_load_explicit(&e->routes, memory_order_acquire);
	struct ip_addr hop = {0};
	enum hop_state state;

	l->route = !ip_is_none(address) ? route_by(routes, address, ip, &hop) : route_find(routes, ip, &hop);
	l->uplink = l->route ? dp_get_port(l->w->dp, l->route->uplink) : NULL;
	if (!l->uplink) {
		refuse(l, PROBLEM_NO_ROUTE, DROP_NO_UPLINK);
		return false;
	}
	if (!route_is_host(l->route, hop)) {
		l->turns = ip_equal(l->route->address, ip);
		if (!l->turns)
			frame_drop(l->f, DROP_EGRESS);
		return l->turns;
	}
	state = hop_find(e->hops, l->route->uplink, hop, l->w->now_s, l->mac);
	if (state == HOP_UNKNOWN)
		exchange_want(l->w, l->b->in, l->route->uplink, hop);
	if (state != HOP_KNOWN)
		frame_drop(l->f, DROP_NEIGHBOUR);
	return state == HOP_KNOWN;
}

/* Would it be too long for the uplink, or has it come as far as it may? Then it is dropped, and its sender told. */
static bool ends_here(struct leaving *l)
{
	if (icmp_hops(l->f) <= 1)
		refuse(l, PROBLEM_HOPS, DROP_EGRESS);
	else if (!l->turns && icmp_is_too_long(l->f, l->uplink->mtu))
		refuse(l, PROBLEM_TOO_LONG, DROP_MTU);
	return l->f->verdict != V_NONE;
}

static void send_off(struct leaving *l)
{
	struct frame *f = l->f;
	uint8_t *data = frame_data(f);

	icmp_hop_less(f);
	memcpy(data, l->mac, 6);
	memcpy(data + 6, l->uplink->mac, 6);
	f->was_end = 0; /* nothing that follows could be told its sender */
	f->routed = true;
	f->verdict = V_PORT;
	f->out = l->uplink->id;
}

/* An error that a guest sends about what came to it. */
static void send_error(struct leaving *l)
{
	struct ip_addr address = {0};

	if (icmp_hops(l->f) > 1)
		address = icmp_from_guest(l->w, l->f);
	if (ip_is_none(address)) {
		frame_drop(l->f, DROP_EGRESS);
		return;
	}
	if (!find_way(l, l->ends.peer, address))
		return;
	if (l->turns)
		frame_drop(l->f, DROP_EGRESS);
	else
		send_off(l);
}

/* Ports, or the id of a ping. False: of another kind. */
static bool read_ports(struct leaving *l)
{
	struct flow_ports ports;

	if (!flow_read(l->f, true, &ports))
		return false;
	l->ends.guest_port = ports.from;
	l->ends.peer_port = ports.to;
	l->tcp = ports.tcp;
	return true;
}

/* All of the header that is written to is private from here on. */
static bool has_header(struct frame *f)
{
	if (flow_has_header(f))
		return true;
	frame_pull(f, HDR_MAX); /* behind IP options */
	parse_frame(f);
	return flow_has_header(f);
}

/* A connection that may go on as it is. */
static bool goes_on(struct leaving *l, const struct conn_hit *hit)
{
	struct egress *e = l->w->dp->egress;
	const struct routes *routes = atomic_load_explicit(&e->routes, memory_order_acquire);

	if (route_own(routes, flow_end(hit)) &&
		!(flow_begins(l->tcp) && conn_state(e->flows, hit) == DP_CONN_CLOSING))
		return true;
	conn_remove(e->flows, hit);
	return false;
}

/* Finds or makes the connection, and the way out. False: the frame is dropped, or is not for us. */
static bool find_flow(struct leaving *l, struct conn_hit *hit)
{
	struct guest guest = {.owner = l->b->in->id};
	bool found = flow_of_guest(l->w->dp->egress, &l->ends, hit) && goes_on(l, hit);
	enum drop_reason reason;

	if (!found && !(l->net->egress & DP_EGRESS_OUT))
		return false;
	if (!find_way(l, l->ends.peer, found ? flow_end(hit) : (struct ip_addr){0}) || ends_here(l))
		return false;
	if (egress_is_of_hosts(l->ends.proto, l->ends.peer_port, l->route->vxlan_port)) {
		frame_drop(l->f, DROP_EGRESS);
		return false;
	}
	if (found) {
		flow_guest_is_at(l->w->dp->egress, hit, l->ends.net, frame_data(l->f) + 6);
		return true;
	}
	if ((l->tcp & FLOW_RST) ||
		(l->turns && !published_find(l->w->dp, l->ends.peer, l->ends.peer_port, l->ends.proto))) {
		frame_drop(l->f, DROP_EGRESS);
		return false;
	}
	memcpy(guest.mac, frame_data(l->f) + 6, 6);
	reason = flow_open(l->w, &l->ends, l->route->address, &guest, hit);
	if (reason != DROP_COUNT)
		frame_drop(l->f, (uint8_t)reason);
	return reason == DROP_COUNT;
}

static void send_packet(struct leaving *l)
{
	struct conn_hit hit;

	if (!find_flow(l, &hit))
		return;
	flow_packet(l->w, &hit, l->tcp, l->f->len);
	flow_rewrite(l->f, NAT_SOURCE, dp_router_mac, &hit);
	if (!l->turns)
		send_off(l);
	else if (!egress_turn(l->w, l->b, l->f))
		frame_drop(l->f, DROP_EGRESS);
}

/* May a guest of the network send it to the world, as far as its addresses tell? An IPv6 packet may bear what stands for an
 * IPv4 address, and means nothing on the wire. */
static bool is_fit(const struct leaving *l)
{
	if (l->ip6 && (ip_is4(l->ends.guest) || ip_is4(l->ends.peer)))
		return false;
	return network_has_ip(l->net, l->ends.guest) && !egress_is_no_host(l->ends.peer) &&
	       l->f->l3_off == ETH_LEN;
}

static void send_ports(struct leaving *l, const struct egress_fragment *fragment)
{
	struct conn_hit hit;

	if (!flow_has_header(l->f) || !read_ports(l)) {
		frame_drop(l->f, DROP_FRAGMENT);
		return;
	}
	if (!find_flow(l, &hit))
		return;
	if (l->turns) {
		frame_drop(l->f, DROP_FRAGMENT);
		return;
	}
	egress_fragment_note(l->w, l->b->in, l->f, fragment, hit.index);
	flow_packet(l->w, &hit, l->tcp, l->f->len);
	flow_rewrite(l->f, NAT_SOURCE, dp_router_mac, &hit);
	send_off(l);
}

/* The fragment that has the ports. What looks at them further on would take it for the whole packet. */
static void send_first(struct leaving *l, const struct egress_fragment *fragment)
{
	struct frame *f = l->f;
	uint8_t proto = f->ip_proto;

	f->ip_proto = fragment->proto;
	f->l4_off = fragment->l4_off;
	send_ports(l, fragment);
	if (f->verdict == V_REFUSE)
		return; /* it is another packet by now */
	f->ip_proto = proto;
	f->l4_off = 0;
}

static void send_later(struct leaving *l, const struct egress_fragment *fragment)
{
	const struct conn_ends ends = {
		CONN_FORWARD, l->ends.net, fragment->proto, l->ends.guest, l->ends.peer};
	struct conn_hit hit;

	if (!egress_fragment_find(l->w, l->b->in, l->f, fragment, &ends, &hit)) {
		frame_drop(l->f, DROP_FRAGMENT);
		return;
	}
	if (!find_way(l, l->ends.peer, flow_end(&hit)) || ends_here(l))
		return;
	if (l->turns || !ip_equal(l->route->address, flow_end(&hit))) {
		frame_drop(l->f, DROP_FRAGMENT);
		return;
	}
	egress_fragment_rewrite(l->f, NAT_SOURCE, dp_router_mac, &hit);
	send_off(l);
}

static void send_fragment(struct leaving *l)
{
	struct egress_fragment fragment;

	if (!egress_fragment_read(l->w, l->f, &fragment)) {
		frame_drop(l->f, DROP_FRAGMENT);
		return;
	}
	l->ends.proto = fragment.proto;
	if (fragment.later)
		send_later(l, &fragment);
	else
		send_first(l, &fragment);
}

/* Has it a header that something leaves by? Behind the extension headers of IPv6 nobody looks. */
static bool has_known(const struct frame *f)
{
	return f->ethertype == ETHERTYPE_IP4 || f->ip_proto == IPPROTO_TCP || f->ip_proto == IPPROTO_UDP ||
	       f->ip_proto == IPPROTO_SCTP || f->ip_proto == IPPROTO_ICMPV6;
}

/* A packet to the router MAC for an address beyond the network. */
static void leave(struct worker *w, struct burst *b, struct frame *f, const struct network *net)
{
	struct leaving l = {.w = w, .b = b, .f = f, .net = net, .ip6 = icmp_is6(f)};

	l.ends = (struct ends){
		.guest = icmp_address(f, 0), .peer = icmp_address(f, 1), .proto = f->ip_proto, .net = f->net};
	if (!is_fit(&l))
		frame_drop(f, DROP_EGRESS);
	else if (egress_is_fragment(f))
		send_fragment(&l);
	else if (!has_known(f))
		frame_drop(f, DROP_EGRESS);
	else if (!has_header(f))
		frame_drop(f, DROP_MALFORMED);
	else if (read_ports(&l))
		send_packet(&l);
	else if (f->ip_proto == (l.ip6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
		send_error(&l);
	else
		frame_drop(f, DROP_EGRESS);
}

/* Is it for a host beyond the network? What is for the link alone is the gateway's own, or neighbour discovery. */
static bool is_for_others(const struct network *net, struct frame *f)
{
	struct ip_addr to;

	if (f->ethertype != ETHERTYPE_IP4 && f->ethertype != ETHERTYPE_IP6)
		return false;
	to = icmp_address(f, 1);
	return network_routes(net, to) && !(icmp_is6(f) && (ip_is_link_local(to) || ip_is_multicast(to)));
}

/* Of the burst's frames those of `mask` are for vips, and the service stage has been: it serves them alone. */
static void serve(struct worker *w, struct burst *b, uint32_t mask)
{
	uint8_t verdict[BURST_MAX];
	const unsigned n = b->count;

	for (unsigned i = 0; i < n; i++) {
		verdict[i] = b->frame[i].verdict;
		if (!(mask >> i & 1))
			b->frame[i].verdict = V_CONSUMED;
	}
	service_stage(w, b);
	for (unsigned i = 0; i < n; i++)
		if (!(mask >> i & 1))
			b->frame[i].verdict = verdict[i];
}

void egress_stage(struct worker *w, struct burst *b)
{
	uint32_t turned = 0;

	for (unsigned i = 0; i < b->count; i++) {
		struct frame *f = &b->frame[i];
		const struct network *net;

		if (f->verdict != V_NONE || !mac_equal(frame_data(f), dp_router_mac) ||
			f->src_vtep != VTEP_NONE || f->routed)
			continue;
		net = dp_get_net(w->dp, f->net);
		if (!f->parsed)
			parse_frame(f);
		if (!net || !net->egress || !f->l3_off || !is_for_others(net, f))
			continue;
		leave(w, b, f, net);
		if (f->routed && f->verdict == V_NONE && mac_equal(frame_data(f), dp_router_mac))
			turned |= UINT32_C(1) << i;
	}
	if (turned)
		serve(w, b, turned);
}
