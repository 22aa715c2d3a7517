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

enum { PROBES = 64 }; /* ports looked at for one that is free: with one in ten free, 1 in 800 finds none */

static struct conn_key guest_key(const struct ends *ends)
{
	return conn_key(CONN_FORWARD, ends->net, ends->proto, ends->guest, ends->peer, ends->guest_port,
		ends->peer_port);
}

static struct conn_key peer_key(const struct outside *outside)
{
	return conn_key(CONN_REPLY, NET_NONE, outside->proto, outside->peer, outside->address,
		outside->peer_port, outside->port);
}

static bool find(struct egress *e, const struct conn_key *key, struct conn_hit *hit)
{
	uint64_t hash;

	conn_hash(e->flows, key, &hash, 1);
	return conn_find(e->flows, key, hash, CONN_NONE, hit);
}

bool flow_has_header(const struct frame *f)
{
	uint32_t end = f->l4_off + (f->ip_proto == IPPROTO_TCP ? TCP_LEN : 8u);

	return f->l4_off && end <= f->hdr_len &&
	       end <= f->l3_off + (uint32_t)load16(f->hdr + f->hdr_off + f->l3_off + 2);
}

bool flow_read(const struct frame *f, uint8_t ping, struct flow_ports *out)
{
	const uint8_t *l4 = f->hdr + f->hdr_off + f->l4_off;

	*out = (struct flow_ports){.tcp = f->ip_proto == IPPROTO_TCP ? l4[TCP_FLAGS] : FLOW_ACK};
	if (f->ip_proto == IPPROTO_ICMP) {
		memcpy(ping == ICMP_ECHO ? &out->from : &out->to, l4 + 4, 2);
		return l4[0] == ping;
	}
	memcpy(&out->from, l4, 2);
	memcpy(&out->to, l4 + 2, 2);
	return f->ip_proto == IPPROTO_TCP || f->ip_proto == IPPROTO_UDP;
}

bool flow_of_guest(struct egress *e, const struct ends *ends, struct conn_hit *hit)
{
	struct conn_key key = guest_key(ends);

	return find(e, &key, hit);
}

bool flow_of_peer(struct egress *e, const struct outside *outside, struct conn_hit *hit)
{
	struct conn_key key = peer_key(outside);

	return find(e, &key, hit);
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
	uint16_t owner = hit->end.owner;
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

static bool has_its_share(const struct egress *e, uint16_t owner)
{
	return conn_count_of(e->flows, owner) >= e->most;
}

static int insert(struct worker *w, const struct ends *ends, const struct outside *outside,
	const struct guest *guest, struct conn_hit *hit)
{
	struct conn_table *t = w->dp->egress->flows;
	struct conn_new conn = {
		.key = {guest_key(ends), peer_key(outside)},
		.end = {{outside->address, outside->port, guest->owner},
			{ends->guest, ends->guest_port, guest->owner}},
		.note = {note_of(ends->net, guest->mac), note_of(ends->net, guest->mac)},
		.now_s = w->now_s,
		.fair = true,
		.full = has_its_share(w->dp->egress, guest->owner),
	};

	conn_hash(t, conn.key, conn.hash, 2);
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
	struct egress *e, const struct conn_hit *hit, uint16_t port, uint16_t owner, struct victim *victim)
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
static bool choose_port(struct worker *w, uint16_t owner, struct outside *outside)
{
	struct egress *e = w->dp->egress;
	struct slice slice = slice_of(w->index, w->dp->nworker);
	uint64_t start = siphash13(
		e->secret, (uint64_t)outside->peer << 32 | outside->peer_port, e->worker[w->index].chosen++);
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

enum drop_reason flow_open(struct worker *w, const struct ends *ends, uint32_t address,
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
