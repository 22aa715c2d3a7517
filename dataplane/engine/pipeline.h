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

/** The same, adding the TSC cycles of stage i to cycles[i]. */
void pipeline_run_timed(struct worker *w, struct burst *b, uint64_t *cycles);

/* The stages, in their order; each in the file of its name. */
void ingress_stage(struct worker *w, struct burst *b);	/* ingress.c: network, counters, headers */
void underlay_stage(struct worker *w, struct burst *b); /* underlay.c: ARP, ping, VXLAN decapsulation */
void guard_stage(struct worker *w, struct burst *b);	/* guard.c: sources that are the port's own */
void learn_stage(struct worker *w, struct burst *b);	/* learn.c: source address to fdb */
void local_stage(struct worker *w, struct burst *b);	/* local.c: ARP and ping for gateway and vips */
void lookup_stage(struct worker *w, struct burst *b);	/* lookup.c: destination address to verdict */
void deliver_stage(struct worker *w, struct burst *b);	/* deliver.c: copy to the receivers */
