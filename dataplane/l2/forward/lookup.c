#include "dataplane/core/dp.h"
#include "dataplane/frame/parse.h"
#include "dataplane/l2/fdb.h"
#include "dataplane/l2/forward/forward.h"
#include "dataplane/l2/known.h"
#include "dataplane/l2/network.h"
#include "dataplane/l2/owner.h"
#include "dataplane/l2/policy/guard.h"

/* Point to point: whoever is at the other end. */
static void lookup_peer(struct worker *w, const struct burst *b, struct frame *f, const struct network *net)
{
	const struct port *port = NULL;

	for (unsigned i = 0; i < net->nport && !port; i++)
		if (net->port[i] != b->in->id)
			port = dp_get_port(w->dp, net->port[i]);
	if (port && guard_takes(port, f)) {
		f->verdict = V_PORT;
		f->out = port->id;
	} else {
		frame_drop(f, DROP_NO_RECEIVER);
	}
}

/* To the router MAC, and no service took it: the gateway's kernel gets it, if there is one on this host. */
static void lookup_gateway(const struct burst *b, struct frame *f, const struct network *net)
{
	if (net->gateway_port == OUT_NONE || net->gateway_port == b->in->id || f->src_vtep != VTEP_NONE) {
		frame_drop(f, DROP_ROUTER);
		return;
	}
	f->verdict = V_PORT;
	f->out = net->gateway_port;
}

/* What a guest sent to a port that the uplink's address has published may lead back to itself (egress.h). */
static inline void to_port(const struct burst *b, struct frame *f, uint16_t id)
{
	if (__builtin_expect(id == b->in->id && !f->routed, 0)) {
		frame_drop(f, DROP_SAME_PORT);
		return;
	}
	f->verdict = V_PORT;
	f->out = id;
}

/*
 * To a MAC that was never learned: to the port on this host that owns it, else to all. A machine that only
 * receives, such as one that collects logs behind a vip, would otherwise have all its frames flooded, within
 * the storm limit. In a network whose MACs are all known there is nobody else to send it to.
 */
static void lookup_silent(
	struct worker *w, const struct burst *b, struct frame *f, const struct network *net, uint64_t key)
{
	const struct port *owner = owner_of_mac(w->dp, net, key & FDB_MAC);

	if (owner && owner_is_up(owner))
		to_port(b, f, owner->id);
	else if (known_is_closed(net))
		frame_drop(f, DROP_UNKNOWN);
	else
		f->verdict = V_FLOOD;
}

/* What comes for this host as such goes to who has the address: a guest, or the gateway. */
static __attribute__((noinline)) void lookup_own(
	struct worker *w, const struct burst *b, struct frame *f, const struct network *net)
{
	const uint8_t *own = known_own(net);
	uint8_t *data = frame_data(f);
	const struct port *owner = NULL;

	if (!own || memcmp(data, own, 6) != 0) { /* somebody behind the gateway's port */
		to_port(b, f, net->gateway_port);
		return;
	}
	if (!f->parsed)
		parse_frame(f);
	if (f->l3_off && f->ethertype == ETHERTYPE_IP4)
		owner = owner_of_ip(w->dp, net, ip_from4(load_ip4(data + f->l3_off + 16)));
	else if (f->l3_off && f->ethertype == ETHERTYPE_IP6)
		owner = owner_of_ip(w->dp, net, ip_from6(data + f->l3_off + 24));
	if (!owner) {
		frame_drop(f, DROP_UNKNOWN);
		return;
	}
	memcpy(data, owner->mac, 6);
	to_port(b, f, owner->id);
}

/* The router MAC is every host's own: others know this one by another, where hosts have ranges. */
static void lookup_beyond(struct frame *f, const struct network *net)
{
	const uint8_t *own = known_own(net);

	if (!own) {
		frame_drop(f, DROP_ROUTER);
		return;
	}
	memcpy(frame_data(f) + 6, own, 6);
	f->verdict = V_VTEP;
}

static void lookup_unicast(
	struct worker *w, const struct burst *b, struct frame *f, const struct network *net, uint64_t key)
{
	const struct fdb *fdb = w->dp->fdb;
	uint64_t value = fdb_find(fdb, key, fdb_asked_hash(fdb, key, &b->asked[f - b->frame]));
	uint16_t target = fdb_target(value);

	if (__builtin_expect(!fdb_alive(value, net->flush_gen), 0)) {
		lookup_silent(w, b, f, net, key);
		return;
	}
	if (fdb_flags(value) & FDB_VTEP) {
		f->out = target;
		/* split horizon: vteps are a full mesh, so the sending host reaches the other one itself */
		if (f->src_vtep != VTEP_NONE)
			frame_drop(f, DROP_SAME_PORT);
		else if (b->in->is_gateway || f->routed)
			lookup_beyond(f, net);
		else
			f->verdict = V_VTEP;
	} else if (__builtin_expect(target == net->gateway_port, 0)) {
		lookup_own(w, b, f, net);
	} else {
		to_port(b, f, target);
	}
}

static void lookup_one(struct worker *w, const struct burst *b, struct frame *f, const struct network *net)
{
	uint64_t key = fdb_frame_key(f->net, frame_data(f));

	if (__builtin_expect(!net, 0))
		frame_drop(f, DROP_WRONG_NETWORK);
	else if (__builtin_expect(net->mode == DP_P2P, 0))
		lookup_peer(w, b, f, net);
	else if (__builtin_expect(key & FDB_GROUP, 0))
		f->verdict = V_FLOOD;
	else if (__builtin_expect((key & FDB_MAC) == fdb_key(0, dp_router_mac), 0))
		lookup_gateway(b, f, net);
	else
		lookup_unicast(w, b, f, net, key);
}

/* Goes the frame to one place only, to which a flood would lead, too? */
static bool may_flood(const struct burst *b, const struct frame *f)
{
	return f->verdict == V_PORT || (f->verdict == V_VTEP && !f->routed && !b->in->is_gateway);
}

/*
 * Floods are sent behind all else of a burst. Where another worker learned an address between two frames to it, the first of
 * which is flooded, the second one is flooded too: it would come before the first.
 */
static __attribute__((noinline)) void keep_order(struct burst *b)
{
	for (unsigned i = 0; i < b->count; i++) {
		struct frame *first = &b->frame[i];
		uint64_t key = fdb_frame_key(first->net, frame_data(first));

		if (first->verdict != V_FLOOD || (key & FDB_GROUP))
			continue;
		for (unsigned k = i + 1; k < b->count; k++) {
			struct frame *f = &b->frame[k];

			if (may_flood(b, f) && fdb_frame_key(f->net, frame_data(f)) == key)
				f->verdict = V_FLOOD;
		}
	}
}

/* The learn stage has asked for the buckets. */
void lookup_stage(struct worker *w, struct burst *b)
{
	uint16_t last = NET_NONE;
	const struct network *net = NULL;
	bool floods = false;

	for (unsigned i = 0; i < b->count; i++) {
		struct frame *f = &b->frame[i];

		if (f->verdict != V_NONE)
			continue;
		if (f->net != last) {
			last = f->net;
			net = dp_get_net(w->dp, last);
		}
		lookup_one(w, b, f, net);
		floods |= f->verdict == V_FLOOD;
	}
	if (__builtin_expect(floods, 0))
		keep_order(b);
}
