/*
 * flow.c: a connection is looked up by what its packets bear, on the guest's side by its network too. The table that
 * tells whether a port is free is that of the connections itself: it is, if no packet of this peer to it would be found.
 */
#include "dataplane/egress/flow.h"

#include <arpa/inet.h>
#include <string.h>

#include "dataplane/core/siphash.h"
#include "dataplane/egress/icmp.h"
#include "dataplane/egress/published.h"
#include "dataplane/egress/slice.h"
#include "dataplane/frame/parse.h"
#include "dataplane/frame/sctp.h"

enum { PROBES = 64 }; /* ports looked at for one that is free: with one in ten free, 1 in 800 finds none */

/* What a side is looked up by. */
struct side {
	enum conn_dir dir;
	uint16_t net;
	uint8_t proto;
	struct ip_addr src, dst;
	uint16_t src_port, dst_port;
};

static struct side guest_side(const struct ends *ends)
{
	return (struct side){CONN_FORWARD, ends->net, ends->proto, ends->guest, ends->peer, ends->guest_port,
		ends->peer_port};
}

static struct side peer_side(const struct outside *outside)
{
	return (struct side){CONN_REPLY, NET_NONE, outside->proto, outside->peer, outside->address,
		outside->peer_port, outside->port};
}

static struct conn_key key_of(const struct conn_table *t, const struct side *side, uint64_t *hash)
{
	struct conn_key key;

	if (ip_is4(side->src)) {
		key = conn_key(side->dir, side->net, side->proto, side->src.w[3], side->dst.w[3],
			side->src_port, side->dst_port);
		conn_hash(t, &key, hash, 1);
	} else {
		key = conn_key6(t, side->dir, side->net, side->proto, side->src, side->dst, side->src_port,
			side->dst_port);
		*hash = key.addresses;
	}
	return key;
}

static bool find(struct egress *e, const struct side *side, struct conn_hit *hit)
{
	uint64_t hash;
	struct conn_key key = key_of(e->flows, side, &hash);

	if (ip_is4(side->src))
		return conn_find(e->flows, &key, hash, CONN_NONE, hit);
	return conn_find6(e->flows, &key, side->src, side->dst, CONN_NONE, hit);
}

bool flow_has_header(struct frame *f)
{
	uint16_t need = f->ip_proto == IPPROTO_TCP ? TCP_LEN : f->ip_proto == IPPROTO_SCTP ? SCTP_NEED : 8;

	if (f->ethertype == ETHERTYPE_IP6 && f->ip_proto == IPPROTO_SCTP && !f->l4_off)
		f->l4_off = (uint8_t)(f->l3_off + IP6_LEN);
	return f->l4_off && f->l4_off + (uint32_t)need <= icmp_packet_end(f) &&
	       frame_pull(f, f->l4_off + need) >= f->l4_off + need;
}

bool flow_read(struct frame *f, bool asks, struct flow_ports *out)
{
	const uint8_t *l4 = frame_data(f) + f->l4_off;
	bool ip6 = f->ethertype == ETHERTYPE_IP6;

	*out = (struct flow_ports){.tcp = f->ip_proto == IPPROTO_TCP	? l4[TCP_FLAGS]
					  : f->ip_proto == IPPROTO_SCTP ? sctp_tcp_flags(l4[SCTP_CHUNK])
									: FLOW_ACK};
	if (f->ip_proto == (ip6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP)) {
		memcpy(asks ? &out->from : &out->to, l4 + 4, 2);
		return l4[0] == (asks	      ? ip6 ? ICMP6_ECHO : ICMP_ECHO
					: ip6 ? ICMP6_ECHO_REPLY
					      : ICMP_ECHO_REPLY);
	}
	memcpy(&out->from, l4, 2);
	memcpy(&out->to, l4 + 2, 2);
	return f->ip_proto == IPPROTO_TCP || f->ip_proto == IPPROTO_UDP || f->ip_proto == IPPROTO_SCTP;
}

void flow_rewrite(struct frame *f, enum nat_end end, const uint8_t mac[6], const struct conn_hit *hit)
{
	if (f->ip_proto == IPPROTO_ICMP)
		nat_rewrite_echo(f, end, mac, hit->end.ip, hit->end.port);
	else if (f->ip_proto == IPPROTO_ICMPV6)
		nat_rewrite_echo6(f, end, mac, &hit->ip6, hit->end.port);
	else if (f->ethertype == ETHERTYPE_IP6)
		nat_rewrite6(f, end, mac, &hit->ip6, hit->end.port);
	else
		nat_rewrite(f, end, mac, hit->end.ip, hit->end.port);
}

bool flow_of_guest(struct egress *e, const struct ends *ends, struct conn_hit *hit)
{
	struct side side = guest_side(ends);

	return find(e, &side, hit);
}

bool flow_of_peer(struct egress *e, const struct outside *outside, struct conn_hit *hit)
{
	struct side side = peer_side(outside);

	return find(e, &side, hit);
}

/* What both sides note: the guest's network and MAC. */
static uint64_t note_of(uint16_t net, const uint8_t mac[6])
{
	uint64_t note = 0;

	memcpy(&note, mac, 6);
	return note | (uint64_t)net << 48;
}

