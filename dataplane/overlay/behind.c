/* behind.c: which of a network's addresses are behind which vtep, as far as control knows their MACs. Control thread. */
#include <errno.h>

#include "dataplane/core/private.h"
#include "dataplane/l2/fdb.h"
#include "dataplane/l2/neigh.h"
#include "dataplane/l2/network.h"

static bool vtep_of_mac(struct dp *dp, const struct network *net, const uint8_t mac[6], uint16_t *vtep)
{
	uint64_t value = fdb_lookup(dp->fdb, fdb_key(net->id, mac));

	*vtep = fdb_target(value);
	return fdb_alive(value, net->flush_gen) && (fdb_flags(value) & FDB_VTEP);
}

int dp_vtep_of(struct dp *dp, uint16_t net, struct ip_addr ip, uint16_t *vtep)
{
	struct neigh_scope scope = {.net = net, .uplink = OUT_NONE};
	const struct network *network = dp_get_net(dp, net);
	uint8_t mac[6];

	if (!network || !neigh_mac(dp, scope, ip, mac) || !vtep_of_mac(dp, network, mac, vtep))
		return -ENOENT;
	return 0;
}

struct walk {
	struct dp *dp;
	const struct network *net;
	uint16_t vtep;
	void (*fn)(void *arg, struct ip_addr ip);
	void *arg;
};

static void one(void *arg, struct ip_addr ip, const uint8_t *mac)
{
	const struct walk *walk = arg;
	uint16_t vtep;

	if (vtep_of_mac(walk->dp, walk->net, mac, &vtep) && vtep == walk->vtep)
		walk->fn(walk->arg, ip);
}

void dp_vtep_walk(struct dp *dp, uint16_t vtep, void (*fn)(void *arg, struct ip_addr ip), void *arg)
{
	const struct vtep_record *record = vtep < MAX_VTEPS ? &dp->priv->vtep[vtep] : NULL;
	struct walk walk = {.dp = dp, .vtep = vtep, .fn = fn, .arg = arg};

	if (!record || !record->used)
		return;
	walk.net = dp_get_net(dp, record->net);
	if (walk.net)
		neigh_walk(dp, record->net, one, &walk);
}
