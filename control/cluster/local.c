/*
 * local.c: what this host says of itself. A port stays in the chunk that it was put in, so that one that comes or goes
 * changes one value.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/base/log.h"
#include "control/cluster/inside.h"
#include "registry/source/hosts/hosts.h"

struct cluster_local {
	UT_hash_handle hh; /* by name */
	char name[MODEL_NAME], network[MODEL_NAME];
	uint32_t vni;
	unsigned chunk;
	bool there;
	struct value_endpoint ep;
	struct ip_addr ips[VALUE_IPS]; /* of `ep` */
};

static struct cluster_local *find(const struct cluster *cluster, const char *name)
{
	struct cluster_local *found = NULL;

	HASH_FIND_STR(cluster->locals, name, found);
	return found;
}

static void drop(struct cluster *cluster, struct cluster_local *local)
{
	cluster_remote_dirty(cluster, local->network, false);
	HASH_DEL(cluster->locals, local);
	free(local);
}

/* The first chunk of the network with room for one more. */
static unsigned choose_chunk(const struct cluster *cluster, const char *network)
{
	unsigned counts[VIEW_KEYS / VALUE_ENDPOINTS] = {0}, chunk = 0;
	struct cluster_local *local, *next;

	HASH_ITER(hh, cluster->locals, local, next)
	if (strcmp(local->network, network) == 0 && local->chunk < sizeof(counts) / sizeof(counts[0]))
		counts[local->chunk]++;
	while (chunk + 1 < sizeof(counts) / sizeof(counts[0]) && counts[chunk] >= VALUE_ENDPOINTS)
		chunk++;
	return chunk;
}

/* What this host said of the MAC before it was restarted: the guest has not moved since. 0: nothing. */
static int64_t known_seq(const struct cluster *cluster, const char *network, const uint8_t mac[6])
{
	const struct view_host *self = view_host(&cluster->view, cluster->host);
	const struct view_key *key;

	if (!self)
		return 0;
	TAILQ_FOREACH (key, &self->keys, link)
		for (unsigned i = 0; key->chunk && i < key->chunk->n; i++)
			if (!strcmp(key->chunk->network, network) && !memcmp(key->chunk->ep[i].mac, mac, 6))
				return key->chunk->ep[i].seq;
	return 0;
}

/* A guest may have come before the store was first read: when it came is said by what the store was then. */
static void number(const struct cluster *cluster, struct cluster_local *local)
{
	if (!local->ep.seq)
		local->ep.seq = known_seq(cluster, local->network, local->ep.mac);
	if (!local->ep.seq)
		local->ep.seq = cluster->view.revision;
}

static struct cluster_local *make(struct cluster *cluster, const struct model_port *port)
{
	struct cluster_local *local = calloc(1, sizeof(*local));

	if (!local)
		return NULL;
	snprintf(local->name, sizeof(local->name), "%s", port->name);
	snprintf(local->network, sizeof(local->network), "%s", port->network->name);
	local->chunk = choose_chunk(cluster, local->network);
	local->ep.ips = local->ips;
	HASH_ADD_STR(cluster->locals, name, local);
	cluster->locals_sorted = false;
	if (local->hh.tbl)
		return local;
	free(local);
	return NULL;
}

static void read_port(struct cluster *cluster, const struct model_port *port)
{
	struct cluster_local *local = find(cluster, port->name);

	if (local && strcmp(local->network, port->network->name) != 0) {
		drop(cluster, local);
		local = NULL;
	}
	if (!local || memcmp(local->ep.mac, port->spec.mac, 6) != 0) {
		if (!local)
			local = make(cluster, port);
		if (!local) {
			log_line(LOG_ERR, "cluster: out of memory: port %s is not told to other hosts",
				port->name);
			return;
		}
		local->ep.seq = 0;
	}
	if (local->ep.nips != port->spec.nips || memcmp(local->ep.mac, port->spec.mac, 6) != 0 ||
		memcmp(local->ep.ips, port->spec.ips, port->spec.nips * sizeof(local->ep.ips[0])) != 0)
		cluster_remote_dirty(cluster, local->network, false);
	memcpy(local->ep.mac, port->spec.mac, 6);
	local->vni = port->network->spec.vni;
	local->there = true;
	local->ep.nips = 0;
	for (unsigned i = 0; i < port->spec.nips && i < VALUE_IPS; i++)
		local->ep.ips[local->ep.nips++] = port->spec.ips[i];
}

static struct ip_addr find_address(const struct cluster *cluster, bool six)
{
	struct model_port *port;

	TAILQ_FOREACH (port, &cluster->model->ports, link)
		if (!port->network && !ip_is_none(port->spec.address.address) &&
			ip_is4(port->spec.address.address) != six)
			return port->spec.address.address;
	return (struct ip_addr){.q = {0}};
}

