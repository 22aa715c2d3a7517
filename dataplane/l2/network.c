#include "dataplane/l2/network.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/core/private.h"
#include "dataplane/core/rcu.h"
#include "dataplane/l2/fdb.h"
#include "dataplane/l2/fdb_sweep.h"
#include "dataplane/l2/owner.h"

const uint8_t dp_router_mac[6] = {0x02, 0x53, 0x4c, 0x00, 0x00, 0x01};

/* The ports that are in network `id` now, into port[] when not NULL; the gateway's id into *gateway. */
static uint16_t list_ports(struct dp *dp, uint16_t id, uint16_t *port, uint16_t *gateway)
{
	uint16_t n = 0;

	*gateway = OUT_NONE;
	for (unsigned i = 0; i < MAX_PORTS; i++) {
		const struct port *p = dp_get_port(dp, i);

		if (!p || p->net != id)
			continue;
		if (p->is_gateway)
			*gateway = p->id;
		if (port)
			port[n] = p->id;
		n++;
	}
	return n;
}

static uint16_t list_vteps(struct dp *dp, uint16_t id, uint16_t *vtep)
{
	uint16_t n = 0;

	for (unsigned i = 0; i < MAX_VTEPS; i++) {
		const struct vtep_record *v = &dp->priv->vtep[i];

		if (!v->used || v->net != id)
			continue;
		if (vtep)
			vtep[n] = (uint16_t)i;
		n++;
	}
	return n;
}

void network_free(void *arg)
{
	struct network *net = arg;

	if (!net)
		return;
	free(net->owners);
	free(net);
}

/* A network like `like` with the members that it has now, not yet published. */
static struct network *build(struct dp *dp, const struct network *like)
{
	uint16_t gateway, nport = list_ports(dp, like->id, NULL, &gateway),
			  nvtep = list_vteps(dp, like->id, NULL);
	struct network *net = calloc(1, sizeof(*net) + (nport + nvtep) * sizeof(like->port[0]));

	if (!net)
		return NULL;
	*net = *like;
	net->nport = nport;
	net->nvtep = nvtep;
	net->gateway_port = gateway;
	list_ports(dp, like->id, net->port, &gateway);
	net->vtep = net->port + nport;
	list_vteps(dp, like->id, net->port + nport);
	net->owners = owner_map_new(dp, like->id);
	if (!net->owners) {
		free(net);
		return NULL;
	}
	return net;
}

static int publish(struct dp *dp, const struct network *like)
{
	struct network *net = build(dp, like), *old;

	if (!net)
		return -ENOMEM;
	old = atomic_exchange(&dp->net[net->id], net);
	if (old)
		rcu_defer(dp, network_free, old);
	return 0;
}

int network_refresh(struct dp *dp, uint16_t id)
{
	const struct network *net = dp_get_net(dp, id);

	return net ? publish(dp, net) : 0;
}

/* How many networks share the MAC table, and how much one of them may have. */
static void share_table(struct dp *dp)
{
	unsigned n = 0;

	for (unsigned i = 0; i < MAX_NETS; i++)
		n += dp_get_net(dp, (uint16_t)i) != NULL;
	share_set_networks(dp->fdb->share, n);
}

static void limit_macs(struct dp *dp, uint16_t id, uint32_t limit)
{
	atomic_store_explicit(&dp->fdb->share->of[id].limit, limit, memory_order_relaxed);
}

static int free_index(struct dp *dp)
{
	for (int i = 0; i < MAX_NETS; i++)
		if (!dp_get_net(dp, (uint16_t)i))
			return i;
	return -ENOSPC;
}

/* Each slot has a VNI of 24 bits and this one, so that VNI 0 is no free slot. */
enum { VNI_USED = 1 << 24 };
static_assert(MAX_NETS * 4 <= VNI_SLOTS, "who looks for a VNI soon finds it or a free slot");

/* The slot of `vni`, or the free one where it would be. */
static uint32_t vni_slot(const struct dp *dp, uint32_t vni)
{
	uint32_t at = vni * 0x9e3779b1u >> (32 - VNI_BITS), there;

	while ((there = atomic_load_explicit(&dp->vni[at], memory_order_relaxed)) &&
		there != (vni | VNI_USED))
		at = (at + 1) % VNI_SLOTS;
	return at;
}

