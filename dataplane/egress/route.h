/* route.h: which uplink leads to an address. A few, so they are looked at one by one. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "addr/ip.h"

struct dp;

struct route {
	uint16_t uplink;
	uint16_t vxlan_port;		       /* host byte order */
	struct ip_addr address, mask, gateway; /* of the uplink's link; without a gateway none */
};

struct routes {
	unsigned n;
	struct route route[];
};

/** Control thread. The uplinks as they are now. NULL: no memory. Freed by free(). */
struct routes *routes_new(struct dp *dp);

/**
 * Any thread. The uplink on whose link `ip` is, else the first with a gateway of its family; NULL: none. *hop: whose MAC a
 * frame is to have.
 */
const struct route *route_find(const struct routes *routes, struct ip_addr ip, struct ip_addr *hop);

/** Any thread. The uplink with this `address`, and the next hop on its link for `ip`; NULL: none, or it leads nowhere. */
const struct route *route_from(
	const struct routes *routes, struct ip_addr address, struct ip_addr ip, struct ip_addr *hop);

/** Any thread. The uplink whose own address it is; NULL: none. */
const struct route *route_own(const struct routes *routes, struct ip_addr ip);

/** Any thread. Could `ip` be that of a host on this link: neither the uplink's, the link's own nor its broadcast address? */
bool route_is_host(const struct route *route, struct ip_addr ip);
