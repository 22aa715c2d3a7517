/* in.c: from the world outside to a guest: answers, errors, and connections to published ports. */
#include "dataplane/core/dp.h"
#include "dataplane/egress/egress.h"
#include "dataplane/egress/flow.h"
#include "dataplane/egress/fragment.h"
#include "dataplane/egress/icmp.h"
#include "dataplane/egress/inside.h"
#include "dataplane/egress/published.h"
#include "dataplane/frame/nat.h"
#include "dataplane/frame/offload.h"
#include "dataplane/frame/parse.h"
#include "dataplane/l2/fdb.h"
#include "dataplane/l2/network.h"
#include "dataplane/l2/owner.h"

struct arriving {
	struct worker *w;
	struct burst *b;
	struct frame *f;
	struct outside outside;
	uint8_t tcp;
	bool turned;	/* it has not left this host: a guest sent it */
	bool part;	/* it is a fragment */
	uint32_t index; /* of its connection's side, once it is taken */
	uint16_t net;
	uint8_t mac[6]; /* of the guest */
};

/* Will any stage that comes have to do with vips? */
static bool has_vips(const struct network *net)
{
	return atomic_load_explicit(&net->lb, memory_order_relaxed) != NULL;
}

/* Too long for the guest's network? Its sender is told what fits. */
static bool is_too_long(struct arriving *a, const struct network *net)
{
	struct egress_answer answer = {.problem = PROBLEM_TOO_LONG,
		.info = net->mtu,
		.source = a->outside.address,
		.mac = a->turned ? dp_router_mac : a->b->in->mac,
		.reason = DROP_MTU};

	if (!icmp_is_too_long(a->f, net->mtu))
		return false;
	icmp_refuse(a->b, a->f, &answer);
	return true;
}

/* The frame is the network's from here on: what it is dropped for is counted there. */
static const struct network *enter(struct arriving *a)
{
	const struct network *net = dp_get_net(a->w->dp, a->net);

	if (a->turned)
		stat_add(&a->w->net_stats[a->f->net].consumed, 1);
	a->f->net = a->net;
	a->f->routed = true;
	stat_add(&a->w->net_stats[a->net].rx, 1);
	if (net && has_vips(net))
		a->b->traits |= BURST_HAS_SERVICE;
	return net;
}

/* Is it as its headers say, so that it may be rewritten? */
static bool is_sound(struct arriving *a)
{
	struct frame *f = a->f;
	uint32_t end = icmp_packet_end(f);

	if (end < f->len)
		frame_trim(f, end); /* padding of the link */
	if (a->b->in->unfinished && !f->off.flags && !a->part)
		offload_detect(f);
	else if ((f->off.flags || f->off.gso_type) && !offload_valid(f))
		return false;
	return true;
}

/* The rewritten frame goes to the guest like any of its network. */
static void hand_over(struct arriving *a)
{
	struct frame *f = a->f;
	uint8_t *data = frame_data(f);

	icmp_hop_less(f);
	memcpy(data + 6, dp_router_mac, 6);
	f->was_end = 0;
	f->hash = 0;
	/* for the learn stage, or, which is behind it, for the lookup stage */
	fdb_ask(a->w->dp->fdb, fdb_frame_key(f->net, data + (a->turned ? 0 : 6)),
		&a->b->asked[f - a->b->frame]);
}

/* Could its sender be a host outside the guest's network? Else the guest would take it for a neighbour. */
static bool is_from_outside(const struct arriving *a, const struct network *net)
{
	return !egress_is_no_host(a->outside.peer) && !network_has_ip(net, a->outside.peer);
}

static void take_error(struct arriving *a)
{
	const struct network *net;

	a->f->off = (struct offload){0};
	if (!icmp_from_outside(a->w, a->f, &a->net)) {
		frame_drop(a->f, DROP_NOT_FOR_US);
		return;
	}
	net = enter(a);
	if (!net)
		frame_drop(a->f, DROP_WRONG_NETWORK);
	else if (!is_from_outside(a, net) || icmp_hops(a->f) <= 1)
		frame_drop(a->f, DROP_EGRESS);
	else
		hand_over(a);
}

