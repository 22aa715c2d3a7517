#include "dataplane/dp.h"
#include "dataplane/fdb.h"
#include "dataplane/parse.h"
#include "dataplane/pipeline.h"

/* Where a frame came from, as an fdb entry says it. */
static inline uint16_t origin(const struct burst *b, const struct frame *f, uint8_t *flags)
{
	*flags = f->src_vtep == VTEP_NONE ? 0 : FDB_VTEP;
	return f->src_vtep == VTEP_NONE ? b->in->id : f->src_vtep;
}

/*
 * Refuses source addresses that no guest may have. The router MAC belongs to the gateway port alone: were it
 * learned anywhere else, a guest or a remote host could draw everybody's traffic to itself.
 */
static bool source_refused(const struct burst *b, struct frame *f, const uint8_t *src, uint64_t key)
{
	bool router = mac_equal(src, dp_router_mac);

	if (__builtin_expect(mac_multicast(src) || (key << 16) == 0 || (router && !b->in->is_gateway), 0)) {
		frame_drop(f, DROP_SOURCE_MAC);
		return true;
	}
	return router;
}

static void learn_one(struct worker *w, struct burst *b, struct frame *f, const struct network *net)
{
	const uint8_t *src = frame_data(f) + 6;
	uint64_t key = fdb_key(f->net, src), value;
	uint16_t now = (uint16_t)w->now_s, target;
	uint8_t flags;

	if (source_refused(b, f, src, key))
		return;
	target = origin(b, f, &flags);
	value = fdb_lookup(w->dp->fdb, key);
	if (__builtin_expect(fdb_target(value) == target && fdb_tick(value) == now &&
				     fdb_gen(value) == net->flush_gen &&
				     fdb_flags(value) == (flags | FDB_VALID),
		    1))
		return;
	fdb_learn(w->dp->fdb, key, target, flags, now, net->flush_gen);
}

void learn_stage(struct worker *w, struct burst *b)
{
	uint16_t last = NET_NONE;
	const struct network *net = NULL;

	for (unsigned i = 0; i < b->count; i++) {
		struct frame *f = &b->frame[i];

		if (f->verdict == V_NONE)
			fdb_prefetch(w->dp->fdb, fdb_key(f->net, frame_data(f) + 6));
	}
	for (unsigned i = 0; i < b->count; i++) {
		struct frame *f = &b->frame[i];

		if (f->verdict != V_NONE)
			continue;
		if (f->net != last) {
			last = f->net;
			net = dp_get_net(w->dp, last);
		}
		if (net && net->mode != DP_P2P)
			learn_one(w, b, f, net);
	}
}
