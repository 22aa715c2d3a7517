#include "dataplane/egress/egress.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "dataplane/core/exchange.h"
#include "dataplane/core/mem.h"
#include "dataplane/core/rcu.h"
#include "dataplane/core/share.h"
#include "dataplane/egress/inside.h"
#include "dataplane/egress/route.h"
#include "dataplane/l2/network.h"

enum {
	EXPIRE_ENTRIES = 1 << 18, /* connections looked at in one tick: a few milliseconds */
	CLOSED_S =
		120, /* a port of a connection that both ends have closed rests so long: the peer may remember it */
	SHARE = 4, /* one guest may have a fourth of the table */
	SHARE_MIN = 64,
};

int egress_open(struct dp *dp, uint32_t flows)
{
	struct egress *e = mem_alloc(sizeof(*e));

	if (!e)
		return -ENOMEM;
	dp->egress = e;
	e->flows = conn_open(flows, EGRESS_OWNERS);
	e->hops = hops_new(dp);
	e->most = flows / SHARE > SHARE_MIN ? flows / SHARE : SHARE_MIN;
	if (!e->flows || !e->hops || getrandom(e->secret, sizeof(e->secret), 0) != sizeof(e->secret))
		return -ENOMEM;
	conn_keep_closed(e->flows, CLOSED_S);
	return 0;
}

void egress_close(struct dp *dp)
{
	struct egress *e = dp->egress;

	if (!e)
		return;
	conn_close(e->flows);
	hops_free(e->hops);
	free(atomic_load(&e->routes));
	free(atomic_load(&e->published));
	mem_free(e, sizeof(*e));
	dp->egress = NULL;
}

/* Without memory for them the old routes stay. */
void egress_uplinks_changed(struct dp *dp)
{
	struct egress *e = dp->egress;
	struct routes *routes = e ? routes_new(dp) : NULL, *old;

	if (!routes)
		return;
	hop_forget(e->hops);
	for (unsigned i = 0; i < routes->n; i++)
		if (!ip_is_none(routes->route[i].gateway))
			hop_want(e->hops, routes->route[i].uplink, routes->route[i].gateway, HOP_BY_CONTROL);
	old = atomic_exchange(&e->routes, routes);
	if (old)
		rcu_defer(dp, free, old);
}

/* The networks that have a way out share the table. */
static void share_flows(struct dp *dp)
{
	struct egress *e = dp->egress;
	unsigned n = 0;

	for (unsigned i = 0; i < MAX_NETS; i++) {
		const struct network *net = dp_get_net(dp, (uint16_t)i);

		n += net && net->egress;
	}
	if (n != e->networks)
		share_set_networks(conn_share(e->flows), n);
	e->networks = n;
	share_recount(conn_share(e->flows));
}

void egress_wanted(struct dp *dp, uint16_t uplink, const uint8_t *data, uint16_t len)
{
	struct routes *routes = atomic_load(&dp->egress->routes);
	const struct route *route;
	struct exchange_wanted wanted;
	struct ip_addr hop;

	if (len != sizeof(wanted))
		return;
	memcpy(&wanted, data, sizeof(wanted));
	route = route_find(routes, wanted.ip, &hop);
	if (route && route->uplink == uplink && ip_equal(hop, wanted.ip))
		hop_want(dp->egress->hops, uplink, wanted.ip, wanted.by);
}

/* Whom the connection counts for is gone. What remains may be another's of that number: flow_guest() looks closer. */
static bool is_gone(void *arg, uint32_t owner)
{
	struct dp *dp = arg;

	if (owner >= EGRESS_OWNER_VIP)
		return !dp_get_net(dp, owner - EGRESS_OWNER_VIP);
	return !dp_get_port(dp, owner % MAX_PORTS);
}

static bool has_ip6(const struct routes *routes)
{
	for (unsigned i = 0; routes && i < routes->n; i++)
		if (!ip_is4(routes->route[i].address))
			return true;
	return false;
}

void egress_tick(struct dp *dp)
{
	struct egress *e = dp->egress;

	share_flows(dp);
	if (e->networks)
		conn_touch_ahead(e->flows, has_ip6(atomic_load(&e->routes)), false);
	conn_expire(e->flows, dp_now_s(dp), EXPIRE_ENTRIES, is_gone, dp);
	hop_tick(e->hops);
}

size_t dp_egress_count_of(struct dp *dp, uint16_t net)
{
	return share_used(conn_share(dp->egress->flows), net);
}
