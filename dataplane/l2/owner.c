#include "dataplane/l2/owner.h"

#include <errno.h>
#include <stdlib.h>

#include "dataplane/core/dp.h"
#include "dataplane/core/open.h"
#include "dataplane/l2/fdb.h"
#include "dataplane/l2/network.h"

/* A MAC as in fdb_key(), in the second word, or an address. */
struct owner_key {
	uint64_t q[2];
	enum { OWNER_NONE, OWNER_MAC, OWNER_IP } kind;
};

struct owner_slot {
	struct owner_key key; /* OWNER_NONE: free */
	uint16_t port;
};

struct owner_map {
	uint32_t mask;
	struct owner_slot slot[];
};

static struct owner_key mac_key(uint64_t mac)
{
	return (struct owner_key){.q = {0, mac}, .kind = OWNER_MAC};
}

static struct owner_key ip_key(struct ip_addr ip)
{
	return (struct owner_key){.q = {ip.q[0], ip.q[1]}, .kind = OWNER_IP};
}

static bool same_key(const struct owner_key *a, const struct owner_key *b)
{
	return a->q[0] == b->q[0] && a->q[1] == b->q[1] && a->kind == b->kind;
}

static void add(struct owner_map *map, struct owner_key key, uint16_t port)
{
	uint32_t at = open_slot2(key.q);

	while (map->slot[at & map->mask].key.kind != OWNER_NONE)
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
	uint32_t count = 0, size;
	struct owner_map *map;

	for (unsigned i = 0; i < MAX_PORTS; i++)
		if (member(dp, i, net))
			count += 1 + member(dp, i, net)->spec.nips;
	size = open_size(count);
	map = calloc(1, sizeof(*map) + size * sizeof(map->slot[0]));
	if (!map)
		return NULL;
	map->mask = size - 1;
	for (unsigned i = 0; i < MAX_PORTS; i++) {
		const struct port *port = member(dp, i, net);

		if (!port)
			continue;
		add(map, mac_key(fdb_key(0, port->mac)), port->id);
		for (unsigned k = 0; k < port->spec.nips; k++)
			add(map, ip_key(port->spec.ips[k]), port->id);
	}
	return map;
}

static const struct port *find(struct dp *dp, const struct network *net, struct owner_key key)
{
	const struct owner_map *map = net->owners;

	for (uint32_t at = open_slot2(key.q);; at++) {
		const struct owner_slot *slot = &map->slot[at & map->mask];

		if (same_key(&slot->key, &key))
			return member(dp, slot->port, net->id);
		if (slot->key.kind == OWNER_NONE)
			return NULL;
	}
}

const struct port *owner_of_mac(struct dp *dp, const struct network *net, uint64_t mac)
{
	return find(dp, net, mac_key(mac));
}

const struct port *owner_of_ip(struct dp *dp, const struct network *net, struct ip_addr ip)
{
	return find(dp, net, ip_key(ip));
}

int dp_port_of_ip(struct dp *dp, uint16_t net, struct ip_addr ip)
{
	const struct network *network = dp_get_net(dp, net);
	const struct port *port = network ? owner_of_ip(dp, network, ip) : NULL;

	return port ? port->id : -ENOENT;
}

bool owner_is_up(const struct port *port)
{
	return atomic_load_explicit(&port->up, memory_order_relaxed);
}
