/*
 * vtep.c: remote tunnel end points. Control keeps a record of each; workers see an object with the outer
 * header ready made, published anew when the uplink or the next hop's MAC changes.
 */
#include "dataplane/overlay/vtep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/bfd/bfd.h"
#include "dataplane/core/private.h"
#include "dataplane/core/rcu.h"
#include "dataplane/l2/fdb.h"
#include "dataplane/l2/fdb_sweep.h"
#include "dataplane/l2/neigh.h"
#include "dataplane/l2/network.h"
#include "dataplane/overlay/vxlan.h"
#include "dataplane/overlay/watch.h"

int vtep_publish(struct dp *dp, uint16_t id)
{
	const struct vtep_record *record = &dp->priv->vtep[id];
	const struct network *net = dp_get_net(dp, record->net);
	const struct port *uplink = dp_get_port(dp, record->uplink);
	struct vtep *vtep = calloc(1, sizeof(*vtep)), *old;

	if (!vtep)
		return -ENOMEM;
	vtep->id = id;
	vtep->net = record->net;
	vtep->uplink = record->uplink;
	vtep->remote = record->remote;
	vtep->six = !ip_is4(record->remote);
	vtep->vni = net->vni;
	vtep->peer = record->peer;
	if (uplink && record->resolved) {
		vtep->no_csum = uplink->spec.zero_checksum;
		vxlan_prepare(
			vtep, record->mac, uplink->mac, uplink->spec.address.address, uplink->vxlan_port);
	}
	old = atomic_exchange(&dp->vtep[id], vtep);
	if (old)
		rcu_defer(dp, free, old);
	return 0;
}

/* The uplink that reaches `remote`: one on its link, else one of its family with a gateway. */
static struct port *choose_uplink(struct dp *dp, struct ip_addr remote, struct ip_addr *hop)
{
	struct port *routed = NULL;

	for (unsigned i = 0; i < MAX_PORTS; i++) {
		struct port *port = dp_get_port(dp, (uint16_t)i);

		if (!port || !port->is_uplink || ip_is_none(port->spec.address.address) ||
			ip_is4(port->spec.address.address) != ip_is4(remote))
			continue;
		if (ip_inside(remote, port->spec.address)) {
			*hop = remote;
			return port;
		}
		if (!ip_is_none(port->spec.next_hop) && !routed)
			routed = port;
	}
	*hop = routed ? routed->spec.next_hop : (struct ip_addr){0};
	return routed;
}

static uint16_t id_of(struct dp *dp, const struct vtep_record *record)
{
	return (uint16_t)(record - dp->priv->vtep);
}

/* The MAC of a next hop: every record that goes by it takes it over. */
static void on_mac(void *arg, struct ip_addr ip, const uint8_t *mac)
{
	struct dp *dp = arg;

	for (unsigned i = 0; i < MAX_VTEPS; i++) {
		struct vtep_record *record = &dp->priv->vtep[i];
		bool known = mac != NULL;

		if (!record->used || !ip_equal(record->hop, ip) || record->uplink == OUT_NONE)
			continue;
		if (record->resolved == known && (!known || memcmp(record->mac, mac, 6) == 0))
			continue;
		record->resolved = known;
		if (known)
			memcpy(record->mac, mac, 6);
		watch_peer(dp, record);
		vtep_publish(dp, id_of(dp, record));
	}
}

static void unbind(struct dp *dp, struct vtep_record *record)
{
	struct neigh_scope scope = {.net = NET_NONE, .uplink = record->uplink};

	if (record->uplink != OUT_NONE)
		neigh_release(dp, scope, record->hop, on_mac, dp);
	record->uplink = OUT_NONE;
	record->resolved = false;
}

static void bind(struct dp *dp, struct vtep_record *record)
{
	struct ip_addr hop;
	const struct port *uplink = choose_uplink(dp, record->remote, &hop);
	struct neigh_scope scope = {.net = NET_NONE, .uplink = uplink ? uplink->id : OUT_NONE};

	if (!uplink)
		return;
	record->uplink = uplink->id;
	record->hop = hop;
	if (neigh_want(dp, scope, hop, on_mac, dp))
		record->uplink = OUT_NONE;
}

