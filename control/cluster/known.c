/*
 * known.c: the addresses of others' guests, which are answered for at the port that asks. One that several have is at the
 * last of them; what this host has itself is here.
 */
#include <stdlib.h>
#include <string.h>

#include "control/base/log.h"
#include "control/cluster/remote.h"

/* Who has an address: the last of several. */
struct holder {
	UT_hash_handle hh; /* by ip */
	struct ip_addr ip;
	const struct remote *remote; /* NULL: this host */
};

static void hold(struct holder **holders, struct ip_addr ip, const struct remote *remote)
{
	struct holder *holder = NULL;

	HASH_FIND(hh, *holders, &ip, sizeof(ip), holder);
	if (holder) {
		if (holder->remote && remote_is_later(remote->seq, remote->mod, holder->remote))
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

void cluster_known_tell(
	struct cluster *cluster, const struct model_network *network, struct remote *table, bool closed)
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
	if (!known || dp_network_known(cluster->model->dp, network->id, known, n, closed) < 0)
		log_line(LOG_ERR, "cluster: out of memory: the addresses of network %s stay as they were",
			network->name);
	free(known);
}
