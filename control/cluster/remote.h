/*
 * remote.h: what the files share that bring the dataplane to what others have: remote.c (MACs), tunnel.c (tunnels to their
 * hosts) and known.c (their addresses).
 */
#pragma once

#include "control/cluster/inside.h"

/* A guest of another host. */
struct remote {
	UT_hash_handle hh; /* by MAC */
	uint8_t mac[6];
	struct ip_addr host; /* its address in the underlay */
	int64_t seq, mod;
	bool placed;			 /* the fdb has it */
	bool elsewhere;			 /* here, or where the operator put it */
	const struct value_endpoint *ep; /* of the view; only while a network is being applied */
};

/* A host that has guests in the network. */
struct cluster_peer {
	UT_hash_handle hh; /* by address */
	struct ip_addr address;
	const struct model_vtep *vtep;
};

/* Is `a` at a later place than `b`? A host may say any number, so it is no later than when it said so. */
static inline bool remote_is_later(int64_t seq, int64_t mod, const struct remote *b)
{
	return seq != b->seq ? seq > b->seq : mod > b->mod;
}

/* tunnel.c */

/** The host at the address, among `peers`, with the tunnel to it; NULL: no memory. */
struct cluster_peer *cluster_tunnel_to(struct cluster *cluster, struct cluster_peer **peers,
	const struct model_network *network, struct ip_addr address);
/** Tunnels of ours to hosts that are not among `peers` (NULL: any) have nobody there any more, and end. */
void cluster_tunnels_drop(
	struct cluster *cluster, const struct model_network *network, struct cluster_peer *peers);
/** Do all hosts of the network tell of their MACs? */
bool cluster_tunnels_tell(
	struct cluster *cluster, const struct model_network *network, struct cluster_peer *peers);
void cluster_tunnels_free(struct cluster_peer *peers);

/* known.c */

/** Whose addresses are answered for in the network: of these guests. `closed`: MACs that nobody told of are nobody's. */
void cluster_known_tell(
	struct cluster *cluster, const struct model_network *network, struct remote *table, bool closed);
