/*
 * stats.h: counters. Every worker writes its own and nobody else's, so counting needs no locked instruction:
 * stat_add() is a load, an add and a store, each relaxed. Readers sum over the workers by stat_read() and may
 * see a burst half counted.
 *
 * The unit is a copy. For each network:
 *   rx + generated + (copies of a flooded frame - 1) = tx + drops + consumed
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/** The worker that the counter belongs to. */
static inline void stat_add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

/** Any thread. */
static inline uint64_t stat_read(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/** Any thread, while no worker counts: of an object that no worker knows yet. */
static inline void stat_clear(void *counters, size_t bytes)
{
	for (uint64_t *c = counters; c < (uint64_t *)counters + bytes / sizeof(*c); c++)
		__atomic_store_n(c, 0, __ATOMIC_RELAXED);
}

/* Why a frame was dropped: enum suffix, name as shown, help. The order is the order shown. */
#define DROP_REASONS(X)                                                                                      \
	X(MALFORMED, "malformed", "shorter than an Ethernet header, or lengths that contradict each other")  \
	X(BAD_RING, "bad-ring",                                                                              \
		"a descriptor chain that breaks the rules of virtio, or leaves the guest's memory")          \
	X(BAD_OFFLOAD, "bad-offload", "checksum or segmentation request that does not fit the frame")        \
	X(TUNNEL_OFFLOAD, "tunnel-offload",                                                                  \
		"a large frame in a tunnel of the guest's own: turn tx-udp_tnl-segmentation off there")      \
	X(SOURCE_MAC, "source-mac", "source address is multicast, zero or the router MAC")                   \
	X(SPOOFED_MAC, "spoofed-mac", "a source MAC that its port or vtep may not send from")                \
	X(SPOOFED_IP, "spoofed-ip", "a source IP address that its port may not send from")                   \
	X(SPOOFED_ARP, "spoofed-arp", "ARP, RARP or ND that speaks for an address that is not the port's")   \
	X(ROGUE_SERVER, "rogue-server",                                                                      \
		"a DHCP answer or router advertisement of a port that is not trusted")                       \
	X(STORM, "storm",                                                                                    \
		"more broadcast, multicast and unknown unicast than the port may send (storm_pps)")          \
	X(RATE, "rate", "over the rate that the port is limited to")                                         \
	X(MAC_LIMIT, "mac-limit", "from a new MAC of a port that has as many as it may (mac_limit)")         \
	X(BUDGET, "budget", "more work than one port may cost its worker in a turn")                         \
	X(UNKNOWN, "unknown", "to a MAC that nobody has in a network whose MACs are all known (cluster)")    \
	X(NO_RECEIVER, "no-receiver", "nobody else is in the network")                                       \
	X(SAME_PORT, "same-port", "its destination is behind the port that it came from")                    \
	X(WRONG_NETWORK, "wrong-network", "the egress port left the network meanwhile")                      \
	X(LINK_DOWN, "link-down", "the egress port is down")                                                 \
	X(RING_FULL, "ring-full", "the receiver does not take frames fast enough")                           \
	X(RX_OVERRUN, "rx-overrun", "arrived faster than the switch took it, and its ring was full")         \
	X(MTU, "mtu", "longer than the egress port or the underlay carries")                                 \
	X(TX_ERROR, "tx-error", "the kernel or the device refused it")                                       \
	X(FLOOD_BUDGET, "flood-budget", "more flood copies in one turn than the budget allows")              \
	X(UNKNOWN_VNI, "unknown-vni", "VXLAN for a network that is not here")                                \
	X(UNKNOWN_VTEP, "unknown-vtep", "VXLAN from a remote that is not a vtep of the network")             \
	X(PEER_DOWN, "peer-down", "to a host that BFD has found dead")                                       \
	X(BFD_REFUSED, "bfd-refused", "BFD of a host that is no peer, or that breaks the protocol's rules")  \
	X(BFD_FLOOD, "bfd-flood", "more BFD than a peer may send")                                           \
	X(LOAD_REFUSED, "load-refused",                                                                      \
		"told the load of a backend that is elsewhere, too often, out of order or malformed")        \
	X(NOT_FOR_US, "not-for-us", "arrived on an uplink for an address or protocol that is not ours")      \
	X(NEIGHBOUR, "neighbour", "no MAC known for the next hop, and its queue is full")                    \
	X(NO_UPLINK, "no-uplink", "the network has a remote vtep but no uplink reaches it")                  \
	X(NO_BACKEND, "no-backend", "the service has no healthy backend")                                    \
	X(HAIRPIN, "hairpin", "the only backend is the client itself, and the switch cannot stand between")  \
	X(CLASH, "clash", "the client's port is in use towards every backend tried, through another vip")    \
	X(VIP_MISS, "vip-miss",                                                                              \
		"sent to a vip on a port or protocol without a service, or an error about no connection")    \
	X(FRAGMENT, "fragment",                                                                              \
		"an IP fragment whose first one has not come (yet), or a first one without its ports")       \
	X(SEEKS, "seeks", "of a connection whose backend is being looked for, as its entry was lost")        \
	X(NAT_PORTS, "nat-ports",                                                                            \
		"no port of the uplink's address left for one more connection, or the guest has its share")  \
	X(EGRESS, "egress",                                                                                  \
		"not of a kind that may leave the network by an uplink, or of a connection that is unknown") \
	X(ROUTER, "router", "sent to the router MAC, and no gateway here takes it")

enum drop_reason {
#define X(id, name, help) DROP_##id,
	DROP_REASONS(X)
#undef X
		DROP_COUNT
};

/* A port's counters, as the switch sees it: rx came from the guest, tx was delivered to it. */
struct port_stats {
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
	uint64_t drop[DROP_COUNT]; /* in the port's own network (an uplink: before any network is known) */
	uint64_t rate_out;	   /* of drop[DROP_RATE]: frames on their way to it */
	uint64_t throttled;	   /* times that it was made to wait for what it had cost (budget.h) */
	uint64_t punts_left_out;   /* of its frames that control was to see: over the rate, or no room */
	uint64_t unlearned;	   /* frames that went on though their MAC was over the port's limit */
};

/* A network's counters; drops only those at an uplink or a port of another network, the rest stand at the ports. */
struct net_stats {
	uint64_t rx;	    /* from its ports and its vteps */
	uint64_t tx;	    /* to its ports and its vteps */
	uint64_t generated; /* made by the switch: replies, frames sent by control */
	uint64_t copies;    /* flood copies beyond each frame itself */
	uint64_t consumed;  /* taken by the switch */
	uint64_t mac_moves, mac_moves_held, unlearned; /* learn.c: struct dp_net_info */
	uint64_t uplink_drop[DROP_COUNT];
};

/* A backend's counters. Every packet writes them: two to a quarter of a line, and none straddles two. */
struct backend_stats {
	uint64_t packets, bytes;
};

/*
 * What became of the connections that a backend was asked to answer. Only those opened by a clean SYN or a
 * first datagram count, so that an answer says that the backend lives. The rest, neither answered nor
 * refused, still wait, have waited in vain, or were withdrawn (conn_withdrawn_of()).
 */
struct backend_answers {
	uint64_t opened, answered;
	uint64_t refused; /* its first answer was a reset */
};

/*
 * How busy a backend is with the connections of this worker (lb/least.h). Only differences of the first two mean
 * something: what one worker began another may have ended. Two to a line; the rest is what its worker last saw of the
 * others.
 */
struct backend_load {
	uint32_t begun, ended; /* requests */
	uint32_t latency;      /* of an answer, a moving average in ticks of least.h; 0: not known */
	uint32_t latency_s;    /* the worker's clock when that changed */
	uint32_t others;       /* requests of the others, as a difference that may be below zero */
	uint32_t others_latency;
	uint32_t others_latency_s;
	uint32_t looked; /* in ticks, when the three were read */
};
