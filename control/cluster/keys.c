/*
 * keys.c: Consul's keys and sessions are in the same store, beside this prefix and not below it: who reads the hosts need
 * not read the keys as well.
 */
#include <stdio.h>
#include <string.h>

#include "control/cluster/inside.h"
#include "registry/source/consul/consul.h"

#define BESIDE "-kv"

/* By the store alone: BFD tells of the way to a host and not of the host, and who is cut off by one way must not lose its
 * locks to another one that is, too. */
static bool is_lost(void *arg, const char *name, char *key, size_t room)
{
	const struct cluster *cluster = arg;
	const struct view_host *host = view_host(&cluster->view, name);

	if (!cluster->reading || cluster->view.shared.partial || (host && host->alive_key))
		return false;
	snprintf(key, room, "%shosts/%s/alive", cluster->prefix, name);
	return true;
}

int cluster_keys_open(struct cluster *cluster, struct consul *consul)
{
	char prefix[CLUSTER_PREFIX + sizeof(BESIDE)];
	const struct consul_share config = {
		.etcd = cluster->etcd,
		.prefix = prefix,
		.host = cluster->host,
		.lost = is_lost,
		.arg = cluster,
	};

	snprintf(prefix, sizeof(prefix), "%.*s" BESIDE, (int)strlen(cluster->prefix) - 1, cluster->prefix);
	if (consul_share(consul, &config) < 0)
		return -1;
	cluster->consul = consul;
	return 0;
}