/* Into the guest's network, which is known. False: it is dropped. */
static bool goes_in(struct arriving *a)
{
	const struct network *net = enter(a);
	struct frame *f = a->f;

	if (!net)
		frame_drop(f, DROP_WRONG_NETWORK);
	else if (!is_sound(a))
		frame_drop(f, DROP_BAD_OFFLOAD);
	else if (icmp_hops(f) <= 1)
		frame_drop(f, DROP_EGRESS);
	return f->verdict == V_NONE && !is_too_long(a, net);
}

/* A packet of a connection, whose guest is known. */
static void take_packet(struct arriving *a, struct conn_hit *hit)
{
	struct frame *f = a->f;
	const struct network *net = dp_get_net(a->w->dp, a->net);

	if (a->turned && net && is_too_long(a, net)) /* as long as it is of its sender's network */
		return;
	if (!goes_in(a))
		return;
	a->index = hit->index;
	flow_packet(a->w, hit, a->tcp, f->len);
	flow_rewrite(f, NAT_DESTINATION, a->mac, hit);
	hand_over(a);
}

/* Where a connection to a published port goes, and whom it counts for. False: nobody on this host who is up has the
 * address. */
static bool find_target(struct arriving *a, const struct published_to *to, struct guest *guest)
{
	const struct network *net = dp_get_net(a->w->dp, to->net);
	const struct port *port;

	a->net = to->net;
	if (!net)
		return false;
	if (to->vip) {
		*guest = (struct guest){.owner = (uint16_t)(EGRESS_OWNER_VIP + to->net)};
		memcpy(guest->mac, dp_router_mac, 6);
		return true;
	}
	port = owner_of_ip(a->w->dp, net, to->to);
	if (!port || !owner_is_up(port))
		return false;
	*guest = (struct guest){.owner = (uint16_t)(EGRESS_OWNER_IN + port->id)};
	memcpy(guest->mac, port->mac, 6);
	return true;
}

/* The first packet of a connection to a published port. */
static void take_first(struct arriving *a, const struct published_to *to)
{
	struct ends ends = {.guest = to->to,
		.guest_port = to->to_port,
		.peer = a->outside.peer,
		.peer_port = a->outside.peer_port,
		.proto = a->outside.proto,
		.net = to->net};
	const struct network *net = dp_get_net(a->w->dp, to->net);
	enum drop_reason reason = DROP_NEIGHBOUR;
	struct guest guest;
	struct conn_hit hit;

	if (egress_is_of_hosts(ends.proto, ends.peer_port, a->b->in->vxlan_port))
		reason = DROP_EGRESS; /* what the guest answers would be one */
	else if (net && !is_from_outside(a, net))
		reason = DROP_EGRESS;
	else if (find_target(a, to, &guest))
		reason = flow_open_in(a->w, &ends, &a->outside, &guest, &hit);
	if (reason != DROP_COUNT) {
		frame_drop(a->f, (uint8_t)reason);
		return;
	}
	memcpy(a->mac, guest.mac, 6);
	take_packet(a, &hit);
}

/* Ports, or the id of a ping's answer. False: of another kind. */
static bool read_ports(struct arriving *a)
{
	struct frame *f = a->f;
	struct flow_ports ports = {0};

	if (!flow_has_header(f) || !flow_read(f, false, &ports))
		return false;
	a->outside.peer_port = ports.from;
	a->outside.port = ports.to;
	a->tcp = ports.tcp;
	return true;
}

static bool take_known(struct arriving *a)
{
	struct egress *e = a->w->dp->egress;
	struct conn_hit hit;

	if (!flow_of_peer(e, &a->outside, &hit))
		return false;
	if (flow_begins(a->tcp) && conn_state(e->flows, &hit) == DP_CONN_CLOSING &&
		published_find(a->w->dp, a->outside.address, a->outside.port, a->outside.proto)) {
		conn_remove(e->flows, &hit);
		return false;
	}
	if (!flow_guest(a->w, &hit, &a->net, a->mac)) {
		conn_remove(e->flows, &hit);
		return false;
	}
	take_packet(a, &hit);
	return true;
}

