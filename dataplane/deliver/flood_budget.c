#include "dataplane/deliver/flood_budget.h"

#include <linux/virtio_net.h>

#include "dataplane/core/dp.h"

/* What a copy of `f` costs of the budget: a frame of up to 2 KB one; a large one what its segments do, for a receiver
 * may want it cut, and each of them summed. */
static unsigned copy_cost(const struct frame *f)
{
	const struct offload *off = &f->off;
	unsigned cost = 1 + (f->len - 1) / FLOOD_UNIT, segments = 0;

	if (off->gso_type != VIRTIO_NET_HDR_GSO_NONE && off->gso_size && f->len > off->hdr_len)
		segments = 1 + (f->len - off->hdr_len - 1u) / off->gso_size;
	return segments > cost ? segments : cost;
}

unsigned flood_budget_spend(struct worker *w, struct burst *b, struct frame **frames, unsigned n)
{
	struct flood_budget *budget = &w->flood[b->in->id < MAX_PORTS ? b->in->id : MAX_PORTS];
	unsigned covered;

	if (budget->turn != w->turn)
		*budget = (struct flood_budget){w->turn, FLOOD_BUDGET};
	for (covered = 0; covered < n; covered++) {
		unsigned cost = copy_cost(frames[covered]);

		if (cost > budget->left)
			break;
		budget->left -= cost;
	}
	for (unsigned i = covered; i < n; i++)
		port_drop(w, b->in, frames[i]->net, DROP_FLOOD_BUDGET);
	return covered;
}
