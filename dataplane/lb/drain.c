#include "dataplane/lb/drain.h"

#include "dataplane/lb/refuse.h"

enum { TELL_S = 30 }; /* so long both ends may send something, and be told */

static void drain_reset(struct worker *w, struct port *in, struct item *it, struct conn_hit *hit)
{
	struct frame *f = it->f;

	refuse_reset(f, it->tcp);
	f->verdict = f->src_vtep == VTEP_NONE ? V_PORT : V_VTEP;
	f->out = f->src_vtep == VTEP_NONE ? in->id : f->src_vtep;
	if (!hit->side)
		return;
	conn_packet(hit, CONN_RST, w->now_s, f->len);
	if (conn_reset_by_both(w->dp->lb->conns, hit))
		conn_remove(w->dp->lb->conns, hit);
}

bool drain_ends(struct worker *w, struct port *in, struct item *it, struct conn_hit *hit, uint32_t flags)
{
	if (!drain_is_over(lb_backend(w, hit->end.owner), flags) || !drain_resets(it, flags))
		return false;
	drain_reset(w, in, it, hit);
	return true;
}

bool drain_gives_up(const struct backend *b, uint32_t flags)
{
	uint64_t tell = flags & BACKEND_RESETS ? TELL_S * rte_get_tsc_hz() : 0;

	return (flags & BACKEND_DRAINS) &&
	       rte_rdtsc() >= atomic_load_explicit(&b->ends, memory_order_relaxed) + tell;
}
