/*
 * report.h: what was measured, and how it is shown: the table (table.c), goals (goals.c) and JSON (json.c),
 * of which plot makes pictures.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/host/spread.h"
#include "bench/report/metric.h"
#include "bench/report/options.h"

struct histogram;

enum { TRIAL_STAGES = 16, KIND_VARIANT = 24 };

struct trial_stage {
	char name[24];
	double cycles_per_packet;
};

/* What a trial was of. Only trials of one kind have figures in common. */
struct kind {
	const char *scenario;	    /* its name; lives as long as the program */
	char variant[KIND_VARIANT]; /* of the scenario ("encap", "90%"), or empty */
	unsigned size;		    /* bytes of frame with FCS; TRAFFIC_IMIX: a mixture */
	unsigned count;		    /* of what scenario->counts says: pairs, connections, ports */
};

/* Trials of one kind by one peer. */
struct report_side {
	const struct kind *kind;
	const char *peer;
};

/* One measurement; counts as generator.h has them. A share of 0 is unknown, and so is a value that is NAN. */
struct trial {
	struct kind kind;
	char peer[32];
	unsigned turn;
	double seconds;
	uint64_t sent, lost, late, wrong;
	double value[METRICS];
	double worker_share_pct, generator_share_pct; /* of its core that each was given */
	double wait_pct;			      /* of the generator: nothing to do */
	bool paced;				      /* the rate was the bench's choice: busy says nothing */
	bool disturbed;		    /* what it is compared with says nothing; see also report_disturbed() */
	double before_ns, after_ns; /* core to core */
	const char *state;	    /* "near", "far", "mixed", "unknown" */
	uint64_t stolen_ms;	    /* by the hypervisor, from all cores */
	struct trial_stage stage[TRIAL_STAGES]; /* where the worker's cycles went, if it says */
	unsigned n_stages;
	struct histogram
		*latency; /* NULL or cycles of host_tsc() from port to port; the report's once added */
	uint64_t untimed; /* as generator.h, and the next */
	unsigned stalls;
};

struct report_peer {
	char name[32], version[128], command[1024], skipped[256];
};

/* What the generator reaches against a switch that asks no question. */
struct report_ceiling {
	unsigned size;
	double mpps, round_trip_ns; /* of the cores just then */
};

struct report {
	const struct options *opt;
	struct trial *trials;
	unsigned n_trials, room;
	struct report_peer peers[OPTIONS_MAX_PEERS];
	unsigned n_peers;
	struct report_ceiling ceiling[OPTIONS_MAX_LIST];
	unsigned n_ceilings;
	bool interrupted;
};

/* All trials of one kind and peer, together. */
struct report_summary {
	struct spread value[METRICS], stage[TRIAL_STAGES];
	const struct trial *first; /* names the stages; NULL: there is no trial */
	uint64_t lost, late, wrong;
	unsigned near, far, mixed, bound, disturbed, stolen, stalled;
};

void report_init(struct report *r, const struct options *opt);
void report_free(struct report *r);

/** A trial of `kind` by `peer` with nothing measured yet. */
struct trial report_trial(const struct kind *kind, const char *peer, unsigned turn);

/** p50, p99 and the greatest of the trial's latency as its figures. */
void report_percentiles(struct trial *t);

/** Adds a trial, and takes its histogram. 0 or -ENOMEM. */
int report_add(struct report *r, const struct trial *t);

/** Says what a peer is, or why it was skipped (empty: it was not); the last call for a name counts. */
void report_peer(
	struct report *r, const char *name, const char *version, const char *command, const char *skipped);

bool report_same_kind(const struct kind *a, const struct kind *b);
bool report_is_of(const struct trial *t, struct report_side side);

/** True when trial `i` is the first of its kind: walking those yields each kind once, in the order measured.
 */
bool report_first_of_kind(const struct report *r, unsigned i);

/** Something else ran on the worker's or the generator's core, or the scenario says so. */
bool report_disturbed(const struct trial *t);

/** Worker not kept busy, though it had its core: the figure says more about the generator than about the
 * switch. */
bool report_generator_bound(const struct trial *t);

void report_summarize(const struct report *r, struct report_side side, struct report_summary *s);

struct report_ratio {
	struct spread like;	 /* a / b, of trials under like conditions */
	struct spread unlike;	 /* of the others: another state of the cores, or disturbed */
	struct spread near, far; /* those of `like` in either state */
};

/** Adds a figure of trials in `state`, under like conditions or not. */
void report_add_figure(struct report_ratio *out, bool like, const char *state, double figure);

/** Divides `metric` of each trial of `a` by that of its counterpart of `b`: the n-th of the same turn. */
void report_compare(const struct report *r, struct report_side a, struct report_side b, enum metric metric,
	struct report_ratio *out);

/** Prints the medians by kind and peer, then how the first peer compares with each other one, then the goals.
 */
void report_table(const struct report *r);

/** With what is needed to repeat it: {scenario, version, host, options, peers, trials, summary, ratios,
 * goals}.
 */
json_t *report_json(const struct report *r);
