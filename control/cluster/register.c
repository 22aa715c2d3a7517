/*
 * register.c: the registry's part of what hosts tell each other: between the view and registry/source/hosts.
 */
#include <stdlib.h>
#include <string.h>

#include "control/cluster/inside.h"
#include "control/model/peer.h"
#include "registry/source/hosts/hosts.h"

/* What follows "hosts/NAME/". */
static const char *short_key(const struct view_key *key)
{
	return strchr(key->key + strlen("hosts/"), '/') + 1;
}

static bool is_own(const struct cluster *cluster, const struct view_host *host)
{
	return strcmp(host->name, cluster->host) == 0;
}

static bool is_anothers(const struct cluster *cluster, const struct view_key *key)
{
	return cluster->hosts && key->registered && !is_own(cluster, key->host);
}

static void put_key(struct cluster *cluster, struct view_key *key)
{
	const char *why = NULL;

	hosts_put(cluster->hosts, key->host->name, short_key(key), key->value, key->len, &why);
	free(key->reason);
	key->reason = why ? strdup(why) : NULL;
	key->why = key->reason;
}

void cluster_register_key(struct cluster *cluster, struct view_key *key)
{
	if (!is_anothers(cluster, key))
		return;
	if (key->ended)
		hosts_drop(cluster->hosts, key->host->name, short_key(key));
	else
		put_key(cluster, key);
}

bool cluster_register_peer(const struct cluster *cluster, const struct view_host *host, struct dp_peer *peer)
{
	struct ip_addr address = cluster_address_of(cluster, host);

	return host->known && !ip_is_none(address) && dp_peer_info(cluster->model->dp, address, peer) == 0;
}

/* BFD is the quicker one, and holds by itself when many are lost together. */
bool cluster_register_is_lost(const struct cluster *cluster, const struct view_host *host)
{
	struct dp_peer peer;

	return (!host->alive_key && !host->believed) ||
	       (cluster_register_peer(cluster, host, &peer) && peer.cut);
}

/* Of so many that are lost at once, those that went just now are believed to be there. Their leases end one by one, and the
 * first of them may have counted as lost for a moment; who was lost long before stays lost. */
static void believe(struct cluster *cluster, struct view_host *host, bool panic)
{
	int64_t window_ms = 2 * cluster->lease[CLUSTER_ALIVE].ttl_s * 1000;

	if (host->alive_key || !panic)
		host->believed = false;
	else if (cluster_now_ms() - host->since_ms < window_ms)
		host->believed = true;
}

void cluster_register_states(struct cluster *cluster)
{
	struct view_host *host, *next;
	unsigned lost, all = view_count(&cluster->view, &lost);
	bool panic = view_panics(lost, all);

	HASH_ITER(hh, cluster->view.hosts, host, next)
	{
		believe(cluster, host, panic);
		if (!is_own(cluster, host))
			hosts_state(cluster->hosts, host->name, cluster_register_is_lost(cluster, host),
				host->record.address);
	}
}

static void on_peer(void *arg, const struct dp_peer *peer)
{
	struct cluster *cluster = arg;

	cluster_register_states(cluster);
	hosts_apply(cluster->hosts);
}

static void on_told(void *arg)
{
	cluster_touch(arg, true);
}

/* One that has ended and is held counts as before: the view says when it does not any more. */
static void put_again(void *arg, const char *name)
{
	struct cluster *cluster = arg;
	const struct view_host *host = view_host(&cluster->view, name);
	struct view_key *key;

	if (host)
		TAILQ_FOREACH (key, &host->keys, link)
			if (is_anothers(cluster, key))
				put_key(cluster, key);
}

int cluster_register_open(struct cluster *cluster)
{
	const struct hosts_config config = {
		.base = cluster->base,
		.reg = model_registry(cluster->model),
		.changed = on_told,
		.again = put_again,
		.arg = cluster,
	};
	struct view_key *key, *next;

	if (hosts_open(&config, &cluster->hosts) < 0)
		return -1;
	HASH_ITER(hh, cluster->view.keys, key, next)
	if (key->host)
		cluster_register_key(cluster, key);
	cluster_register_states(cluster);
	hosts_apply(cluster->hosts);
	peer_listen(cluster->model, on_peer, cluster);
	return 0;
}

void cluster_register_close(struct cluster *cluster)
{
	peer_listen(cluster->model, NULL, NULL);
	hosts_close(cluster->hosts);
}
