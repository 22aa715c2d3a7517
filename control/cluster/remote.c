/*
 * remote.c: brings the dataplane to what the view says, one network at a time: a tunnel to each host that has guests there,
 * a static entry of the fdb for each of their MACs, and their addresses, for questions about them. Only networks that
 * have a port here have anything of it.
 *
 * A MAC or an address that two hosts have is at the one that got it last. What this host has itself is here.
 */
#include "control/cluster/remote.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/base/log.h"

struct cluster_net {
	UT_hash_handle hh; /* by name */
	char name[MODEL_NAME];
	bool dirty;
	unsigned unplaced;
	bool doubtful; /* somebody else changed its vteps, and with them the fdb */
	struct remote *remotes;
};

static struct cluster_net *net_of(const struct cluster *cluster, const char *name)
{
	struct cluster_net *net = NULL;

	HASH_FIND_STR(cluster->nets, name, net);
	return net;
}

static struct cluster_net *net_make(struct cluster *cluster, const char *name)
{
	struct cluster_net *net = calloc(1, sizeof(*net));

	if (!net)
		return NULL;
	snprintf(net->name, sizeof(net->name), "%s", name);
	net->dirty = true;
	HASH_ADD_STR(cluster->nets, name, net);
	if (net->hh.tbl)
		return net;
	free(net);
	return NULL;
}

static void drop_remotes(struct remote **table)
{
	struct remote *remote = *table, *next;

	HASH_CLEAR(hh, *table);
	for (; remote; remote = next) {
		next = remote->hh.next;
		free(remote);
	}
}

static void want(struct remote **wanted, struct ip_addr host, const struct view_key *key,
	const struct value_endpoint *ep)
{
	int64_t seq = ep->seq < key->mod ? ep->seq : key->mod;
	struct remote *remote = NULL;

	HASH_FIND(hh, *wanted, ep->mac, sizeof(ep->mac), remote);
	if (remote && !remote_is_later(seq, key->mod, remote))
		return;
	if (!remote) {
		remote = calloc(1, sizeof(*remote));
		if (!remote)
			return;
		memcpy(remote->mac, ep->mac, sizeof(remote->mac));
		HASH_ADD(hh, *wanted, mac, sizeof(remote->mac), remote);
		if (!remote->hh.tbl) {
			free(remote);
			return;
		}
	}
	remote->host = host;
	remote->seq = seq;
	remote->mod = key->mod;
	remote->ep = ep;
}

/* Two hosts that mean different networks by the same name or VNI exchange nothing there. */
static bool is_same_network(const struct view_key *key, const struct model_network *network)
{
	if (key->chunk->vni == network->spec.vni)
		return true;
	log_subject(LOG_WARNING, network->name,
		"cluster: network %s has VNI %u on host %s and %u here: they are not joined", network->name,
		key->chunk->vni, key->host->name, network->spec.vni);
	return false;
}

static void want_chunk(struct cluster *cluster, struct remote **wanted, const struct view_key *key,
	const struct model_network *network)
{
	const struct view_host *host = key->host;
	struct ip_addr address = cluster_address_of(cluster, host);

	if (!host->known || ip_is_none(address) || !strcmp(host->name, cluster->host) ||
		!is_same_network(key, network))
		return;
	for (unsigned i = 0; i < key->chunk->n; i++)
		want(wanted, address, key, &key->chunk->ep[i]);
}

/* Guests of others that are here, too, or that the operator put elsewhere. */
static void leave_out(struct cluster *cluster, struct remote **wanted, const struct model_network *network)
{
	struct model_port *port;
	struct model_fdb *fdb;
	struct remote *remote;

	TAILQ_FOREACH (port, &cluster->model->ports, link) {
		remote = NULL;
		if (port->network == network)
			HASH_FIND(hh, *wanted, port->spec.mac, 6, remote);
		if (remote) {
			remote->elsewhere = true;
			cluster->unplaced++;
		}
	}
	TAILQ_FOREACH (fdb, &cluster->model->fdbs, link) {
		remote = NULL;
		if (fdb->network == network)
			HASH_FIND(hh, *wanted, fdb->mac, 6, remote);
		if (remote) {
			remote->elsewhere = true;
			cluster->unplaced++;
		}
	}
}

static void place(struct cluster *cluster, const struct model_network *network, struct remote *remote,
	const struct model_vtep *vtep)
{
	struct dp_fdb_entry entry = {.net = network->id,
		.port = UINT16_MAX,
		.vtep = vtep ? vtep->id : UINT16_MAX,
		.is_static = true};

	memcpy(entry.mac, remote->mac, sizeof(entry.mac));
	remote->placed = vtep && dp_fdb_add(cluster->model->dp, &entry) == 0;
	cluster->unplaced += !remote->placed;
}

