/*
 * vtep.c: remote tunnel end points. Control keeps a record of each; workers see an object with the outer
 * header ready made, published anew when the uplink or the next hop's MAC changes.
 */
#include "dataplane/overlay/vtep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/core/private.h"
#include "dataplane/core/rcu.h"
#include "dataplane/l2/fdb.h"
#include "dataplane/l2/fdb_sweep.h"
#include "dataplane/l2/neigh.h"
#include "dataplane/l2/network.h"
#include "dataplane/overlay/vxlan.h"

/* Publishes vtep `id` as its record says. -ENOMEM: the old one stays. */
static int vtep_publish(struct dp *dp, uint16_t id)
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
	vtep->vni = net->vni;
	if (uplink && record->resolved)
		vxlan_prepare(vtep, record->mac, uplink->mac, uplink->address, uplink->vxlan_port);
	old = atomic_exchange(&dp->vtep[id], vtep);
	if (old)
		rcu_defer(dp, free, old);
	return 0;
}

static bool on_link(const struct port *uplink, uint32_t ip)
{

	return ip_inside(ip_from4(ip), uplink->spec.address);
}

/* The uplink that reaches `remote`: one on its link, else one with a gateway. */
static struct port *choose_uplink(struct dp *dp, uint32_t remote, uint32_t *hop)
{
	struct port *routed = NULL;

	for (unsigned i = 0; i < MAX_PORTS; i++) {
		struct port *port = dp_get_port(dp, (uint16_t)i);

		if (!port || !port->is_uplink || !port->address)
			continue;
		if (on_link(port, remote)) {
			*hop = remote;
			return port;
		}
		if (ip_is4(port->spec.next_hop) && !routed)
			routed = port;
	}
	*hop = routed ? ip_to4(routed->spec.next_hop) : 0;
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

		if (!record->used || record->hop != ip_to4(ip) || record->uplink == OUT_NONE)
			continue;
		if (record->resolved == known && (!known || memcmp(record->mac, mac, 6) == 0))
			continue;
		record->resolved = known;
		if (known)
			memcpy(record->mac, mac, 6);
		vtep_publish(dp, id_of(dp, record));
	}
}

static void unbind(struct dp *dp, struct vtep_record *record)
{
	struct neigh_scope scope = {.net = NET_NONE, .uplink = record->uplink};

	if (record->uplink != OUT_NONE)
		neigh_release(dp, scope, ip_from4(record->hop), on_mac, dp);
	record->uplink = OUT_NONE;
	record->resolved = false;
}

static void bind(struct dp *dp, struct vtep_record *record)
{
	uint32_t hop;
	const struct port *uplink = choose_uplink(dp, record->remote, &hop);
	struct neigh_scope scope = {.net = NET_NONE, .uplink = uplink ? uplink->id : OUT_NONE};

	if (!uplink)
		return;
	record->uplink = uplink->id;
	record->hop = hop;
	if (neigh_want(dp, scope, ip_from4(hop), on_mac, dp))
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
		vtep_publish(dp, (uint16_t)i);
	}
	vxlan_publish(dp); /* without memory the old map stays, and what comes by a new uplink is refused */
}

static bool duplicate(struct dp *dp, uint16_t net, uint32_t remote)
{
	for (unsigned i = 0; i < MAX_VTEPS; i++)
		if (dp->priv->vtep[i].used && dp->priv->vtep[i].net == net &&
			dp->priv->vtep[i].remote == remote)
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

int dp_vtep_add(struct dp *dp, uint16_t net, struct ip_addr address, uint16_t *id, struct dp_err *err)
{
	uint32_t remote = ip_to4(address);
	int index = free_index(dp);
	struct vtep_record *record;

	if (!dp_get_net(dp, net))
		return dp_fail(err, -ENOENT, "network: no such network");
	if (!remote)
		return dp_fail(err, -ENOTSUP, "remote: only IPv4 is tunnelled over yet");
	if (duplicate(dp, net, remote))
		return dp_fail(err, -EEXIST, "remote: the network has this vtep already");
	if (index < 0)
		return dp_fail(err, -ENOSPC, "there are %d vteps already", MAX_VTEPS);
	record = &dp->priv->vtep[index];
	*record = (struct vtep_record){.net = net, .remote = remote, .uplink = OUT_NONE, .used = true};
	bind(dp, record);
	if (vtep_publish(dp, (uint16_t)index) || network_refresh(dp, net) || vxlan_publish(dp)) {
		dp_vtep_del(dp, (uint16_t)index);
		return dp_fail(err, -ENOMEM, "out of memory");
	}
	*id = (uint16_t)index;
	return 0;
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
	if (record->uplink == OUT_NONE)
		info->state = DP_VTEP_NO_UPLINK;
	else if (!record->resolved)
		info->state = DP_VTEP_RESOLVING;
	memcpy(info->mac, record->mac, 6);
	return 0;
}
