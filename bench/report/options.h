/*
 * options.h: what a run was asked for; the same for every scenario.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

enum { OPTIONS_MAX_LIST = 16, OPTIONS_MAX_PEERS = 12 };

struct options {
	const char *scenario;
	const char *peers[OPTIONS_MAX_PEERS]; /* names, in the order of a turn */
	unsigned n_peers;
	unsigned sizes[OPTIONS_MAX_LIST],
		n_sizes; /* bytes of frame, with FCS; 0 of them: the scenario's own */
	unsigned counts[OPTIONS_MAX_LIST], n_counts; /* of what the scenario counts; 0: its own */
	unsigned turns;				     /* each peer is set up once a turn */
	unsigned trials;			     /* measurements of each kind in a turn */
	bool search;				     /* also the greatest rates without loss */
	double seconds;				     /* of one measurement */
	double warm_up;	 /* seconds before it, repeated until the rate is steady; 0: none */
	unsigned ring;	 /* slots of each of the generator's rings */
	bool packed;	 /* packed rings */
	unsigned window; /* frames under way in each direction; 0: open loop */
	int generator_core, worker_core;
	bool far;		/* the worker's core is the one furthest from the generator's */
	unsigned huge_mb;	/* huge pages to reserve; 0: none are used */
	bool realtime;		/* SCHED_RR for the bench and, as they inherit it, its peers */
	bool json;		/* the result on stdout as JSON, not as a table */
	const char *output;	/* file for the JSON, or NULL */
	const char *plot;	/* directory for pictures, or NULL */
	const char *peer_dir;	/* where the peers' programs are */
	const char *sockets[2]; /* of a switch that already runs (peer "running"), or NULL */
	const char *control;	/* its control socket, or NULL */
	bool backend_connects;	/* the switch connects to `sockets` */
};

/** Reads the command line into `o`. On a mistake prints one line and ends with 2; --help prints and ends with
 * 0. */
void options_parse(struct options *o, int argc, char **argv);

/** As JSON, for a report that someone wants to repeat. */
json_t *options_json(const struct options *o);
