/*
 * private.h: what control keeps of the dataplane beside what workers see (dp.h). Each room has its part of it. Control
 * thread.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "addr/ip.h"
#include "dataplane/core/close_batch.h"
#include "dataplane/core/dp.h"

enum { DP_TICK_MS = 250 }; /* sweep a part of the fdb, ask neighbours, free what waits */

struct deferred {
	struct deferred *next;
	void (*fn)(void *arg);
	void *arg;
};

/* A vtep as control knows it; workers see struct vtep (vxlan.h). */
struct vtep_record {
	uint16_t net;
	uint16_t uplink; /* OUT_NONE: none reaches it */
	struct ip_addr remote;
	struct ip_addr hop; /* whose MAC is wanted: the remote or the uplink's gateway */
	bool used, resolved;
	uint8_t mac[6];
	uint16_t peer;	 /* bfd.h; BFD_NO_PEER: nobody watches it */
	uint32_t bfd_ms; /* as wanted for this vtep; 0: not */
	uint8_t bfd_multiplier;
};

struct dp_private {
	struct deferred *deferred; /* objects that wait for a grace period */
	struct vtep_record vtep[MAX_VTEPS];
	uint16_t next_port; /* where to look for a free index: the one used longest ago */
	uint64_t gone_drop[MAX_NETS]
			  [DROP_COUNT]; /* drops of deleted ports, so that a network's sums stay right */
	uint32_t sweep;			/* next fdb bucket */
	int link_fd;			/* eventfd: a link changed, or something was punted */
	_Atomic(uint64_t) link_news[MAX_PORTS / 64]; /* ports whose link changed */
	bool link_reported[MAX_PORTS];		     /* state that control was told last */
	void *timer, *watch;			     /* on control's loop */
	unsigned ticks;
	struct tell *tell;	     /* overlay/load.h; NULL: there is nothing to tell */
	struct stats_window *window; /* counters.c: [MAX_WORKERS] */
	struct balance *balance;     /* balance.c */
	bool closing;		     /* every port goes: */
	struct close_batch at_end;   /* files of theirs that take long to close */
};
