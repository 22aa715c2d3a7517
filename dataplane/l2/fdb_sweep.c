/*
 * fdb_sweep.c: fdb entries that have had their time. A timer looks at a quarter of the table at a time; what a
 * deleted port, vtep or network leaves behind is removed at once, before its index can be used again.
 */
#include "dataplane/l2/fdb_sweep.h"

#include "dataplane/core/dp.h"
#include "dataplane/core/private.h"
#include "dataplane/l2/fdb.h"
#include "dataplane/l2/network.h"

struct age {
	struct dp *dp;
	uint16_t now;
};

static bool expired(void *arg, uint64_t key, uint64_t value)
{
	const struct age *age = arg;
	const struct network *net = dp_get_net(age->dp, (uint16_t)(key >> 48));

	if (!net)
		return true;
	if (fdb_flags(value) & FDB_STATIC)
		return false;
	if (fdb_gen(value) != net->flush_gen)
		return true;
	return net->age_s && fdb_age(value, age->now) > net->age_s;
}

void sweep_fdb(struct dp *dp)
{
	uint32_t buckets = fdb_buckets(dp->fdb), part = buckets / SWEEP_PARTS, first = dp->priv->sweep;
	struct age age = {dp, (uint16_t)dp_now_s(dp)};

	fdb_scan(dp->fdb, first, first + part, expired, &age);
	dp->priv->sweep = first + part < buckets ? first + part : 0;
}

void sweep_all(struct dp *dp, bool (*fn)(void *arg, uint64_t key, uint64_t value), void *arg)
{
	fdb_scan(dp->fdb, 0, fdb_buckets(dp->fdb), fn, arg);
}
