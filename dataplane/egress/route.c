#include "dataplane/egress/route.h"

#include <stdlib.h>

#include "dataplane/core/dp.h"

/* All ones where the addresses of the link are the same. */
static struct ip_addr mask_of(const struct ip_prefix *prefix)
{
	struct ip_addr mask = {0};

	for (unsigned i = 0; i < prefix->len; i++)
		mask.b[i / 8] |= (uint8_t)(0x80 >> i % 8);
	return mask;
}

struct routes *routes_new(struct dp *dp)
{
	struct routes *routes = calloc(1, sizeof(*routes) + MAX_PORTS * sizeof(routes->route[0]));

	for (unsigned i = 0; routes && i < MAX_PORTS; i++) {
		const struct port *port = dp_get_port(dp, (uint16_t)i);

		if (!port || !port->is_uplink || ip_is_none(port->spec.address.address))
			continue;
		routes->route[routes->n++] = (struct route){
			.uplink = port->id,
			.vxlan_port = port->vxlan_port,
			.address = port->spec.address.address,
			.mask = mask_of(&port->spec.address),
			.gateway = port->spec.next_hop,
		};
	}
	return routes;
}

/* Never true of different families. */
static bool on_link(const struct route *route, struct ip_addr ip)
{
	return (((ip.q[0] ^ route->address.q[0]) & route->mask.q[0]) |
		       ((ip.q[1] ^ route->address.q[1]) & route->mask.q[1])) == 0;
}

static bool has_gateway(const struct route *route, struct ip_addr ip)
{
	return !ip_is_none(route->gateway) && ip_is4(route->gateway) == ip_is4(ip);
}

const struct route *route_find(const struct routes *routes, struct ip_addr ip, struct ip_addr *hop)
{
	const struct route *by = NULL;

	for (unsigned i = 0; routes && i < routes->n; i++) {
		const struct route *route = &routes->route[i];

		if (on_link(route, ip)) {
			*hop = ip;
			return route;
		}
		if (!by && has_gateway(route, ip))
			by = route;
	}
	if (by)
		*hop = by->gateway;
	return by;
}

const struct route *route_from(
	const struct routes *routes, struct ip_addr address, struct ip_addr ip, struct ip_addr *hop)
{
	for (unsigned i = 0; routes && i < routes->n; i++) {
		const struct route *route = &routes->route[i];

		if (!ip_equal(route->address, address) || (!on_link(route, ip) && !has_gateway(route, ip)))
			continue;
		*hop = on_link(route, ip) ? ip : route->gateway;
		return route;
	}
	return NULL;
}

const struct route *route_own(const struct routes *routes, struct ip_addr ip)
{
	for (unsigned i = 0; routes && i < routes->n; i++)
		if (ip_equal(routes->route[i].address, ip))
			return &routes->route[i];
	return NULL;
}

bool route_is_host(const struct route *route, struct ip_addr ip)
{
	struct ip_addr host = {.q = {ip.q[0] & ~route->mask.q[0], ip.q[1] & ~route->mask.q[1]}};
	struct ip_addr last = {.q = {~route->mask.q[0], ~route->mask.q[1]}};

	if (ip_equal(ip, route->address))
		return false;
	if (ip_equal(ip, route->gateway))
		return true;
	if (!on_link(route, ip))
		return false;
	if (!last.q[0] && __builtin_bswap64(last.q[1]) < 2) /* RFC 3021, RFC 6164: two hosts, or one */
		return true;
	return !ip_is_none(host) && !(ip_is4(ip) && ip_equal(host, last));
}
