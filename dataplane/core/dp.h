/*
 * dp.h: the dataplane's own state, for the files of dataplane/ only. Control sees dataplane.h.
 *
 * Workers read the published pointers (port, net, vtep, and what hangs from them) with acquire loads and hold
 * them until the end of a turn at most. Control alone stores them, and frees what it replaced after a grace
 * period (rcu.h).
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "dataplane/core/port.h"
#include "dataplane/core/worker.h"
#include "dataplane/dataplane.h"
#include "dataplane/frame/burst.h"

struct bfd;
struct egress;
struct fdb;
struct lb;
struct neigh_table;
struct network;
struct path_watches;
struct rte_rcu_qsbr;
struct vtep;
struct vxlan_map;

/* The VNIs of the overlay networks: open addressing, at most a quarter full. */
enum { VNI_BITS = 12, VNI_SLOTS = 1 << VNI_BITS };

struct dp {
	_Atomic(struct port *) port[MAX_PORTS];
	_Atomic(struct network *) net[MAX_NETS];
	_Atomic(struct vtep *) vtep[MAX_VTEPS];
	struct fdb *fdb;
	struct lb *lb;	       /* service.c: backends and connections */
	struct egress *egress; /* egress.c: what leaves by uplinks; NULL: nothing does */
	struct rte_rcu_qsbr *qsbr;
	struct bfd *bfd;		   /* bfd.h: which peers are alive */
	_Atomic(struct vxlan_map *) vxlan; /* (VNI, remote) to network and vtep */
	_Atomic(uint32_t) vni[VNI_SLOTS];  /* network.c; VNI_USED | a VNI, 0: free */
	uint8_t probe_mac[6]; /* sends control's ARP requests inside networks; of this host alone */
	uint64_t start_tsc;
	unsigned nworker;
	struct worker *worker[MAX_WORKERS];
	/* control only */
	struct dp_config config;
	struct neigh_table *neigh;
	struct path_watches *paths; /* path_watch.h; of sockets that are to appear */
	struct notifier *notifier;  /* of guests; NULL where the kernel has none */
	struct dp_private *priv;
};

/** Seconds since the workers started, as they count them. */
uint32_t dp_now_s(const struct dp *dp);

static inline struct port *dp_get_port(struct dp *dp, uint16_t id)
{
	return id < MAX_PORTS ? atomic_load_explicit(&dp->port[id], memory_order_acquire) : NULL;
}

static inline struct network *dp_get_net(struct dp *dp, uint16_t id)
{
	return id < MAX_NETS ? atomic_load_explicit(&dp->net[id], memory_order_acquire) : NULL;
}

static inline struct vtep *dp_get_vtep(struct dp *dp, uint16_t id)
{
	return id < MAX_VTEPS ? atomic_load_explicit(&dp->vtep[id], memory_order_acquire) : NULL;
}