/* Could it be one? The rest of ICMPv6 is for the uplink itself, as are pings. */
static bool is_error(struct frame *f)
{
	uint8_t type = f->l4_off ? frame_data(f)[f->l4_off] : 0;

	if (!f->l4_off)
		return false;
	return icmp_is6(f) ? f->ip_proto == IPPROTO_ICMPV6 && type < ICMP6_ERRORS
			   : f->ip_proto == IPPROTO_ICMP && type != ICMP_ECHO;
}

/* Of a connection, or to a published port. */
static bool take(struct arriving *a)
{
	const struct published_to *to;

	if (take_known(a))
		return true;
	to = published_find(a->w->dp, a->outside.address, a->outside.port, a->outside.proto);
	if (!to || (a->f->ip_proto == IPPROTO_TCP && !flow_begins(a->tcp)))
		return false;
	take_first(a, to);
	return true;
}

/* The fragment that has the ports. */
static bool take_first_part(struct arriving *a, const struct egress_fragment *fragment)
{
	struct frame *f = a->f;
	uint8_t proto = f->ip_proto;
	bool taken;

	f->ip_proto = fragment->proto;
	f->l4_off = fragment->l4_off;
	taken = read_ports(a) && take(a);
	if (taken && f->verdict == V_NONE)
		egress_fragment_note(a->w, a->b->in, f, fragment, a->index);
	if (f->verdict != V_REFUSE) { /* as in out.c */
		f->ip_proto = proto;
		f->l4_off = 0;
	}
	return taken;
}

static bool take_later_part(struct arriving *a, const struct egress_fragment *fragment)
{
	const struct conn_ends ends = {
		CONN_REPLY, NET_NONE, fragment->proto, a->outside.peer, a->outside.address};
	struct frame *f = a->f;
	struct conn_hit hit;

	if (!egress_fragment_find(a->w, a->b->in, f, fragment, &ends, &hit) ||
		!flow_guest(a->w, &hit, &a->net, a->mac)) {
		frame_drop(f, DROP_FRAGMENT);
		return true;
	}
	if (!goes_in(a))
		return true;
	egress_fragment_rewrite(f, NAT_DESTINATION, a->mac, &hit);
	hand_over(a);
	return true;
}

static bool take_part(struct arriving *a)
{
	struct egress_fragment fragment;

	a->part = true;
	if (!egress_fragment_read(a->w, a->f, &fragment))
		return false;
	a->outside.proto = fragment.proto;
	return fragment.later ? take_later_part(a, &fragment) : take_first_part(a, &fragment);
}

static struct outside outside_of(struct frame *f)
{
	return (struct outside){
		.address = icmp_address(f, 1), .peer = icmp_address(f, 0), .proto = f->ip_proto};
}

bool egress_turn(struct worker *w, struct burst *b, struct frame *f)
{
	struct arriving a = {.w = w, .b = b, .f = f, .turned = true, .outside = outside_of(f)};

	return read_ports(&a) && take(&a);
}

bool egress_input(struct worker *w, struct burst *b, struct frame *f)
{
	struct arriving a = {.w = w, .b = b, .f = f};

	if (!w->dp->egress || f->l3_off != ETH_LEN)
		return false;
	a.outside = outside_of(f);
	if (icmp_is6(f) && ip_is4(a.outside.peer))
		return false;
	if (ip_equal(a.outside.peer, a.outside.address)) /* that would be a guest's, see egress_turn() */
		return false;
	if (egress_is_fragment(f))
		return take_part(&a);
	if (!read_ports(&a)) {
		if (!is_error(f))
			return false;
		take_error(&a);
		return true;
	}
	return take(&a);
}
