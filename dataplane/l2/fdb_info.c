/* fdb_info.c: the fdb as control sees it. */
#include <errno.h>
#include <string.h>

#include "dataplane/core/dp.h"
#include "dataplane/core/private.h"
#include "dataplane/frame/parse.h"
#include "dataplane/l2/fdb.h"
#include "dataplane/l2/fdb_sweep.h"
#include "dataplane/l2/network.h"

enum { PART_BUCKETS = 512 }; /* of a walk in parts: at most four times as many entries */

static bool target_in_network(struct dp *dp, const struct dp_fdb_entry *entry)
{
	const struct port *port = dp_get_port(dp, entry->port);

	if (entry->vtep != OUT_NONE)
		return entry->vtep < MAX_VTEPS && dp->priv->vtep[entry->vtep].used &&
		       dp->priv->vtep[entry->vtep].net == entry->net;
	return port && port->net == entry->net;
}

int dp_fdb_add(struct dp *dp, const struct dp_fdb_entry *entry)
{
	bool vtep = entry->vtep != OUT_NONE;

	if (!dp_get_net(dp, entry->net) || mac_multicast(entry->mac) || !target_in_network(dp, entry))
		return -EINVAL;
	return fdb_add_static(dp->fdb, fdb_key(entry->net, entry->mac), vtep ? entry->vtep : entry->port,
		vtep ? FDB_VTEP : 0);
}

int dp_fdb_del(struct dp *dp, uint16_t net, const uint8_t mac[6])
{
	return fdb_remove(dp->fdb, fdb_key(net, mac));
}

struct walk {
	struct dp *dp;
	bool (*fn)(void *arg, const struct dp_fdb_entry *entry);
	void *arg;
	bool stop;
};

static bool visit(void *arg, uint64_t key, uint64_t value)
{
	struct walk *walk = arg;
	const struct network *net = dp_get_net(walk->dp, (uint16_t)(key >> 48));
	bool vtep = fdb_flags(value) & FDB_VTEP, is_static = fdb_flags(value) & FDB_STATIC;
	struct dp_fdb_entry entry = {
		.net = (uint16_t)(key >> 48),
		.port = vtep ? OUT_NONE : fdb_target(value),
		.vtep = vtep ? fdb_target(value) : OUT_NONE,
		.is_static = is_static,
		.age_s = is_static ? 0 : fdb_age(value, (uint16_t)dp_now_s(walk->dp)),
	};

	if (walk->stop || !net || !fdb_alive(value, net->flush_gen))
		return false;
	memcpy(entry.mac, &key, 6);
	walk->stop = !walk->fn(walk->arg, &entry);
	return false;
}

bool dp_fdb_walk_part(
	struct dp *dp, uint64_t *at, bool (*fn)(void *arg, const struct dp_fdb_entry *entry), void *arg)
{
	struct walk walk = {dp, fn, arg, false};
	uint32_t buckets = fdb_buckets(dp->fdb), first = *at < buckets ? (uint32_t)*at : buckets;
	uint32_t end = buckets - first > PART_BUCKETS ? first + PART_BUCKETS : buckets;

	fdb_scan(dp->fdb, first, end, visit, &walk);
	*at = end;
	return end < buckets && !walk.stop;
}

void dp_fdb_walk(struct dp *dp, bool (*fn)(void *arg, const struct dp_fdb_entry *entry), void *arg)
{
	struct walk walk = {dp, fn, arg, false};

	sweep_all(dp, visit, &walk);
}
