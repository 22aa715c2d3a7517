/*
 * pipeline.h: what happens to a burst between arriving and being delivered. pipeline.c holds THE ordered
 * list.
 */
#pragma once

#include "dataplane/core/worker.h"
#include "dataplane/frame/burst.h"

struct stage {
	const char *name;
	void (*run)(struct worker *w, struct burst *b);
	const char *what; /* one line for the documentation */
	uint8_t needs;	  /* run only for bursts with one of these traits (BURST_FROM_PORT...); 0: for all */
};

extern const struct stage pipeline[];
extern const unsigned pipeline_len;

/** Worker. Runs the stages over `b` (b->in and frames set by its port's rx). */
void pipeline_run(struct worker *w, struct burst *b);

/** The same from the service stage on, for what that stage had kept (service_send_late()). */
void pipeline_resume(struct worker *w, struct burst *b);

/** The same as pipeline_run(), adding the TSC cycles of stage i to cycles[i]. */
void pipeline_run_timed(struct worker *w, struct burst *b, uint64_t *cycles);

/** Worker. The engine's own stages: network, counters, headers; and ARP and ping for gateway and vips. */
void ingress_stage(struct worker *w, struct burst *b);
void local_stage(struct worker *w, struct burst *b);
