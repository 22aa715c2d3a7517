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
struct known_map;
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
	struct ip_prefix subnet6; /* none: its address is */
	struct ip_addr gateway6;  /* maybe none */
	uint32_t age_s;
	uint8_t egress;	       /* enum dp_egress: what goes by an uplink */
	uint8_t mac_moves;     /* that a MAC may make in a second; 0: any number */
	uint16_t gateway_port; /* OUT_NONE: none */
	uint16_t nport, nvtep;
	_Atomic(struct lb_view *) lb;	   /* carried over from object to object */
	_Atomic(struct known_map *) known; /* known.h; the same, NULL: nothing is */
	struct owner_map *owners;	   /* owner.h */
	const uint16_t *vtep;		   /* [nvtep] remote vteps that get flooded frames */
	uint16_t port[];		   /* [nport] its ports, then the vteps */
};

/** Is `ip` in the network's subnet of its family? */
static inline bool network_has_ip(const struct network *net, struct ip_addr ip)
{
	const struct ip_prefix subnet4 = {ip_from4(net->subnet), (uint8_t)(IP_PREFIX4 + net->prefix)};

	if (ip_is4(ip))
		return net->subnet && ip_inside(ip, subnet4);
	return !ip_is_none(net->subnet6.address) && ip_inside(ip, net->subnet6);
}

/** Is `ip` reached by the network's gateway, for it lies outside the subnet of its family? */
static inline bool network_routes(const struct network *net, struct ip_addr ip)
{
	bool has_both = ip_is4(ip) ? net->subnet && net->gateway
				   : !ip_is_none(net->subnet6.address) && !ip_is_none(net->gateway6);

	return has_both && !network_has_ip(net, ip);
}

/** Is `ip`, which is not none, a gateway of the network? */
static inline bool network_is_gateway(const struct network *net, struct ip_addr ip)
{
	return ip_is4(ip) ? net->gateway && ip_to4(ip) == net->gateway : ip_equal(ip, net->gateway6);
}

/** Any thread. Has a network this VNI? For a moment not, while another one comes or goes. */
bool network_has_vni(const struct dp *dp, uint32_t vni);

/** Control thread. Frees a network that no worker can see any more. NULL is allowed. */
void network_free(void *net);

/** Control thread. Publishes the network again with its present members. -ENOMEM: nothing changed. */
int network_refresh(struct dp *dp, uint16_t id);
