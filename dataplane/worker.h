/*
 * worker.h: a poll-mode thread. It polls its ports, runs the pipeline over each burst, delivers, gives the
 * buffers back and reports a quiescent state. It never blocks while frames may be waiting, never allocates
 * from the heap, never logs, and never waits for control.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "dataplane/burst.h"
#include "dataplane/port.h"
#include "dataplane/stats.h"

enum {
	MAX_PORTS = 1024,
	MAX_NETS = 1024,
	MAX_VTEPS = 4096,
	MAX_BACKENDS = 16384,
	MAX_WORKERS = 64,
	SCRATCH_BYTES = 16 * 66 * 1024, /* read buffers for one turn of a port without buffers of its own */
};

struct dp;
struct poll_list; /* which queues a worker polls; immutable, published by control */

struct worker {
	/* written by the worker only; read by control for statistics */
	struct dp *dp;
	unsigned index; /* 0.. */
	int core;
	uint32_t now_s;       /* coarse clock, seconds; refreshed once a turn */
	uint32_t flood_left;  /* flood copies left in this turn */
	struct port_stats *port_stats;       /* [MAX_PORTS], touched lazily */
	struct net_stats *net_stats;         /* [MAX_NETS] */
	struct backend_stats *backend_stats; /* [MAX_BACKENDS] */
	uint8_t *scratch;                    /* SCRATCH_BYTES; for port types that read into a buffer */
	struct burst burst;
	struct burst segments; /* offload.c: what one large frame is cut into */
	struct worker_private *priv; /* worker.c's own: poll state, busy accounting, pending frames */
};

/** Counts one dropped copy at `port`: at an uplink under network `net` when that is known. */
static inline void port_drop(struct worker *w, const struct port *port, uint16_t net, enum drop_reason reason)
{
	if (port->is_uplink && net != NET_NONE)
		w->net_stats[net].uplink_drop[reason]++;
	else
		w->port_stats[port->id].drop[reason]++;
}