void vteps_rebind(struct dp *dp)
{
	for (unsigned i = 0; i < MAX_VTEPS; i++) {
		struct vtep_record *record = &dp->priv->vtep[i];

		if (!record->used)
			continue;
		unbind(dp, record);
		bind(dp, record);
		watch_peer(dp, record);
		vtep_publish(dp, (uint16_t)i);
	}
	vxlan_publish(dp); /* without memory the old map stays, and what comes by a new uplink is refused */
}

static bool duplicate(struct dp *dp, uint16_t net, struct ip_addr remote)
{
	for (unsigned i = 0; i < MAX_VTEPS; i++)
		if (dp->priv->vtep[i].used && dp->priv->vtep[i].net == net &&
			ip_equal(dp->priv->vtep[i].remote, remote))
			return true;
	return false;
}

static int free_index(struct dp *dp)
{
	for (int i = 0; i < MAX_VTEPS; i++)
		if (!dp->priv->vtep[i].used)
			return i;
	return -ENOSPC;
}

int dp_vtep_add(struct dp *dp, uint16_t net, struct ip_addr remote, uint16_t *id, struct dp_err *err)
{
	int index = free_index(dp);
	struct vtep_record *record;

	if (!dp_get_net(dp, net))
		return dp_fail(err, -ENOENT, "network: no such network");
	if (!ip_is_unicast(remote))
		return dp_fail(err, -EINVAL, "remote: no unicast address");
	if (duplicate(dp, net, remote))
		return dp_fail(err, -EEXIST, "remote: the network has this vtep already");
	if (index < 0)
		return dp_fail(err, -ENOSPC, "there are %d vteps already", MAX_VTEPS);
	record = &dp->priv->vtep[index];
	*record = (struct vtep_record){.net = net, .remote = remote, .uplink = OUT_NONE, .used = true};
	bind(dp, record);
	watch_peer(dp, record);
	if (vtep_publish(dp, (uint16_t)index) || network_refresh(dp, net) || vxlan_publish(dp)) {
		dp_vtep_del(dp, (uint16_t)index);
		return dp_fail(err, -ENOMEM, "out of memory");
	}
	*id = (uint16_t)index;
	return 0;
}

int dp_vtep_watch(struct dp *dp, uint16_t id, uint32_t interval_ms, uint8_t multiplier)
{
	struct vtep_record *record = id < MAX_VTEPS ? &dp->priv->vtep[id] : NULL;

	if (!record || !record->used)
		return -ENOENT;
	record->bfd_ms = interval_ms;
	record->bfd_multiplier = multiplier;
	watch_host(dp, record);
	return interval_ms && record->peer == BFD_NO_PEER ? -ENOMEM : 0;
}

static bool at_vtep(void *arg, uint64_t key, uint64_t value)
{
	return (fdb_flags(value) & FDB_VTEP) && fdb_target(value) == *(const uint16_t *)arg;
}

int dp_vtep_del(struct dp *dp, uint16_t id)
{
	struct vtep_record *record = id < MAX_VTEPS ? &dp->priv->vtep[id] : NULL;
	struct vtep *old;

	if (!record || !record->used)
		return -ENOENT;
	unbind(dp, record);
	record->used = false;
	watch_peer(dp, record);
	old = atomic_exchange(&dp->vtep[id], NULL);
	vxlan_publish(dp);
	network_refresh(dp, record->net);
	rcu_wait(dp);
	sweep_all(dp, at_vtep, &id);
	free(old);
	return 0;
}

void vteps_close(struct dp *dp)
{
	for (unsigned i = 0; i < MAX_VTEPS; i++)
		free(atomic_exchange(&dp->vtep[i], NULL));
}

int dp_vtep_info(struct dp *dp, uint16_t id, struct dp_vtep_info *info)
{
	const struct vtep_record *record = id < MAX_VTEPS ? &dp->priv->vtep[id] : NULL;

	if (!record || !record->used)
		return -ENOENT;
	*info = (struct dp_vtep_info){.uplink = record->uplink, .state = DP_VTEP_UP};
	if (bfd_is_cut(dp, record->peer))
		info->state = DP_VTEP_DOWN;
	else if (record->uplink == OUT_NONE)
		info->state = DP_VTEP_NO_UPLINK;
	else if (!record->resolved)
		info->state = DP_VTEP_RESOLVING;
	memcpy(info->mac, record->mac, 6);
	return 0;
}