void cluster_local_read(struct cluster *cluster)
{
	struct cluster_local *local, *next;
	struct model_port *port;

	cluster->address = find_address(cluster, false);
	cluster->address6 = find_address(cluster, true);
	HASH_ITER(hh, cluster->locals, local, next)
	local->there = false;
	TAILQ_FOREACH (port, &cluster->model->ports, link)
		if (port->network && port->network->spec.mode == DP_OVERLAY)
			read_port(cluster, port);
	HASH_ITER(hh, cluster->locals, local, next)
	if (!local->there)
		drop(cluster, local);
}

/* By IPv4 where both have it, so that both choose the same. */
struct ip_addr cluster_address_of(const struct cluster *cluster, const struct view_host *host)
{
	const struct ip_addr none = {.q = {0}}, first = host->record.address;
	struct ip_addr four = ip_is4(first) ? first : none,
		       six = ip_is4(first) ? host->record.address6 : first;
	bool has4 = !ip_is_none(cluster->address), has6 = !ip_is_none(cluster->address6);

	if (!has4 && !has6) /* it will have an uplink, or none is needed */
		return first;
	if (has4 && !ip_is_none(four))
		return four;
	return has6 ? six : none;
}

static bool is_of_chunk(const struct cluster_local *local, const struct cluster_local *other)
{
	return local->chunk == other->chunk && strcmp(local->network, other->network) == 0;
}

static int by_chunk(const struct cluster_local *a, const struct cluster_local *b)
{
	int order = strcmp(a->network, b->network);

	return order ? order : (a->chunk > b->chunk) - (a->chunk < b->chunk);
}

/* All guests of a chunk, which follow one another; *next: whoever comes after them. NULL: no memory. */
static struct value_chunk *gather(const struct cluster_local *first, const struct cluster_local **next)
{
	struct value_chunk *chunk = calloc(1, sizeof(*chunk) + VALUE_ENDPOINTS * sizeof(chunk->ep[0]));
	const struct cluster_local *local = first;

	for (; local && is_of_chunk(local, first); local = local->hh.next)
		if (chunk && chunk->n < VALUE_ENDPOINTS)
			chunk->ep[chunk->n++] = local->ep;
	*next = local;
	if (!chunk)
		return NULL;
	snprintf(chunk->network, sizeof(chunk->network), "%s", first->network);
	chunk->vni = first->vni;
	return chunk;
}

struct telling {
	struct cluster *cluster;
	void (*fn)(struct cluster *cluster, const char *key, char *value, unsigned lease);
};

static void tell(void *arg, const char *name, const char *text)
{
	const struct telling *telling = arg;
	char key[VIEW_KEY], *copy = strdup(text);

	snprintf(key, sizeof(key), "hosts/%s/%s", telling->cluster->host, name);
	telling->fn(telling->cluster, key, copy, CLUSTER_LONG);
}

static void walk_chunks(struct cluster *cluster,
	void (*fn)(struct cluster *cluster, const char *key, char *value, unsigned lease))
{
	const struct cluster_local *first, *after;
	struct cluster_local *local, *next;
	char key[VIEW_KEY];

	HASH_ITER(hh, cluster->locals, local, next)
	number(cluster, local);
	if (!cluster->locals_sorted)
		HASH_SORT(cluster->locals, by_chunk);
	cluster->locals_sorted = true;
	for (first = cluster->locals; first; first = after) {
		struct value_chunk *chunk = gather(first, &after);

		if (!chunk)
			continue;
		snprintf(key, sizeof(key), VIEW_NET "%s/%s/%u", first->network, cluster->host, first->chunk);
		fn(cluster, key, value_chunk_text(chunk), CLUSTER_LONG);
		free(chunk);
	}
}

void cluster_local_walk(struct cluster *cluster,
	void (*fn)(struct cluster *cluster, const char *key, char *value, unsigned lease))
{
	struct value_host record = {.address = cluster->address, .address6 = cluster->address6};
	char key[VIEW_KEY];

	if (ip_is_none(record.address)) { /* one that it has alone is its address */
		record.address = record.address6;
		record.address6 = (struct ip_addr){.q = {0}};
	}
	snprintf(record.id, sizeof(record.id), "%s", cluster->id);
	snprintf(record.zone, sizeof(record.zone), "%s", cluster->zone);
	snprintf(key, sizeof(key), "hosts/%s/host", cluster->host);
	fn(cluster, key, value_host_text(&record), CLUSTER_LONG);
	snprintf(key, sizeof(key), "hosts/%s/alive", cluster->host);
	fn(cluster, key, value_alive_text(cluster->id), CLUSTER_ALIVE);
	walk_chunks(cluster, fn);
	cluster_ipam_walk(cluster, fn);
	hosts_own(cluster->hosts, tell, &(struct telling){cluster, fn});
}

void cluster_local_close(struct cluster *cluster)
{
	struct cluster_local *local, *next;

	HASH_ITER(hh, cluster->locals, local, next)
	drop(cluster, local);
}
