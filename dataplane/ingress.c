#include "dataplane/dp.h"
#include "dataplane/fdb.h"
#include "dataplane/parse.h"
#include "dataplane/pipeline.h"

/* All frames of the burst come from a network's port, so they share the network. */
void ingress_stage(struct worker *w, struct burst *b)
{
	w->net_stats[b->in->net].rx += b->count;
	for (unsigned i = 0; i < b->count; i++) {
		struct frame *f = &b->frame[i];

		f->net = b->in->net;
		fdb_prefetch(w->dp->fdb, fdb_frame_key(f->net, frame_data(f) + 6)); /* for the learn stage */
		parse_frame(f);
	}
}
