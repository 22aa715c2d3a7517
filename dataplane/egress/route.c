#include "dataplane/egress/route.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "dataplane/core/dp.h"

static uint32_t mask_of(const struct ip_prefix *prefix)
{
	unsigned bits = prefix->len > IP_PREFIX4 ? prefix->len - IP_PREFIX4 : 0;

	return bits ? htonl(UINT32_MAX << (32 - bits)) : 0;
}

struct routes *routes_new(struct dp *dp)
{
	struct routes *routes = calloc(1, sizeof(*routes) + MAX_PORTS * sizeof(routes->route[0]));

	for (unsigned i = 0; routes && i < MAX_PORTS; i++) {
		const struct port *port = dp_get_port(dp, (uint16_t)i);

		if (!port || !port->is_uplink || !port->address)
			continue;
		routes->route[routes->n++] = (struct route){
			.uplink = port->id,
			.vxlan_port = port->vxlan_port,
			.address = port->address,
			.mask = mask_of(&port->spec.address),
			.gateway = ip_to4(port->spec.next_hop),
		};
	}
	return routes;
}

static bool on_link(const struct route *route, uint32_t ip)
{
	return ((ip ^ route->address) & route->mask) == 0;
}

const struct route *route_find(const struct routes *routes, uint32_t ip, uint32_t *hop)
{
	const struct route *by = NULL;

	for (unsigned i = 0; routes && i < routes->n; i++) {
		const struct route *route = &routes->route[i];

		if (on_link(route, ip)) {
			*hop = ip;
			return route;
		}
		if (route->gateway && !by)
			by = route;
	}
	if (by)
		*hop = by->gateway;
	return by;
}

const struct route *route_from(const struct routes *routes, uint32_t address, uint32_t ip, uint32_t *hop)
{
	for (unsigned i = 0; routes && i < routes->n; i++) {
		const struct route *route = &routes->route[i];

		*hop = on_link(route, ip) ? ip : route->gateway;
		if (route->address == address && *hop)
			return route;
	}
	return NULL;
}

bool route_is_own(const struct routes *routes, uint32_t ip)
{
	for (unsigned i = 0; routes && i < routes->n; i++)
		if (routes->route[i].address == ip)
			return true;
	return false;
}

bool route_is_host(const struct route *route, uint32_t ip)
{
	uint32_t host = ip & ~route->mask;

	if (!on_link(route, ip) || ip == route->address)
		return false;
	return ntohl(~route->mask) < 2 || (host && host != (uint32_t)~route->mask);
}
