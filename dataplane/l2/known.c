#include "dataplane/l2/known.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/core/dp.h"
#include "dataplane/core/open.h"
#include "dataplane/core/rcu.h"
#include "dataplane/l2/fdb.h"
#include "dataplane/l2/neigh.h"
#include "dataplane/l2/network.h"

struct known_slot {
	struct ip_addr ip; /* none: free */
	uint8_t mac[6];
};

struct known_map {
	uint32_t mask;
	bool closed, has_own;
	uint8_t own[6];
	size_t nrange;
	struct dp_range *ranges; /* sorted; behind the slots */
	struct known_slot slot[];
};

/* Where the address is, or the free slot where it would be: half of them are free. */
static struct known_slot *find(struct known_map *map, struct ip_addr ip)
{
	uint32_t at = open_slot2(ip.q);

	while (!ip_is_none(map->slot[at & map->mask].ip) && !ip_equal(map->slot[at & map->mask].ip, ip))
		at++;
	return &map->slot[at & map->mask];
}

/* The last range that begins at `ip` or before it. */
static const uint8_t *find_range(const struct known_map *map, struct ip_addr ip)
{
	size_t low = 0, high = map->nrange;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (ip_compare(map->ranges[middle].prefix.address, ip) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low && ip_inside(ip, map->ranges[low - 1].prefix) ? map->ranges[low - 1].mac : NULL;
}

const uint8_t *known_mac(const struct network *net, struct ip_addr ip)
{
	struct known_map *map = atomic_load_explicit(&net->known, memory_order_acquire);
	const struct known_slot *slot;

	if (!map || ip_is_none(ip))
		return NULL;
	slot = find(map, ip);
	return ip_is_none(slot->ip) ? find_range(map, ip) : slot->mac;
}

const uint8_t *known_own(const struct network *net)
{
	const struct known_map *map = atomic_load_explicit(&net->known, memory_order_acquire);

	return map && map->has_own ? map->own : NULL;
}

bool known_is_closed(const struct network *net)
{
	const struct known_map *map = atomic_load_explicit(&net->known, memory_order_acquire);

	return map && map->closed;
}

static struct known_map *map_new(const struct dp_known *known, size_t n, bool closed, size_t nrange)
{
	uint32_t size = open_size(n);
	struct known_map *map;

	map = calloc(1, sizeof(*map) + size * sizeof(map->slot[0]) + nrange * sizeof(map->ranges[0]));
	if (!map)
		return NULL;
	map->mask = size - 1;
	map->ranges = (struct dp_range *)(map->slot + size);
	map->closed = closed;
	for (size_t i = 0; i < n; i++) {
		struct known_slot *slot = find(map, known[i].ip);

		if (ip_is_none(known[i].ip))
			continue;
		slot->ip = known[i].ip;
		memcpy(slot->mac, known[i].mac, sizeof(slot->mac));
	}
	return map;
}

static void publish(struct dp *dp, struct network *net, struct known_map *map)
{
	struct known_map *old = atomic_exchange(&net->known, map);

	if (old)
		rcu_defer(dp, free, old);
}

int dp_network_known(struct dp *dp, uint16_t id, const struct dp_known *known, size_t n, bool closed)
{
	struct network *net = dp_get_net(dp, id);
	struct known_map *map = NULL;

	if (!net)
		return -ENOENT;
	if (n || closed) {
		map = map_new(known, n, closed, 0);
		if (!map)
			return -ENOMEM;
	}
	publish(dp, net, map);
	return 0;
}

/* What is sent to `own` finds the gateway's port, and lookup.c sees to the rest. So nobody else's frames teach where it is. */
static int move_own(struct dp *dp, const struct network *net, const uint8_t *was, const uint8_t *own)
{
	int rc;

	if (was && own && memcmp(was, own, 6) == 0)
		return 0;
	if (own) {
		rc = fdb_add_static(dp->fdb, fdb_key(net->id, own), net->gateway_port, 0);
		if (rc < 0)
			return rc;
	}
	if (was)
		fdb_remove(dp->fdb, fdb_key(net->id, was));
	return 0;
}

int dp_network_hosts(struct dp *dp, uint16_t id, const uint8_t *own, const struct dp_range *ranges, size_t n)
{
	struct network *net = dp_get_net(dp, id);
	struct known_map *map = NULL;
	int rc;

	if (!net || (own && net->gateway_port == OUT_NONE))
		return -ENOENT;
	if (own) {
		map = map_new(NULL, 0, true, n);
		if (!map)
			return -ENOMEM;
		map->has_own = true;
		memcpy(map->own, own, sizeof(map->own));
		map->nrange = n;
		if (n)
			memcpy(map->ranges, ranges, n * sizeof(*ranges));
	}
	rc = move_own(dp, net, known_own(net), own);
	if (rc < 0) {
		free(map);
		return rc;
	}
	publish(dp, net, map);
	neigh_known_changed(dp, net);
	return 0;
}
