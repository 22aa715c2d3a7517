/* private.h: what only the control side of dataplane/ keeps. Control thread. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "dataplane/core/close_many.h"
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
	uint32_t remote;
	uint32_t hop; /* whose MAC is wanted: the remote or the uplink's gateway */
	bool used, resolved;
	uint8_t mac[6];
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
	bool link_told[MAX_PORTS];		     /* state that control was told last */
	void *timer, *watch;			     /* on control's loop */
	unsigned ticks;
	struct stats_window *window; /* counters.c: [MAX_WORKERS] */
	struct balance *balance;     /* balance.c */
	bool closing;		     /* every port goes: */
	struct close_many at_end;    /* files of theirs that take long to close */
};

/** dp_open() but for the workers' threads, for tests that are the worker themselves. */
int dp_prepare(const struct dp_config *config, struct dp **dp, struct dp_err *err);

/** dp_port_add() with the operations given; spec->type is not looked at. */
int port_add(struct dp *dp, const struct dp_port *spec, const struct port_ops *ops, uint16_t *id,
	struct dp_err *err);

/** Runs what rcu_defer() gathered. */
void rcu_flush(struct dp *dp);

/** l2/fdb_sweep.c: ages a part of the fdb; a timer calls it SWEEP_PARTS times a second. */
enum { SWEEP_PARTS = 4 };
void sweep_fdb(struct dp *dp);
/** Removes every fdb entry for which fn says so, now. */
void sweep_all(struct dp *dp, bool (*fn)(void *arg, uint64_t key, uint64_t value), void *arg);

/** network.c: frees a network that no worker can see any more. NULL is allowed. */
void network_free(void *net);

/** network.c: publishes the network again with its present members. -ENOMEM: nothing changed. */
int network_refresh(struct dp *dp, uint16_t id);

/** vtep.c: a port came or went: uplinks are chosen again. */
void vteps_rebind(struct dp *dp);
/** Frees all of them, once there are no workers any more. */
void vteps_close(struct dp *dp);

/** ports.c: closes all of them, once there are no workers any more; tables go on naming them. */
void ports_close(struct dp *dp);
/** On the control loop, tells control of links that changed. */
void ports_report_links(struct dp *dp);

/** polling.c: gives each worker the published ports' queues that are its own (balance.h). -ENOMEM. */
int polling_assign(struct dp *dp);
/**
 * Takes the queues whose worker changes (balance_worker_before()) from their old one, waits until those are through with
 * them, and gives them to the new ones. -ENOMEM: nothing changed.
 */
int polling_hand_over(struct dp *dp);
/** Before a port is published: its fds to the workers' epoll sets. -errno. */
int polling_add_fds(struct dp *dp, struct port *port);

/** neigh.c */
int neigh_open(struct dp *dp);
void neigh_close(struct dp *dp);
/** Timer, DP_TICK_MS: requests that are due. */
void neigh_tick(struct dp *dp);
/** A punted ARP packet. */
void neigh_input(struct dp *dp, uint16_t net, uint16_t port, const uint8_t *data, uint16_t len);
/** A network's port came, goes (it is unpublished already), or is about to get or has got other ips. */
void neigh_port_changed(struct dp *dp, const struct port *port);

/** Seconds since the workers started, as they count them. */
uint32_t dp_now_s(const struct dp *dp);

/** counters.c: what the workers did lately; the tick is once a second. -ENOMEM. */
int stats_open(struct dp *dp);
void stats_close(struct dp *dp);
void stats_tick(struct dp *dp);

/** eal.c: starts DPDK. One line in err on failure. */
int eal_start(const struct dp_config *config, struct dp_err *err);
void eal_stop(void);
