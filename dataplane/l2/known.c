#include "dataplane/l2/known.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/core/dp.h"
#include "dataplane/core/open.h"
#include "dataplane/core/rcu.h"
#include "dataplane/l2/network.h"

struct known_slot {
	struct ip_addr ip; /* none: free */
	uint8_t mac[6];
};

struct known_map {
	uint32_t mask;
	bool closed;
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

const uint8_t *known_mac(const struct network *net, struct ip_addr ip)
{
	struct known_map *map = atomic_load_explicit(&net->known, memory_order_acquire);
	const struct known_slot *slot;

	if (!map || ip_is_none(ip))
		return NULL;
	slot = find(map, ip);
	return ip_is_none(slot->ip) ? NULL : slot->mac;
}

bool known_is_closed(const struct network *net)
{
	const struct known_map *map = atomic_load_explicit(&net->known, memory_order_acquire);

	return map && map->closed;
}

static struct known_map *map_new(const struct dp_known *known, size_t n, bool closed)
{
	uint32_t size = open_size(n);
	struct known_map *map;

	map = calloc(1, sizeof(*map) + size * sizeof(map->slot[0]));
	if (!map)
		return NULL;
	map->mask = size - 1;
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

int dp_network_known(struct dp *dp, uint16_t id, const struct dp_known *known, size_t n, bool closed)
{
	struct network *net = dp_get_net(dp, id);
	struct known_map *map = NULL, *old;

	if (!net)
		return -ENOENT;
	if (n || closed) {
		map = map_new(known, n, closed);
		if (!map)
			return -ENOMEM;
	}
	old = atomic_exchange(&net->known, map);
	if (old)
		rcu_defer(dp, free, old);
	return 0;
}
