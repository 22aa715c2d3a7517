/*
 * remote.c: brings the dataplane to what the view says, one network at a time: a tunnel to each host that has guests there,
 * a static entry of the fdb for each of their MACs, and their addresses, for questions about them. Only networks that
 * have a port here have anything of it.
 *
 * A MAC or an address that two hosts have is at the one that got it last. What this host has itself is here.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/base/log.h"
#include "control/base/result.h"
#include "control/cluster/inside.h"
#include "control/methods/list.h"

#define SOURCE "cluster"

/* A guest of another host. */
struct remote {
	UT_hash_handle hh; /* by MAC */
	uint8_t mac[6];
	struct ip_addr host; /* its address in the underlay */
	int64_t seq, mod;
	bool placed;			 /* the fdb has it */
	bool elsewhere;			 /* here, or where the operator put it */
	const struct value_endpoint *ep; /* of the view; only while a network is being applied */
};

struct cluster_net {
	UT_hash_handle hh; /* by name */
	char name[MODEL_NAME];
	bool dirty;
	unsigned unplaced;
	bool doubtful; /* somebody else changed its vteps, and with them the fdb */
	struct remote *remotes;
};

/* Who has an address: the last of several. */
struct holder {
	UT_hash_handle hh; /* by ip */
	struct ip_addr ip;
	const struct remote *remote; /* NULL: this host */
};

/* A host that has guests in the network. */
struct peer {
	UT_hash_handle hh; /* by address */
	struct ip_addr address;
	const struct model_vtep *vtep;
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

/* Is `a` at a later place than `b`? A host may say any number, so it is no later than when it said so. */
static bool is_later(int64_t seq, int64_t mod, const struct remote *b)
{
	return seq != b->seq ? seq > b->seq : mod > b->mod;
}

static void want(struct cluster *cluster, struct remote **wanted, const struct view_host *host,
	const struct view_key *key, const struct value_endpoint *ep)
{
	int64_t seq = ep->seq < key->mod ? ep->seq : key->mod;
	struct remote *remote = NULL;

	HASH_FIND(hh, *wanted, ep->mac, sizeof(ep->mac), remote);
	if (remote && !is_later(seq, key->mod, remote))
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
	remote->host = host->record.address;
	remote->seq = seq;
	remote->mod = key->mod;
	remote->ep = ep;
}

/* Two hosts that mean different networks by the same name or VNI exchange nothing there. */
static bool is_same_network(const struct view_key *key, const struct model_network *network)
{
	if (strcmp(key->chunk->network, network->name) != 0)
		return false;
	if (key->chunk->vni == network->spec.vni)
		return true;
	log_subject(LOG_WARNING, network->name,
		"cluster: network %s has VNI %u on host %s and %u here: they are not joined", network->name,
		key->chunk->vni, key->host->name, network->spec.vni);
	return false;
}

static void want_host(struct cluster *cluster, struct remote **wanted, const struct view_host *host,
	const struct model_network *network)
{
	const struct view_key *key;

	if (!host->known || ip_is_none(host->record.address) || !strcmp(host->name, cluster->host))
		return;
	TAILQ_FOREACH (key, &host->keys, link)
		if (key->chunk && is_same_network(key, network))
			for (unsigned i = 0; i < key->chunk->n; i++)
				want(cluster, wanted, host, key, &key->chunk->ep[i]);
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

static int call(struct cluster *cluster, const char *method, const struct model_network *network,
	struct ip_addr remote, struct api_err *err)
{
	char text[IP_TEXT];
	json_t *params = json_pack("{s:s, s:s}", "network", network->name, "remote", ip_text(remote, text)),
	       *result = NULL;
	int rc;

	if (strcmp(method, "vtep.add") == 0)
		put(params, "bfd",
			json_pack("{s:i, s:i}", "interval_ms", (int)cluster->bfd_ms, "multiplier",
				cluster->bfd_multiplier));
	rc = method_call(cluster->model, method_find(method), SOURCE, params, &result, err);

	json_decref(params);
	json_decref(result);
	return rc;
}

/* The tunnel to a host, which may have been made by hand. */
static const struct model_vtep *vtep_to(
	struct cluster *cluster, const struct model_network *network, struct ip_addr address)
{
	const struct model_vtep *vtep = model_vtep(cluster->model, network, address);
	char text[IP_TEXT];
	struct api_err err;

	if (vtep)
		return vtep;
	if (call(cluster, "vtep.add", network, address, &err) == 0)
		return model_vtep(cluster->model, network, address);
	log_subject(LOG_WARNING, network->name, "cluster: network %s: no tunnel to %s: %s", network->name,
		ip_text(address, text), err.text);
	return NULL;
}

static struct peer *peer_of(struct cluster *cluster, struct peer **peers, const struct model_network *network,
	struct ip_addr address)
{
	struct peer *peer = NULL;

	HASH_FIND(hh, *peers, &address, sizeof(address), peer);
	if (peer)
		return peer;
	peer = calloc(1, sizeof(*peer));
	if (!peer)
		return NULL;
	peer->address = address;
	HASH_ADD(hh, *peers, address, sizeof(peer->address), peer);
	if (!peer->hh.tbl) {
		free(peer);
		return NULL;
	}
	peer->vtep = vtep_to(cluster, network, address);
	return peer;
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
	struct remote **wanted, struct peer **peers)
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
		const struct peer *peer = peer_of(cluster, peers, network, remote->host);

		if (!remote->placed && !remote->elsewhere)
			place(cluster, network, remote, peer ? peer->vtep : NULL);
	}
	drop_remotes(&net->remotes);
	net->remotes = *wanted;
	net->doubtful = false;
}

