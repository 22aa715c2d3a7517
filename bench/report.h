/*
 * report.h: what was measured, and its three faces: the table, the ratios and the JSON.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/options.h"

/* One measurement. */
struct trial {
	char peer[32];
	unsigned size, pairs, turn;
	double seconds, mpps;
	double cycles_per_packet;   /* of the switch's worker; 0: it does not say */
	double busy_pct;	    /* of the worker: cycles a packet times packets a second; 0: unknown */
	double wait_pct;	    /* of the generator: nothing to do */
	double before_ns, after_ns; /* core to core */
	const char *state;	    /* "near", "far", "mixed", "unknown" */
	uint64_t sent, lost, late, wrong; /* as generator.h has them */
	uint64_t stolen_ms;		  /* by the hypervisor, from all cores */
	unsigned switches;		  /* of the generator's thread */
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

void report_init(struct report *r, const struct options *opt);
void report_free(struct report *r);

/** Adds a trial. 0 or -ENOMEM. */
int report_add(struct report *r, const struct trial *t);

/** Says what a peer is, or why it was skipped (empty: it was not); the last call for a name counts. */
void report_peer(
	struct report *r, const char *name, const char *version, const char *command, const char *skipped);

/** Worker not kept busy: the figure says more about the generator than about the switch. */
bool report_generator_bound(const struct trial *t);

/** Prints the medians by size, pairs and peer, and then how the first peer compares with each other one. */
void report_table(const struct report *r);

/** Everything, with what is needed to repeat it: {scenario, version, host, options, peers, trials, summary,
 * ratios}. */
json_t *report_json(const struct report *r);
