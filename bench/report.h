/*
 * report.h: what was measured, and its faces: the table (table.c), ratios (ratio.c) and JSON (report_json.c).
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/options.h"
#include "bench/spread.h"

enum { TRIAL_STAGES = 16 };

struct trial_stage {
	char name[24];
	double cycles_per_packet;
};

/* One measurement; counts as generator.h has them. A share or rate of 0 is unknown. */
struct trial {
	char peer[32];
	unsigned size, pairs, turn;
	double seconds, mpps;
	uint64_t sent, lost, late, wrong;
	double cycles_per_packet; /* of the switch's worker */
	double busy_pct;	  /* of the worker: cycles a packet times packets a second */
	double worker_share_pct, generator_share_pct; /* of its core that each was given */
	double wait_pct;			      /* of the generator: nothing to do */
	double before_ns, after_ns;		      /* core to core */
	const char *state;			      /* "near", "far", "mixed", "unknown" */
	uint64_t stolen_ms;			      /* by the hypervisor, from all cores */
	struct trial_stage stage[TRIAL_STAGES];	      /* where the worker's cycles went, if it says */
	unsigned n_stages;
};

struct report_peer {
	char name[32], version[128], command[1024], skipped[256];
};

struct report {
	const struct options *opt;
	struct trial *trials;
	unsigned n_trials, room;
	struct report_peer peers[OPTIONS_MAX_PEERS];
	unsigned n_peers;
	bool interrupted;
};

/* All trials of one size, number of pairs and peer, together. */
struct report_summary {
	struct spread mpps, cycles, busy, stage[TRIAL_STAGES];
	const struct trial *first; /* names the stages; NULL: there is no trial */
	uint64_t lost, late, wrong;
	unsigned near, far, mixed, bound, disturbed, stolen;
};

void report_init(struct report *r, const struct options *opt);
void report_free(struct report *r);

/** Adds a trial. 0 or -ENOMEM. */
int report_add(struct report *r, const struct trial *t);

/** Says what a peer is, or why it was skipped (empty: it was not); the last call for a name counts. */
void report_peer(
	struct report *r, const char *name, const char *version, const char *command, const char *skipped);

/** Something else ran on the worker's or the generator's core. */
bool report_disturbed(const struct trial *t);

/** Worker not kept busy, though it had its core: the figure says more about the generator than about the
 * switch. */
bool report_generator_bound(const struct trial *t);

void report_summarize(
	const struct report *r, unsigned size, unsigned pairs, const char *peer, struct report_summary *s);

/** Prints the medians by size, pairs and peer, and then how the first peer compares with each other one. */
void report_table(const struct report *r);

/** With what is needed to repeat it: {scenario, version, host, options, peers, trials, summary, ratios}. */
json_t *report_json(const struct report *r);