bool flow_guest(struct worker *w, const struct conn_hit *hit, uint16_t *net, uint8_t mac[6])
{
	uint64_t note = conn_note(hit);
	uint32_t owner = hit->end.owner;
	const struct port *port;

	*net = (uint16_t)(note >> 48);
	memcpy(mac, &note, 6);
	if (!conn_is_still(hit))
		return false;
	if (owner >= EGRESS_OWNER_VIP)
		return owner - EGRESS_OWNER_VIP == *net && dp_get_net(w->dp, *net);
	port = dp_get_port(w->dp, owner % MAX_PORTS);
	return port && port->net == *net; /* else the number is another port's by now */
}

void flow_guest_is_at(struct egress *e, const struct conn_hit *hit, uint16_t net, const uint8_t mac[6])
{
	uint64_t note = note_of(net, mac);
	struct conn_hit other;

	if (conn_note(hit) == note || hit->end.owner >= EGRESS_OWNER_VIP)
		return;
	other = conn_other(e->flows, hit);
	conn_renote(hit, note);
	conn_renote(&other, note);
}

static bool has_its_share(const struct egress *e, uint32_t owner)
{
	return conn_count_of(e->flows, owner) >= e->most;
}

static int insert(struct worker *w, const struct ends *ends, const struct outside *outside,
	const struct guest *guest, struct conn_hit *hit)
{
	struct conn_table *t = w->dp->egress->flows;
	const struct side side[] = {guest_side(ends), peer_side(outside)};
	const struct conn_ip6 ip6[] = {
		{ends->guest, ends->peer, outside->address}, {outside->peer, outside->address, ends->guest}};
	struct conn_new conn = {
		.end = {{ip_to4(outside->address), outside->port, guest->owner},
			{ip_to4(ends->guest), ends->guest_port, guest->owner}},
		.ip6 = ip_is4(ends->guest) ? NULL : ip6,
		.note = {note_of(ends->net, guest->mac), note_of(ends->net, guest->mac)},
		.now_s = w->now_s,
		.fair = true,
		.full = has_its_share(w->dp->egress, guest->owner),
	};

	for (int dir = 0; dir < 2; dir++)
		conn.key[dir] = key_of(t, &side[dir], &conn.hash[dir]);
	return conn_insert(t, &conn, hit);
}

/* A connection whose port another may have. */
struct victim {
	struct conn_hit hit;
	uint16_t port;
	uint32_t
		worth; /* to take it from there: how many its owner has; UINT32_MAX: it is closed; 0: none yet */
};

static void consider(
	struct egress *e, const struct conn_hit *hit, uint16_t port, uint32_t owner, struct victim *victim)
{
	uint32_t worth = conn_count_of(e->flows, hit->end.owner);

	if (conn_state(e->flows, hit) == DP_CONN_CLOSING)
		worth = UINT32_MAX;
	else if (worth <= 2 * (uint64_t)conn_count_of(e->flows, owner) + 1)
		return;
	if (worth > victim->worth)
		*victim = (struct victim){*hit, port, worth};
}

/* Chooses outside->port. False: none is free, and nobody's may be taken. */
static bool choose_port(struct worker *w, uint32_t owner, struct outside *outside)
{
	struct egress *e = w->dp->egress;
	struct slice slice = slice_of(w->index, w->dp->nworker);
	uint64_t start = siphash13(e->secret,
		outside->peer.q[0] ^ outside->peer.q[1] ^ (uint64_t)outside->peer_port << 48,
		e->worker[w->index].chosen++);
	struct victim victim = {.worth = 0};
	struct conn_hit hit;

	for (unsigned i = 0; i < PROBES && i < slice.count; i++) {
		uint16_t port = slice_port(&slice, (start >> 1) + i);

		outside->port = htons(port);
		if (published_has(w->dp, outside->address, outside->port, outside->proto))
			continue;
		if (!flow_of_peer(e, outside, &hit))
			return true;
		consider(e, &hit, outside->port, owner, &victim);
	}
	if (!victim.worth)
		return false;
	conn_remove(e->flows, &victim.hit);
	outside->port = victim.port;
	return true;
}

enum drop_reason flow_open(struct worker *w, const struct ends *ends, struct ip_addr address,
	const struct guest *guest, struct conn_hit *hit)
{
	struct outside outside = {
		.address = address, .peer = ends->peer, .peer_port = ends->peer_port, .proto = ends->proto};

	if (has_its_share(w->dp->egress, guest->owner) || !choose_port(w, guest->owner, &outside) ||
		insert(w, ends, &outside, guest, hit))
		return DROP_NAT_PORTS;
	return DROP_COUNT;
}

enum drop_reason flow_open_in(struct worker *w, const struct ends *ends, const struct outside *outside,
	const struct guest *guest, struct conn_hit *hit)
{
	struct conn_hit other;

	if (flow_of_guest(w->dp->egress, ends, &other))
		return DROP_CLASH;
	if (insert(w, ends, outside, guest,
		    &other)) /* of too many that nobody answers the old ones make way */
		return DROP_NAT_PORTS;
	return flow_of_peer(w->dp->egress, outside, hit) ? DROP_COUNT : DROP_NAT_PORTS;
}

void flow_packet(struct worker *w, struct conn_hit *hit, uint8_t tcp, uint32_t bytes)
{
	uint8_t flags = flow_begins(tcp) ? 0 : CONN_SEEN;

	if (__builtin_expect(tcp & FLOW_FIN, 0))
		flags |= CONN_FIN;
	if (__builtin_expect(tcp & FLOW_RST, 0))
		flags |= CONN_RST;
	conn_packet(hit, flags, w->now_s, bytes);
}
