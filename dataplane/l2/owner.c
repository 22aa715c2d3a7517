#include "dataplane/l2/owner.h"

#include <stdlib.h>

#include "dataplane/core/dp.h"
#include "dataplane/l2/fdb.h"
#include "dataplane/l2/network.h"

struct owner_slot {
	uint64_t key; /* 0: free */
	uint16_t port;
};

struct owner_map {
	uint32_t mask;
	struct owner_slot slot[];
};

#define MAC_KEY(mac) ((mac) | UINT64_C(1) << 62)
#define IP_KEY(ip) ((uint64_t)(ip) | UINT64_C(1) << 63)

static uint32_t slot_of(uint64_t key)
{
	return (uint32_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

static void add(struct owner_map *map, uint64_t key, uint16_t port)
{
	uint32_t at = slot_of(key);

	while (map->slot[at & map->mask].key)
		at++;
	map->slot[at & map->mask] = (struct owner_slot){key, port};
}

static const struct port *member(struct dp *dp, unsigned id, uint16_t net)
{
	const struct port *port = dp_get_port(dp, (uint16_t)id);

	return port && port->net == net ? port : NULL;
}

struct owner_map *owner_map_new(struct dp *dp, uint16_t net)
{
	uint32_t count = 0, size = 16;
	struct owner_map *map;

	for (unsigned i = 0; i < MAX_PORTS; i++)
		if (member(dp, i, net))
			count += 1 + member(dp, i, net)->spec.nips;
	while (size < count * 2)
		size *= 2;
	map = calloc(1, sizeof(*map) + size * sizeof(map->slot[0]));
	if (!map)
		return NULL;
	map->mask = size - 1;
	for (unsigned i = 0; i < MAX_PORTS; i++) {
		const struct port *port = member(dp, i, net);

		if (!port)
			continue;
		add(map, MAC_KEY(fdb_key(0, port->mac)), port->id);
		for (unsigned k = 0; k < port->spec.nips; k++)
			if (ip_is4(port->spec.ips[k]))
				add(map, IP_KEY(ip_to4(port->spec.ips[k])), port->id);
	}
	return map;
}

static const struct port *find(struct dp *dp, const struct network *net, uint64_t key)
{
	const struct owner_map *map = net->owners;

	for (uint32_t at = slot_of(key);; at++) {
		const struct owner_slot *slot = &map->slot[at & map->mask];

		if (slot->key == key)
			return member(dp, slot->port, net->id);
		if (!slot->key)
			return NULL;
	}
}

const struct port *owner_of_mac(struct dp *dp, const struct network *net, uint64_t mac)
{
	return find(dp, net, MAC_KEY(mac));
}

const struct port *owner_of_ip(struct dp *dp, const struct network *net, uint32_t ip)
{
	return find(dp, net, IP_KEY(ip));
}

bool owner_is_up(const struct port *port)
{
	return atomic_load_explicit(&port->up, memory_order_relaxed);
}
