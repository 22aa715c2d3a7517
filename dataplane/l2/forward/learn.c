#include "dataplane/core/dp.h"
#include "dataplane/core/moves.h"
#include "dataplane/frame/parse.h"
#include "dataplane/l2/fdb.h"
#include "dataplane/l2/forward/forward.h"
#include "dataplane/l2/network.h"
#include "dataplane/l2/owner.h"
#include "dataplane/l2/policy/guard.h"

/* The router MAC as the low bits of a key. */
static inline uint64_t router_key(void)
{
	return fdb_key(0, dp_router_mac);
}

/* Where frames come from, and what is learned of them: the same for a whole burst as a rule. */
struct learn_source {
	uint16_t net, src_vtep;
	bool learns;
	const struct network *network;
	struct fdb_seen seen;
	uint64_t untagged;
};

static void prepare(
	struct learn_source *source, const struct worker *w, const struct burst *b, const struct frame *f)
{
	const struct network *net = dp_get_net(w->dp, f->net);

	source->net = f->net;
	source->src_vtep = f->src_vtep;
	source->learns = net && net->mode != DP_P2P;
	source->network = net;
	source->seen = (struct fdb_seen){
		.target = f->src_vtep == VTEP_NONE ? b->in->id : f->src_vtep,
		.flags = f->src_vtep == VTEP_NONE ? 0 : FDB_VTEP,
		.moves = net ? net->mac_moves : 0,
		.now = (uint16_t)w->now_s,
		.gen = net ? net->flush_gen : 0,
	};
	source->untagged =
		fdb_untagged(source->seen.target, source->seen.flags, source->seen.now, source->seen.gen);
}

/*
 * Refuses source addresses that no guest may have. The router MAC belongs to the gateway port alone, and to what comes
 * from outside through egress_input(): were it learned anywhere else, a guest or a remote host could draw everybody's
 * traffic to itself.
 */
static void learn_odd(const struct burst *b, struct frame *f, uint64_t mac)
{
	if (mac != router_key() || (!b->in->is_gateway && !f->routed))
		frame_drop(f, DROP_SOURCE_MAC);
}

/*
 * Is this MAC known to be elsewhere, whatever the frame says? A port's own MAC is at that port while its link
 * is up: never behind a vtep, and behind no other port, unless the other one is guarded and may send from it.
 * A MAC that an operator put behind a vtep or a port is not behind another vtep.
 */
static bool is_elsewhere(const struct worker *w, const struct burst *b, const struct frame *f, uint64_t key)
{
	const struct network *net = dp_get_net(w->dp, f->net);
	const struct port *owner = net ? owner_of_mac(w->dp, net, key & FDB_MAC) : NULL;
	bool from_vtep = f->src_vtep != VTEP_NONE;
	uint64_t value;

	if (owner && owner != b->in && owner_is_up(owner) &&
		(from_vtep || (guard_is_on(owner) && !guard_is_on(b->in))))
		return true;
	value = from_vtep ? fdb_lookup(w->dp->fdb, key) : FDB_NONE;
	return (fdb_flags(value) & FDB_STATIC) &&
	       (!(fdb_flags(value) & FDB_VTEP) || fdb_target(value) != f->src_vtep);
}

static struct dp_location location_of(uint16_t target, uint8_t flags)
{
	return flags & FDB_VTEP ? (struct dp_location){.port = OUT_NONE, .vtep = target}
				: (struct dp_location){.port = target, .vtep = OUT_NONE};
}

/* A MAC came from elsewhere than where it is: tells control, and says whether it went there or stays. */
static void note_move(struct worker *w, const struct learn_source *source, uint64_t key, uint64_t was,
	enum dp_move_what what)
{
	struct move move = {
		.key = key,
		.from = location_of(fdb_target(was), fdb_flags(was)),
		.to = location_of(source->seen.target, source->seen.flags),
		.what = what,
	};

	moves_note(w, &move);
}

/* From a port that has as many MACs as it may. */
static void over_limit(struct worker *w, const struct burst *b, struct frame *f)
{
	if (atomic_load_explicit(&b->in->mac_action, memory_order_relaxed) == DP_MAC_FLOOD)
		stat_add(&w->port_stats[b->in->id].unlearned, 1);
	else
		frame_drop(f, DROP_MAC_LIMIT);
}

/*
 * A MAC that is new, has moved, or was last seen in another second. A port's own MAC is learned there and nowhere
 * else; a frame of a port without security that claims it goes on when its owner has none either, but changes nothing.
 */
static __attribute__((noinline)) void learn_slowly(
	struct worker *w, struct burst *b, struct frame *f, const struct learn_source *source, uint64_t key)
{
	struct net_stats *stats = &w->net_stats[f->net];
	struct fdb_seen seen = source->seen;
	const struct port *owner;
	uint64_t was = FDB_NONE;

	if ((fdb_lookup(w->dp->fdb, key) & FDB_UNTAGGED) == source->untagged)
		return; /* in its second bucket, where one in thirty lies when the table is as full as it gets */
	if (is_elsewhere(w, b, f, key)) {
		frame_drop(f, DROP_SPOOFED_MAC);
		return;
	}
	owner = owner_of_mac(w->dp, source->network, key & FDB_MAC);
	if (owner && ((seen.flags & FDB_VTEP) || owner->id != seen.target)) {
		stat_add(&stats->mac_moves_held, 1);
		note_move(w, source, key, fdb_untagged(owner->id, 0, seen.now, seen.gen), DP_MOVE_OWNED);
		return;
	}
	seen.own = owner != NULL;
	switch (fdb_learn(w->dp->fdb, key, &seen, &was)) {
	case FDB_KEPT:
	case FDB_LEARNED:
		return;
	case FDB_MOVED:
		stat_add(&stats->mac_moves, 1);
		note_move(w, source, key, was, DP_MOVED);
		return;
	case FDB_HOLDS:
		note_move(w, source, key, was, DP_MOVE_HELD);
		stat_add(&stats->mac_moves_held, 1);
		return;
	case FDB_STICKY:
		note_move(w, source, key, was, DP_MOVE_STICKY);
		stat_add(&stats->mac_moves_held, 1);
		return;
	case FDB_HELD:
		stat_add(&stats->mac_moves_held, 1);
		return;
	case FDB_PORT_FULL:
		over_limit(w, b, f);
		return;
	case FDB_NET_FULL:
	case FDB_FULL:
		stat_add(&stats->unlearned, 1);
		return;
	}
}

void learn_stage(struct worker *w, struct burst *b)
{
	struct fdb *fdb = w->dp->fdb;
	struct learn_source source = {.net = NET_NONE};

	for (unsigned i = 0; i < b->count; i++) {
		struct frame *f = &b->frame[i];
		uint64_t key = fdb_frame_key(f->net, frame_data(f) + 6), mac = key & FDB_MAC;
		uint32_t hash;

		if (f->verdict != V_NONE)
			continue;
		if (f->net != source.net || f->src_vtep != source.src_vtep)
			prepare(&source, w, b, f);
		hash = fdb_asked_hash(fdb, key, &b->asked[i]);
		fdb_ask(fdb, fdb_frame_key(f->net, frame_data(f)), &b->asked[i]); /* for the lookup stage */
		if (!source.learns)
			continue;
		if (__builtin_expect((mac & FDB_GROUP) || !mac || mac == router_key(), 0))
			learn_odd(b, f, mac);
		else if (__builtin_expect(!fdb_is_fresh(fdb, key, hash, source.untagged), 0))
			learn_slowly(w, b, f, &source, key);
	}
}
