/* inside.h: what the files of the room share. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/core/dp.h"
#include "dataplane/egress/hop.h"
#include "dataplane/frame/parse.h"
#include "dataplane/lb/conn.h"

struct published;
struct routes;

/* Who a connection counts for (struct conn_end.owner): the guest's port that opened it, the guest's port that it was
 * opened to from outside, or a network whose vip it was opened to. So strangers use up no guest's own share. */
enum {
	EGRESS_OWNER_IN = MAX_PORTS,
	EGRESS_OWNER_VIP = 2 * MAX_PORTS,
	EGRESS_OWNERS = 2 * MAX_PORTS + MAX_NETS,
};

/* Of one worker alone. */
struct egress_worker {
	_Alignas(64) uint64_t chosen; /* ports, so far */
};

/** Would hosts of the underlay take for each other's own what goes to this port (network byte order): a tunnel's, or what
 * says that a host is dead? The uplink's address vouches for it there, so no guest may send it under that one. */
static inline bool egress_is_of_hosts(uint8_t proto, uint16_t port, uint16_t vxlan_port)
{
	uint16_t to = __builtin_bswap16(port);

	return proto == IPPROTO_UDP && (to == vxlan_port || to == BFD_PORT || to == BFD_PORT_ROUTED);
}

/** Is it an address that no host outside has: of this network, of loopback, of one link alone, of many hosts? */
static inline bool egress_is_no_host(struct ip_addr ip)
{
	if (ip_is4(ip))
		return ip.b[12] == 0 || ip.b[12] == 127 || ip.b[12] >= 224;
	return ip_is_none(ip) || ip_is_loopback(ip) || ip_is_multicast(ip) || ip_is_link_local(ip);
}

struct egress {
	struct conn_table *flows;
	uint32_t most; /* connections that one owner may have */
	uint64_t secret[2];
	_Atomic(struct routes *) routes;
	_Atomic(struct published *) published;
	struct hops *hops;
	unsigned networks; /* that have a way out, for control */
	struct egress_worker worker[MAX_WORKERS];
};
