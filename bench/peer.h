/*
 * peer.h: a switch under measurement. But for "null", which lives in this process (null.h), each is one
 *program in the peer directory, called with a verb and, in its environment, what it needs to know:
 *
 *	BENCH_DIR          an empty directory of its own, gone afterwards
 *	BENCH_BIN          the directory of sluice-bench itself
 *	BENCH_WORKER_CORE, BENCH_MAIN_CORE
 *	BENCH_HUGE_MB      huge pages that it may count on; 0: it must do without
 *	BENCH_SCENARIO     what it is set up for; docs/bench.md says what each scenario expects
 *	BENCH_PORTS        vhost-user ports to make
 *	BENCH_COUNT        of what the scenario counts: MAC addresses at each port that it must be able to
 *	                   learn, connections, ...
 *	BENCH_RING         split or packed: the front-ends ask for such rings
 *	BENCH_SOCKETS, BENCH_CONTROL, BENCH_CONNECTS   --sockets, --control, --backend-connects (peer
 *"running")
 *
 * Its verbs:
 *
 *	up      Starts the switch with BENCH_PORTS vhost-user ports, one worker on BENCH_WORKER_CORE, and
 *prints lines: "socket PATH" for each port; "connects" when it connects to them rather than listens; "pid N";
 *"version TEXT"; "command TEXT" (what it runs, for the reader); "mac MAC" where the scenario needs one. Exit
 *77: it can't run here, or not this scenario, and the last line on stderr is the reason. reset   Begins a
 *measurement. cycles  Ends it and prints "cycles_per_packet X": of the worker, polls that found nothing left
 *out. Prints nothing when the switch can't say. "stage NAME X" for each stage, "learned N" the number of
 *addresses in its MAC table, where it can. down    Ends it, whatever state it is in, and leaves nothing
 *behind; called also after a failed `up`.
 */
#pragma once

#include <linux/limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench/options.h"
#include "bench/report.h"
#include "bench/share.h"

enum { PEER_MAX_PORTS = 256 };

struct front;

struct peer_setup {
	const char *scenario;
	unsigned ports; /* 2..PEER_MAX_PORTS */
	unsigned count;
	unsigned size; /* the longest frame to come, or TRAFFIC_IMIX */
};

struct peer {
	const char *name;
	const struct options *opt;
	char dir[64]; /* BENCH_DIR; empty when it is down */
	char socket[PEER_MAX_PORTS][108];
	unsigned n_sockets;
	bool connects;
	pid_t pid;
	uint8_t mac[6]; /* of what the scenario says, or zero */
	char version[128], command[1024];
	char skipped[256];	  /* why it can't run here; then it stays so for the rest of the run */
	double cycles_per_packet; /* of the last measurement, or 0; so are the next four */
	double worker_share_pct;
	uint64_t learned;
	struct trial_stage stage[TRIAL_STAGES];
	unsigned n_stages;
	struct share share;
	struct null_switch *null;
};

/**
 * Starts the peer and connects a front to each of its ports. Returns 0; -ENOTSUP: it can't run here
 * (`skipped` says why); -1: it failed, which has been said on stderr. peer_down in any case.
 */
int peer_up(struct peer *p, const struct peer_setup *setup, struct front *fronts[PEER_MAX_PORTS]);

/** Around a measurement; the latter leaves its figures in cycles_per_packet, worker_share_pct,
 * learned and stage. */
void peer_measure_begin(struct peer *p);
void peer_measure_end(struct peer *p);

/** Stops and continues the peer's threads, so that the cores can be probed. */
void peer_pause(struct peer *p);
void peer_resume(struct peer *p);

/** Disconnects the fronts (any may be NULL) and ends the peer. Does nothing when it is down. */
void peer_down(struct peer *p, struct front *fronts[PEER_MAX_PORTS]);
