#include "dataplane/core/dp.h"
#include "dataplane/engine/pipeline.h"
#include "dataplane/frame/parse.h"
#include "dataplane/l2/fdb.h"
#include "dataplane/l2/network.h"
#include "dataplane/l2/policy/guard.h"
#include "dataplane/l2/policy/rate.h"
#include "dataplane/lb/service.h"

/* Will any stage look behind the Ethernet header? If not, whoever needs more (flow_hash) parses later. While objects are
 * restored the network's services may not be there yet. */
static inline bool looks_deep(const struct worker *w, const struct network *net)
{
	return net && (atomic_load_explicit(&net->lb, memory_order_relaxed) || service_is_restoring(w));
}

/* What the guard stage has to do. */
static inline uint8_t guard_traits(const struct port *in, bool odd)
{
	return (guard_is_on(in) ? BURST_GUARDED : 0) | (odd && !in->is_gateway ? BURST_ODD : 0);
}

/* All frames of the burst come from a network's port, so they share the network. */
void ingress_stage(struct worker *w, struct burst *b)
{
	const uint16_t id = b->in->net;
	const struct fdb *fdb = w->dp->fdb;
	const struct network *net = dp_get_net(w->dp, id);
	const bool deep = looks_deep(w, net);
	bool arp = false, odd = false;

	stat_add(&w->net_stats[id].rx, b->count);
	for (unsigned i = 0; i < b->count; i++) {
		struct frame *f = &b->frame[i];
		const uint8_t *data = frame_data(f);

		f->net = id;
		fdb_ask(fdb, fdb_frame_key(id, data + 6), &b->asked[i]); /* for the learn stage */
		if (deep || f->off.flags || f->off.gso_type)
			parse_frame_inline(f);
		else
			f->ethertype = load16(data + 12);
		arp |= f->ethertype == ETHERTYPE_ARP;
		odd |= !guard_is_plain(f);
	}
	arp |= odd && net && !ip_is_none(net->gateway6); /* maybe a solicitation, which is looked for there */
	b->traits |= (net && net->egress ? BURST_HAS_EGRESS : 0) | (deep ? BURST_HAS_SERVICE : 0) |
		     (deep || arp ? BURST_HAS_LOCAL : 0) | guard_traits(b->in, odd);
	if (port_bounds(b->in, RATE_IN))
		rate_limit_in(b);
}