/* From what is there to what is wanted. */
static void move_fdb(struct cluster *cluster, struct cluster_net *net, const struct model_network *network,
	struct remote **wanted, struct cluster_peer **peers)
{
	struct remote *remote, *next, *fresh;

	HASH_ITER(hh, net->remotes, remote, next)
	{
		fresh = NULL;
		HASH_FIND(hh, *wanted, remote->mac, sizeof(remote->mac), fresh);
		if (fresh && !fresh->elsewhere && remote->placed && !net->doubtful &&
			ip_equal(fresh->host, remote->host))
			fresh->placed = true;
		else if (remote->placed)
			dp_fdb_del(cluster->model->dp, network->id, remote->mac);
	}
	HASH_ITER(hh, *wanted, remote, next)
	{
		const struct cluster_peer *peer = cluster_tunnel_to(cluster, peers, network, remote->host);

		if (!remote->placed && !remote->elsewhere)
			place(cluster, network, remote, peer ? peer->vtep : NULL);
	}
	drop_remotes(&net->remotes);
	net->remotes = *wanted;
	net->doubtful = false;
}

static void apply_network(
	struct cluster *cluster, struct cluster_net *net, const struct model_network *network)
{
	struct remote *wanted = NULL;
	struct cluster_peer *peers = NULL;
	const struct view_part *part = view_part(&cluster->view, network->name);
	const struct view_key *key;

	cluster->unplaced = 0;
	TAILQ_FOREACH (key, &part->keys, of_part)
		if (key->chunk)
			want_chunk(cluster, &wanted, key, network);
	leave_out(cluster, &wanted, network);
	move_fdb(cluster, net, network, &wanted, &peers);
	cluster_known_tell(cluster, network, net->remotes, cluster_tunnels_tell(cluster, network, peers));
	cluster_tunnels_drop(cluster, network, peers);
	cluster_tunnels_free(peers);
	net->dirty = false;
	net->unplaced = cluster->unplaced;
}

/* Without its ports nobody is there who would send or receive. */
static void leave(struct cluster *cluster, struct cluster_net *net)
{
	const struct model_network *network = model_network(cluster->model, net->name);
	struct remote *remote, *next;

	if (network) {
		HASH_ITER(hh, net->remotes, remote, next)
		if (remote->placed)
			dp_fdb_del(cluster->model->dp, network->id, remote->mac);
		cluster_tunnels_drop(cluster, network, NULL);
		dp_network_known(cluster->model->dp, network->id, NULL, 0, false);
	}
	drop_remotes(&net->remotes);
	HASH_DEL(cluster->nets, net);
	free(net);
}

static bool is_ours(const struct model_network *network)
{
	return network && network->spec.mode == DP_OVERLAY && network->nports > 0;
}

void cluster_remote_apply(struct cluster *cluster)
{
	struct model_network *network;
	struct cluster_net *net, *next;

	cluster->applying = true;
	HASH_ITER(hh, cluster->nets, net, next)
	if (!is_ours(model_network(cluster->model, net->name)))
		leave(cluster, net);
	TAILQ_FOREACH (network, &cluster->model->networks, link) {
		if (!is_ours(network))
			continue;
		net = net_of(cluster, network->name);
		if (!net)
			net = net_make(cluster, network->name);
		if (net && net->dirty && cluster_read_is_whole(cluster, network->name))
			apply_network(cluster, net, network);
	}
	cluster->unplaced = 0;
	HASH_ITER(hh, cluster->nets, net, next)
	cluster->unplaced += net->unplaced;
	cluster->applying = false;
}

void cluster_remote_leave(struct cluster *cluster, const char *network)
{
	struct cluster_net *net = net_of(cluster, network);

	if (!net || is_ours(model_network(cluster->model, network)))
		return;
	cluster->applying = true;
	leave(cluster, net);
	cluster->applying = false;
}

void cluster_remote_key(struct cluster *cluster, const struct view_key *key)
{
	const struct view_key *other;

	if (key->chunk)
		cluster_remote_dirty(cluster, key->chunk->network, false);
	else if (key == key->host->record_key || key->ended) /* maybe its address is another one */
		TAILQ_FOREACH (other, &key->host->keys, link)
			if (other->chunk)
				cluster_remote_dirty(cluster, other->chunk->network, false);
}

void cluster_remote_dirty(struct cluster *cluster, const char *network, bool doubtful)
{
	struct cluster_net *net, *next;

	HASH_ITER(hh, cluster->nets, net, next)
	if (!network || !strcmp(net->name, network)) {
		net->dirty = true;
		net->doubtful = net->doubtful || doubtful;
	}
}

/* The dataplane ends with the model, soon. */
void cluster_remote_close(struct cluster *cluster)
{
	struct cluster_net *net = cluster->nets, *next;

	HASH_CLEAR(hh, cluster->nets);
	for (; net; net = next) {
		next = net->hh.next;
		drop_remotes(&net->remotes);
		free(net);
	}
}
