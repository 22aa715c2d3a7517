/*
 * worker.h: a poll-mode thread. It polls its ports, runs the pipeline over each burst, delivers, gives the
 * buffers back and reports a quiescent state. It never blocks while frames may be waiting, never allocates
 * from the heap, never logs, and never waits for control.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "dataplane/core/moves.h"
#include "dataplane/core/port.h"
#include "dataplane/core/stats.h"
#include "dataplane/frame/burst.h"

enum {
	MAX_PORTS = 1024,
	MAX_NETS = 1024,
	MAX_VTEPS = 4096,
	MAX_WORKERS = 64,
	FLOOD_BUDGET = 2048, /* flood copies of the frames of one port in one turn of a worker */
	FLOOD_UNIT = 2048,   /* bytes of a frame that count as one copy; of a large one a segment does */
	SCRATCH_BYTES = 16 * 66 * 1024, /* read buffers for one turn of a port without buffers of its own */
};

/* What is left of FLOOD_BUDGET for one ingress port, good in turn `turn` only. */
struct flood_budget {
	uint32_t turn, left;
};

struct account;
struct budget;
struct dp;
struct exchange;
struct notifier;
struct outbox;
struct polling;
struct udp_gso;
struct uring;

struct worker {
	/* written by the worker only; read by control for statistics */
	struct dp *dp;
	unsigned index; /* 0.. */
	int core;
	uint32_t now_s;		       /* coarse clock, seconds since the start, the same on every worker */
	uint64_t next_second;	       /* TSC at which now_s changes */
	uint32_t turn;		       /* counts its turns */
	bool watching;		       /* budget.h: each look and each delivery is timed */
	uint64_t long_turn;	       /* cycles; turns that take more, when they add up, make it watch */
	struct port_stats *port_stats; /* [MAX_PORTS], touched lazily */
	struct net_stats *net_stats;   /* [MAX_NETS] */
	struct backend_stats *backend_stats;	 /* [dp.config.backends] */
	struct backend_answers *backend_answers; /* [dp.config.backends] */
	struct backend_load *backend_load;	 /* [dp.config.backends]; other workers read it too */
	struct backend_load *backend_inbound;	 /* [dp.config.backends]; lb/inbound.h */
	uint8_t *scratch;			 /* SCRATCH_BYTES; for port types that read into a buffer */
	struct burst burst;
	struct burst segments;	   /* offload.c: what one large frame is cut into */
	struct udp_gso *gso;	   /* udp_gso.h: and coalesced again for a tunnel */
	struct outbox *outbox;	   /* deliver.c */
	struct polling *polling;   /* polling.c: which queues, and sleep */
	struct notifier *notifier; /* vhost/notify.h; NULL: the kernel has none */
	struct uring *uring;	   /* uring.h; NULL: there is none */
	int no_uring;		   /* why, -errno */
	struct account *account;   /* account.h: where the cycles went */
	struct budget *budget;	   /* budget.h: what each port has cost */
	/* between control and the worker */
	_Atomic(bool) stop;
	int wake_fd; /* eventfd: ends a sleep */
	struct exchange *punt, *inject;
	struct exchange *bfd_in, *bfd_out; /* bfd.h: to its thread; from it, of worker 0 */
	struct moves moves;		   /* of MACs */
	uint32_t late;			   /* lb/hold.h: parts with frames that go on after this turn */
	struct flood_budget flood[MAX_PORTS + 1]; /* by ingress port; the last: what control injects */
};

/** Where copies of network `net` that are dropped at `port` are counted: under the network at an uplink, and at a port of
 * another network, whose guest sent it to what is published (egress.h). */
static inline uint64_t *port_drop_counter(
	struct worker *w, const struct port *port, uint16_t net, enum drop_reason reason)
{
	if (net != NET_NONE && (port->is_uplink || port->net != net))
		return &w->net_stats[net].uplink_drop[reason];
	return &w->port_stats[port->id].drop[reason];
}

/** Counts one dropped copy. */
static inline void port_drop(struct worker *w, const struct port *port, uint16_t net, enum drop_reason reason)
{
	stat_add(port_drop_counter(w, port, net, reason), 1);
}

/** Counts `f`, which is not sent to `port` after all. */
static inline void port_drop_frame(
	struct worker *w, const struct port *port, const struct frame *f, enum drop_reason reason)
{
	stat_add(port_drop_counter(w, port, f->net, reason), 1 + (uint64_t)f->merged);
}

/** For a port's rx: counts a frame that arrived and is not given to the pipeline. */
static inline void port_rx_drop(struct worker *w, const struct port *port, enum drop_reason reason)
{
	stat_add(&w->port_stats[port->id].rx_packets, 1);
	if (port->net != NET_NONE)
		stat_add(&w->net_stats[port->net].rx, 1);
	port_drop(w, port, port->net, reason);
}

/** As port_rx_drop(), for `n` frames that there was no room for and of which nothing else is known. */
static inline void port_rx_lost(
	struct worker *w, const struct port *port, enum drop_reason reason, uint32_t n)
{
	stat_add(&w->port_stats[port->id].rx_packets, n);
	stat_add(&w->port_stats[port->id].drop[reason], n);
	if (port->net != NET_NONE)
		stat_add(&w->net_stats[port->net].rx, n);
}

/** Counts `n` copies of `bytes` in all as delivered to `port`; `net` is the frames' network. */
static inline void port_sent(
	struct worker *w, const struct port *port, uint16_t net, uint64_t n, uint64_t bytes)
{
	stat_add(&w->port_stats[port->id].tx_packets, n);
	stat_add(&w->port_stats[port->id].tx_bytes, bytes);
	if (net != NET_NONE)
		stat_add(&w->net_stats[net].tx, n);
}

/** For a port's tx: counts a frame among those it says it dealt with as dropped rather than delivered. */
static inline void port_tx_drop(
	struct worker *w, const struct port *port, const struct frame *f, enum drop_reason reason)
{
	port_sent(w, port, f->net, -(1 + (uint64_t)f->merged), -frame_bytes(f));
	port_drop_frame(w, port, f, reason);
}

/** Any thread. Ends the sleep of every worker, or of one: after a ring was published, or there is something to send. */
void workers_wake(struct dp *dp);
void worker_wake(struct worker *w);
/** Any thread. Control is to look at what there is to tell it (start.c: on_news). */
void dp_tell_control(struct dp *dp);
