/*
 * peer.h: a switch under measurement. But for "null", which lives in this process (null.h), each is one
 * program in the peer directory, called with a verb and, in its environment, what it needs to know:
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
 *	BENCH_SIZE         bytes of the longest frame to come, with FCS (without outer headers)
 *	BENCH_SOCKETS, BENCH_CONTROL, BENCH_CONNECTS
 *	                   --sockets, --control, --backend-connects (peer "running")
 *
 * Its verbs:
 *
 *	up      Starts the switch with BENCH_PORTS vhost-user ports, one worker on BENCH_WORKER_CORE, and
 *	        prints lines: "socket PATH" for each port; "connects" when it connects to them rather than
 *	        listens; "pid N"; "version TEXT"; "command TEXT" (what it runs, for the reader); "mac MAC"
 *	        where the scenario needs one; "end NAME NETNS ADDRESS" for each namespace that a stream may
 *	        begin or end in (bulk), checks go to (monitor), or a backend is in (failover); for balance-tcp
 *	        "end cN ..." of each client's host, "end s ..." of the backends', "entry ADDRESS PORT VARIANT"
 *	        for each way that it balances, and "process N" for each process that does; "registry HTTP DNS", the ports of 127.0.0.1 that it serves; in failover a proxy has that one and no others.
 *	        Exit 77: it can't run here, or not this scenario, and the last
 *	        line on stderr is the reason.
 *	reset   Begins a measurement.
 *	cycles  Ends it and prints "cycles_per_packet X": of the worker, polls that found nothing left out.
 *	        Prints nothing when the switch can't say. Also, where it can, "stage NAME X" for each stage,
 *	        "learned N", the number of addresses in its MAC table, and "gap US MS": in MS milliseconds of
 *	        the measurement the worker's longest time from one poll to the next was US; in balance-tcp
 *	        "balancing N": of the processor's cycles so many went into balancing, where it does more.
 *	change  Makes BENCH_CHANGES changes of kind BENCH_CHANGE one after the other, while traffic flows, and
 *	        prints "changes N" of how many it made. Kinds: ports, networks, backends, fdb (come and go),
 *	        scrape (statistics are read), list (the whole MAC table is read, once). Exit 77: it can't, as
 *	        above.
 *	down    Ends it, whatever state it is in, and leaves nothing behind; called also after a failed `up`.
 */
#pragma once

#include <linux/limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench/client/stream.h"
#include "bench/host/histogram.h"
#include "bench/host/share.h"
#include "bench/report/options.h"
#include "bench/report/report.h"

enum { PEER_MAX_PORTS = 512, PEER_MAX_ENDS = 12, PEER_MAX_ENTRIES = 4, PEER_MAX_PROCESSES = 16 };

struct front;

struct peer_setup {
	const char *scenario;
	unsigned ports; /* 2..PEER_MAX_PORTS, or 0 */
	unsigned count;
	unsigned size;	 /* bytes of the longest frame to come, with FCS */
	bool or_a_proxy; /* it may have no ports and serve clients at registry_http */
};

/* Where clients find what is behind it, one for each way that it balances. */
struct peer_entry {
	char address[48], variant[KIND_VARIANT];
	uint16_t port;
};

struct peer {
	const char *name;
	const struct options *opt;
	char dir[64]; /* BENCH_DIR; empty when it is down */
	char socket[PEER_MAX_PORTS][108];
	unsigned n_sockets;
	struct stream_end end[PEER_MAX_ENDS];
	unsigned n_ends;
	struct peer_entry entry[PEER_MAX_ENTRIES];
	unsigned n_entries;
	pid_t process[PEER_MAX_PROCESSES];
	unsigned n_processes;
	bool connects;
	pid_t pid;
	uint16_t registry_http, registry_dns; /* ports of 127.0.0.1, 0: there is none */
	uint8_t mac[6];			      /* of what the scenario says, or zero */
	char version[128], command[1024];
	char skipped[256];	  /* why it can't run here; then it stays so for the rest of the run */
	double cycles_per_packet; /* of the last measurement, or 0; so are the next five */
	double balancing;	  /* cycles */
	double worker_share_pct;
	uint64_t learned;
	uint64_t worker_away_ms; /* in which something else had its core */
	struct histogram gaps; /* nanoseconds that its worker stayed away: the longest of each millisecond */
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

/** Seconds that the processes of the peer have run. */
double peer_process_s(const struct peer *p);

/** Around a measurement; the latter leaves its figures in cycles_per_packet, worker_share_pct,
 * learned and stage. */
void peer_measure_begin(struct peer *p);
void peer_measure_end(struct peer *p);

/**
 * Has the peer make up to `n` changes of a kind (see above) and returns how many it made; -ENOTSUP: it can't,
 * -1: it failed, and why is in `error`. May be called beside traffic, by another thread than drives it, but
 * not beside any other function here.
 */
int peer_change(struct peer *p, const char *kind, unsigned n, char error[256]);

/** Stops and continues the peer's threads, so that the cores can be probed. */
void peer_pause(struct peer *p);
void peer_resume(struct peer *p);

/** Disconnects the fronts (any may be NULL) and ends the peer. Does nothing when it is down. */
void peer_down(struct peer *p, struct front *fronts[PEER_MAX_PORTS]);