bool network_has_vni(const struct dp *dp, uint32_t vni)
{
	return atomic_load_explicit(&dp->vni[vni_slot(dp, vni)], memory_order_relaxed) != 0;
}

/* As the networks are now. */
static void list_vnis(struct dp *dp)
{
	for (unsigned i = 0; i < VNI_SLOTS; i++)
		atomic_store_explicit(&dp->vni[i], 0, memory_order_relaxed);
	for (unsigned i = 0; i < MAX_NETS; i++) {
		const struct network *net = dp_get_net(dp, (uint16_t)i);

		if (net && net->vni)
			atomic_store_explicit(
				&dp->vni[vni_slot(dp, net->vni)], net->vni | VNI_USED, memory_order_relaxed);
	}
}

int dp_network_add(struct dp *dp, const struct dp_network *spec, uint16_t *id, struct dp_err *err)
{
	int index = free_index(dp), rc;
	struct network net = {
		.mode = (uint8_t)spec->mode,
		.prefix = spec->prefix,
		.mtu = spec->mtu,
		.vni = spec->vni,
		.subnet = spec->subnet,
		.gateway = spec->gateway,
		.subnet6 = spec->subnet6,
		.gateway6 = spec->gateway6,
		.age_s = spec->age_s,
		.mac_moves = spec->mac_moves,
		.egress = spec->egress,
	};

	if (index < 0)
		return dp_fail(err, -ENOSPC, "there are %d networks already", MAX_NETS);
	if (spec->vni && network_has_vni(dp, spec->vni))
		return dp_fail(err, -EEXIST, "vni: %u is taken", spec->vni);
	net.id = (uint16_t)index;
	for (unsigned i = 0; i < dp->nworker; i++)
		stat_clear(&dp->worker[i]->net_stats[index], sizeof(struct net_stats));
	memset(dp->priv->gone_drop[index], 0, sizeof(dp->priv->gone_drop[index]));
	limit_macs(dp, net.id, spec->mac_limit);
	rc = publish(dp, &net);
	if (rc)
		return dp_fail(err, rc, "out of memory");
	share_table(dp);
	list_vnis(dp);
	*id = net.id;
	return 0;
}

int dp_network_set(struct dp *dp, uint16_t id, const struct dp_network *spec, struct dp_err *err)
{
	const struct network *old = dp_get_net(dp, id);
	struct network net;

	if (!old)
		return dp_fail(err, -ENOENT, "no such network");
	net = *old;
	net.mtu = spec->mtu;
	net.age_s = spec->age_s;
	net.gateway = spec->gateway;
	net.gateway6 = spec->gateway6;
	net.mac_moves = spec->mac_moves;
	net.egress = spec->egress;
	if (publish(dp, &net))
		return dp_fail(err, -ENOMEM, "out of memory");
	limit_macs(dp, id, spec->mac_limit);
	return 0;
}

static bool in_network(void *arg, uint64_t key, uint64_t value)
{
	return key >> 48 == *(const uint16_t *)arg;
}

int dp_network_del(struct dp *dp, uint16_t id)
{
	struct network *net = dp_get_net(dp, id);

	if (!net)
		return -ENOENT;
	if (net->nport || net->nvtep || atomic_load(&net->lb))
		return -EBUSY;
	atomic_store(&dp->net[id], NULL);
	list_vnis(dp);
	rcu_wait(dp);
	sweep_all(dp, in_network, &id);
	share_table(dp);
	free(atomic_load(&net->known));
	network_free(net);
	return 0;
}

void dp_fdb_flush(struct dp *dp, uint16_t id)
{
	for (unsigned i = 0; i < MAX_NETS; i++) {
		const struct network *old = dp_get_net(dp, (uint16_t)i);
		struct network net;

		if (!old || (id != DP_NET_NONE && i != id))
			continue;
		net = *old;
		net.flush_gen++;
		publish(dp, &net); /* without memory the entries stay until they age */
	}
}
