/*
 * network.h: an isolated L2 segment as workers see it. Immutable but for the atomics: a change of members or
 * settings publishes a new object in dp->net[id] and retires the old one. Control thread makes and frees
 * them.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/dataplane.h"

struct dp;
struct owner_map;
struct lb_view; /* service.h: the vips and backends of one network, NULL when it has none */

struct network {
	uint16_t id;
	uint8_t mode; /* enum dp_mode */
	uint8_t prefix;
	uint16_t mtu;
	uint16_t flush_gen; /* fdb entries learned under another number are dead */
	uint32_t vni;
	uint32_t subnet, gateway; /* network byte order, 0: none */
	uint32_t age_s;
	uint8_t mac_moves;     /* that a MAC may make in a second; 0: any number */
	uint16_t gateway_port; /* OUT_NONE: none */
	uint16_t nport, nvtep;
	_Atomic(struct lb_view *) lb; /* carried over from object to object */
	struct owner_map *owners;     /* owner.h */
	const uint16_t *vtep;	      /* [nvtep] remote vteps that get flooded frames */
	uint16_t port[];	      /* [nport] its ports, then the vteps */
};

/** Is `ip` (network byte order) in the network's subnet? */
static inline bool network_has_ip(const struct network *net, uint32_t ip)
{
	uint32_t mask = net->prefix ? __builtin_bswap32(~0u << (32 - net->prefix)) : 0;

	return net->subnet && ((ip ^ net->subnet) & mask) == 0;
}

/** Any thread. Has an overlay network this VNI? For a moment not, while another one comes or goes. */
bool network_has_vni(const struct dp *dp, uint32_t vni);

/** Control thread. Frees a network that no worker can see any more. NULL is allowed. */
void network_free(void *net);

/** Control thread. Publishes the network again with its present members. -ENOMEM: nothing changed. */
int network_refresh(struct dp *dp, uint16_t id);