static void hold(struct holder **holders, struct ip_addr ip, const struct remote *remote)
{
	struct holder *holder = NULL;

	HASH_FIND(hh, *holders, &ip, sizeof(ip), holder);
	if (holder) {
		if (holder->remote && is_later(remote->seq, remote->mod, holder->remote))
			holder->remote = remote;
		return;
	}
	holder = calloc(1, sizeof(*holder));
	if (!holder)
		return;
	holder->ip = ip;
	holder->remote = remote;
	HASH_ADD(hh, *holders, ip, sizeof(holder->ip), holder);
	if (!holder->hh.tbl)
		free(holder);
}

static void hold_all(struct cluster *cluster, struct holder **holders, const struct model_network *network,
	struct remote *table)
{
	struct remote *remote, *next;
	struct model_port *port;

	TAILQ_FOREACH (port, &cluster->model->ports, link)
		for (unsigned i = 0; port->network == network && i < port->spec.nips; i++)
			hold(holders, port->spec.ips[i], NULL);
	HASH_ITER(hh, table, remote, next)
	for (unsigned i = 0; remote->placed && i < remote->ep->nips; i++)
		hold(holders, remote->ep->ips[i], remote);
}

/* A host behind a vtep of the operator's may have MACs that nobody tells us of. */
static bool is_closed(struct cluster *cluster, const struct model_network *network, struct peer *peers)
{
	struct model_vtep *vtep;
	struct peer *peer;

	if (cluster->floods)
		return false;
	TAILQ_FOREACH (vtep, &cluster->model->vteps, link) {
		if (vtep->network != network || !strcmp(vtep->source, SOURCE))
			continue;
		HASH_FIND(hh, peers, &vtep->remote, sizeof(vtep->remote), peer);
		if (!peer)
			return false;
	}
	return true;
}

static void tell_addresses(struct cluster *cluster, const struct model_network *network, struct remote *table,
	struct peer *peers)
{
	struct holder *holders = NULL, *holder, *next;
	struct dp_known *known;
	size_t n = 0;

	hold_all(cluster, &holders, network, table);
	known = calloc(HASH_COUNT(holders) + 1, sizeof(*known));
	holder = holders;
	HASH_CLEAR(hh, holders);
	for (; holder; holder = next) {
		next = holder->hh.next;
		if (known && holder->remote) {
			known[n].ip = holder->ip;
			memcpy(known[n++].mac, holder->remote->mac, sizeof(known->mac));
		}
		free(holder);
	}
	if (!known || dp_network_known(cluster->model->dp, network->id, known, n,
			      is_closed(cluster, network, peers)) < 0)
		log_line(LOG_ERR, "cluster: out of memory: the addresses of network %s stay as they were",
			network->name);
	free(known);
}

/* Tunnels of ours to hosts that have nobody there any more. */
static void drop_vteps(struct cluster *cluster, const struct model_network *network, struct peer *peers)
{
	struct model_vtep *vtep, *next;
	struct api_err err;

	for (vtep = TAILQ_FIRST(&cluster->model->vteps); vtep; vtep = next) {
		struct peer *peer = NULL;

		next = TAILQ_NEXT(vtep, link);
		if (vtep->network != network || strcmp(vtep->source, SOURCE) != 0)
			continue;
		if (peers)
			HASH_FIND(hh, peers, &vtep->remote, sizeof(vtep->remote), peer);
		if (!peer && call(cluster, "vtep.del", network, vtep->remote, &err) < 0)
			log_line(LOG_ERR, "cluster: a tunnel stays: %s", err.text);
	}
}

static void apply_network(
	struct cluster *cluster, struct cluster_net *net, const struct model_network *network)
{
	struct remote *wanted = NULL;
	struct peer *peers = NULL, *peer, *next_peer;
	struct view_host *host, *next;

	cluster->unplaced = 0;
	HASH_ITER(hh, cluster->view.hosts, host, next)
	want_host(cluster, &wanted, host, network);
	leave_out(cluster, &wanted, network);
	move_fdb(cluster, net, network, &wanted, &peers);
	tell_addresses(cluster, network, net->remotes, peers);
	drop_vteps(cluster, network, peers);
	peer = peers;
	HASH_CLEAR(hh, peers);
	for (; peer; peer = next_peer) {
		next_peer = peer->hh.next;
		free(peer);
	}
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
		drop_vteps(cluster, network, NULL);
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
		if (net && net->dirty)
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
