#include "dataplane/engine/pipeline.h"

#include <rte_cycles.h>

#include "dataplane/deliver/deliver.h"
#include "dataplane/egress/egress.h"
#include "dataplane/l2/forward/forward.h"
#include "dataplane/l2/policy/guard.h"
#include "dataplane/lb/service.h"
#include "dataplane/overlay/underlay.h"

const struct stage pipeline[] = {
	{"ingress", ingress_stage, "count, find the headers", .needs = BURST_FROM_PORT},
	{"underlay", underlay_stage, "answer ARP, ND and ping for the uplink, take VXLAN apart",
		.needs = BURST_FROM_UPLINK},
	{"guard", guard_stage, "refuse what is not the port's to send", .needs = BURST_GUARDED | BURST_ODD},
	{"learn", learn_stage, "check the source address, learn where it is"},
	{"local", local_stage, "answer ARP and ping for the gateway and vips", .needs = BURST_HAS_LOCAL},
	{"service", service_stage, "vip to backend, and back", .needs = BURST_HAS_SERVICE},
	{"egress", egress_stage, "to the world outside by an uplink", .needs = BURST_HAS_EGRESS},
	{"lookup", lookup_stage, "destination address to port, vtep or flood"},
	{"deliver", deliver_stage, "encapsulate, checksum, copy to the receivers, count"},
};
const unsigned pipeline_len = sizeof(pipeline) / sizeof(pipeline[0]);

static inline bool applies(const struct stage *stage, const struct burst *b)
{
	return !stage->needs || (stage->needs & b->traits);
}

void pipeline_run(struct worker *w, struct burst *b)
{
	b->traits = b->in->is_uplink ? BURST_FROM_UPLINK : BURST_FROM_PORT;
	for (unsigned i = 0; i < pipeline_len; i++)
		if (applies(&pipeline[i], b))
			pipeline[i].run(w, b);
}

void pipeline_resume(struct worker *w, struct burst *b)
{
	unsigned at = 0;

	while (pipeline[at].run != service_stage)
		at++;
	for (; at < pipeline_len; at++)
		pipeline[at].run(w, b);
}

void pipeline_run_timed(struct worker *w, struct burst *b, uint64_t *cycles)
{
	uint64_t then = rte_rdtsc(), now;

	b->traits = b->in->is_uplink ? BURST_FROM_UPLINK : BURST_FROM_PORT;
	for (unsigned i = 0; i < pipeline_len; i++, then = now) {
		if (applies(&pipeline[i], b))
			pipeline[i].run(w, b);
		now = rte_rdtsc();
		stat_add(&cycles[i], now - then);
	}
}
