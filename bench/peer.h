/*
 * peer.h: a switch under measurement. But for "null", which lives in this process (null.h), each is one
 *program in the peer directory, called with a verb and, in its environment, what it needs to know:
 *
 *	BENCH_DIR          an empty directory of its own, gone afterwards
 *	BENCH_BIN          the directory of sluice-bench itself
 *	BENCH_WORKER_CORE, BENCH_MAIN_CORE
 *	BENCH_HUGE_MB      huge pages that it may count on; 0: it must do without
 *	BENCH_PAIRS        MAC addresses at each port that it must be able to learn
 *	BENCH_SOCKETS, BENCH_CONTROL, BENCH_CONNECTS   --sockets, --control, --backend-connects (peer
 *"running")
 *
 *	up      Starts the switch with two vhost-user ports in one L2 segment, one worker on
 *BENCH_WORKER_CORE, and prints lines: "socket PATH" twice; "connects" when it connects to them rather than
 *listens; "pid N"; "version TEXT"; "command TEXT" (what it runs, for the reader). Exit 77: it can't run here,
 *	        and the last line on stderr is the reason.
 *	reset   Begins a measurement.
 *	cycles  Ends it and prints "cycles_per_packet X": of the worker, polls that found nothing left out.
 *Prints nothing when the switch can't say. down    Ends it, whatever state it is in, and leaves nothing
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

struct front;

struct peer {
	const char *name;
	const struct options *opt;
	char dir[64]; /* BENCH_DIR; empty when it is down */
	char socket[2][108];
	unsigned n_sockets;
	bool connects;
	pid_t pid;
	char version[128], command[1024];
	char skipped[256];	  /* why it can't run here; then it stays so for the rest of the run */
	double cycles_per_packet; /* of the last measurement, or 0; so are the next two */
	double worker_share_pct;
	struct trial_stage stage[TRIAL_STAGES];
	unsigned n_stages;
	struct share share;
	struct null_switch *null;
};

/**
 * Starts the peer for `pairs` pairs of addresses and connects two fronts to it. Returns 0; -ENOTSUP: it can't
 * run here (`skipped` says why); -1: it failed, which has been said on stderr. peer_down in any case.
 */
int peer_up(struct peer *p, unsigned pairs, unsigned size, struct front *fronts[2]);

/** Around a measurement; the latter leaves its figures in cycles_per_packet, worker_share_pct and stage. */
void peer_measure_begin(struct peer *p);
void peer_measure_end(struct peer *p);

/** Stops and continues the peer's threads, so that the cores can be probed. */
void peer_pause(struct peer *p);
void peer_resume(struct peer *p);

/** Disconnects the fronts (either may be NULL) and ends the peer. Does nothing when it is down. */
void peer_down(struct peer *p, struct front *fronts[2]);
