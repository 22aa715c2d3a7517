/* tunnel.c: a tunnel to each host that has guests in a network of ours. One that was made by hand stays. */
#include <stdlib.h>
#include <string.h>

#include "control/base/log.h"
#include "control/base/result.h"
#include "control/cluster/remote.h"
#include "control/methods/list.h"

#define SOURCE "cluster"

static int call(struct cluster *cluster, const char *method, const struct model_network *network,
	struct ip_addr remote, struct api_err *err)
{
	char text[IP_TEXT];
	json_t *params = json_pack("{s:s, s:s}", "network", network->name, "remote", ip_text(remote, text));

	if (strcmp(method, "vtep.add") == 0)
		put(params, "bfd",
			json_pack("{s:i, s:i}", "interval_ms", (int)cluster->bfd_ms, "multiplier",
				cluster->bfd_multiplier));
	return method_do(cluster->model, method, SOURCE, params, err);
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

struct cluster_peer *cluster_tunnel_to(struct cluster *cluster, struct cluster_peer **peers,
	const struct model_network *network, struct ip_addr address)
{
	struct cluster_peer *peer = NULL;

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

/* A host behind a vtep of the operator's may have MACs that nobody tells us of. */
bool cluster_tunnels_tell(
	struct cluster *cluster, const struct model_network *network, struct cluster_peer *peers)
{
	struct model_vtep *vtep;
	struct cluster_peer *peer;

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

void cluster_tunnels_drop(
	struct cluster *cluster, const struct model_network *network, struct cluster_peer *peers)
{
	struct model_vtep *vtep, *next;
	struct api_err err;

	for (vtep = TAILQ_FIRST(&cluster->model->vteps); vtep; vtep = next) {
		struct cluster_peer *peer = NULL;

		next = TAILQ_NEXT(vtep, link);
		if (vtep->network != network || strcmp(vtep->source, SOURCE) != 0)
			continue;
		if (peers)
			HASH_FIND(hh, peers, &vtep->remote, sizeof(vtep->remote), peer);
		if (!peer && call(cluster, "vtep.del", network, vtep->remote, &err) < 0)
			log_line(LOG_ERR, "cluster: a tunnel stays: %s", err.text);
	}
}

void cluster_tunnels_free(struct cluster_peer *peers)
{
	struct cluster_peer *peer = peers, *next;

	HASH_CLEAR(hh, peers);
	for (; peer; peer = next) {
		next = peer->hh.next;
		free(peer);
	}
}
