/* ports.c: ports come and go while traffic flows. Control thread. */
#include "dataplane/ports.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/core/private.h"
#include "dataplane/core/rcu.h"
#include "dataplane/egress/egress.h"
#include "dataplane/engine/balance.h"
#include "dataplane/engine/polling.h"
#include "dataplane/l2/fdb.h"
#include "dataplane/l2/fdb_sweep.h"
#include "dataplane/l2/neigh.h"
#include "dataplane/l2/network.h"
#include "dataplane/l2/policy/guard.h"
#include "dataplane/l2/policy/rate.h"
#include "dataplane/overlay/vtep.h"
#include "dataplane/port/types.h"

/* Whatever leaves by uplinks finds its way anew. */
static void uplinks_changed(struct dp *dp)
{
	vteps_rebind(dp);
	egress_uplinks_changed(dp);
}

static void spec_free(struct dp_port *spec)
{
	free((char *)spec->socket);
	free((char *)spec->owner);
	free((char *)spec->group);
	free((char *)spec->device);
	free((char *)spec->devargs);
	free((char *)spec->file);
}

static bool copy_string(const char **field)
{
	if (*field)
		*field = strdup(*field);
	return *field != NULL;
}

/* A spec with its own strings. -ENOMEM: nothing is left behind. */
static int spec_copy(struct dp_port *to, const struct dp_port *from)
{
	const char **field[] = {&to->socket, &to->owner, &to->group, &to->device, &to->devargs, &to->file};
	int rc = 0;

	*to = *from;
	for (unsigned i = 0; i < sizeof(field) / sizeof(field[0]); i++)
		if (*field[i] && !copy_string(field[i]))
			rc = -ENOMEM;
	if (rc)
		spec_free(to);
	return rc;
}

/* The free index that was used longest ago. */
static int free_index(struct dp *dp)
{
	for (unsigned i = 0; i < MAX_PORTS; i++) {
		unsigned id = (dp->priv->next_port + i) % MAX_PORTS;

		if (!dp_get_port(dp, (uint16_t)id)) {
			dp->priv->next_port = (uint16_t)((id + 1) % MAX_PORTS);
			return (int)id;
		}
	}
	return -ENOSPC;
}

static void close_fds(const struct dp_port *spec)
{
	for (unsigned i = 0; i < spec->nfds; i++)
		close(spec->fds[i]);
}

static void set_mac_limit(struct dp *dp, struct port *port, const struct dp_port *spec)
{
	atomic_store_explicit(&port->mac_action, (uint8_t)spec->mac_action, memory_order_relaxed);
	if (!port->is_uplink)
		fdb_limit_port(dp->fdb, port->id, spec->mac_limit, spec->mac_action == DP_MAC_STICKY);
}

/* Takes the port's own MAC away from wherever it was learned. */
static void claim_mac(struct dp *dp, const struct port *port)
{
	uint64_t key = port->is_uplink ? 0 : fdb_key(port->net, port->mac),
		 value = key ? fdb_lookup(dp->fdb, key) : 0;

	if (value != FDB_NONE && !(fdb_flags(value) & FDB_STATIC))
		fdb_remove(dp->fdb, key);
}

static int port_new(struct dp *dp, const struct dp_port *spec, unsigned id, struct port **out)
{
	struct port *port = calloc(1, sizeof(*port));
	struct guard *guard;

	if (!port)
		return -ENOMEM;
	port->rates = rate_new();
	guard = spec->net == DP_NET_NONE ? NULL : guard_new(spec);
	if (!port->rates || (!guard && spec->net != DP_NET_NONE) || spec_copy(&port->spec, spec)) {
		rate_free(port->rates);
		free(guard);
		free(port);
		return -ENOMEM;
	}
	port->guard = guard;
	port->dp = dp;
	port->id = (uint16_t)id;
	port->net = spec->net;
	port->mtu = spec->mtu;
	port->is_uplink = spec->net == DP_NET_NONE;
	port->is_gateway = spec->gateway;
	port->nqueue = 1;
	port->vxlan_port = spec->vxlan_port;
	port->address = ip_to4(spec->address.address);
	if (!ip_is4(spec->address.address))
		port->address6 = spec->address.address;
	memcpy(port->mac, spec->mac, 6);
	rate_set(port, spec);
	set_mac_limit(dp, port, spec);
	*out = port;
	return 0;
}

static void port_free(void *arg)
{
	struct port *port = arg;

	spec_free(&port->spec);
	rate_free(port->rates);
	free(atomic_load(&port->guard));
	free(port);
}

/* Workers may use the port from here on. -ENOMEM: they may not. */
static int port_publish(struct dp *dp, struct port *port)
{
	int rc;

	for (unsigned i = 0; i < dp->nworker; i++)
		stat_clear(&dp->worker[i]->port_stats[port->id], sizeof(struct port_stats));
	dp->priv->link_reported[port->id] = false;
	rc = balance_assign(dp, port);
	if (!rc)
		rc = polling_add_fds(dp, port);
	if (rc)
		return rc;
	atomic_store_explicit(&dp->port[port->id], port, memory_order_release);
	rc = port->is_uplink ? 0 : network_refresh(dp, port->net);
	if (!rc)
		rc = polling_assign(dp);
	if (rc)
		atomic_store(&dp->port[port->id], NULL);
	return rc;
}

/* A port in memory, not yet opened, if one like `spec` may be added. */
static int port_admit(struct dp *dp, const struct dp_port *spec, const struct port_ops *ops,
	struct port **out, struct dp_err *err)
{
	int index = free_index(dp), rc;

	if (!ops)
		return dp_fail(err, -ENOTSUP, "type: not in this build");
	if (index < 0)
		return dp_fail(err, -ENOSPC, "there are %d ports already", MAX_PORTS);
	if (spec->net != DP_NET_NONE && !dp_get_net(dp, spec->net))
		return dp_fail(err, -ENOENT, "network: no such network");
	rc = balance_admit(dp, spec, UINT16_MAX, err);
	if (!rc && port_new(dp, spec, (unsigned)index, out))
		rc = dp_fail(err, -ENOMEM, "out of memory");
	return rc;
}

int port_add(struct dp *dp, const struct dp_port *spec, const struct port_ops *ops, uint16_t *id,
	struct dp_err *err)
{
	struct port *port = NULL;
	int rc = port_admit(dp, spec, ops, &port, err);

	if (rc || !port) {
		close_fds(spec);
		return rc;
	}
	port->ops = ops;
	rc = ops->open(port, err);
	if (rc)
		goto out;
	rc = port_publish(dp, port);
	if (rc) {
		rcu_wait(dp);
		ops->close(port);
		dp_fail(err, rc, "%s", strerror(-rc));
		goto out;
	}
	if (port->is_uplink)
		uplinks_changed(dp);
	else
		neigh_port_changed(dp, port);
	claim_mac(dp, port);
	*id = port->id;
	return 0;
out:
	port_free(port);
	return rc;
}

int dp_port_add(struct dp *dp, const struct dp_port *spec, uint16_t *id, struct dp_err *err)
{
	return port_add(dp, spec, port_type_ops(spec->type), id, err);
}

/* Is this an entry that was learned at a port before it was guarded, or had another MAC? */
static bool learned_wrong(void *arg, uint64_t key, uint64_t value)
{
	const struct port *port = arg;

	return !(fdb_flags(value) & (FDB_VTEP | FDB_STATIC)) && fdb_target(value) == port->id &&
	       !guard_has_mac(port_guard(port), key & FDB_MAC);
}

/* Workers go by `guard` from here on, and nothing that was learned under the old one leads to the port. */
static void set_guard(struct dp *dp, struct port *port, struct guard *guard)
{
	struct guard *old = atomic_exchange(&port->guard, guard);
	bool same_macs = old->security != DP_SECURITY_OFF && old->mac == guard->mac &&
			 old->nallow == guard->nallow &&
			 memcmp(old->allow, guard->allow, old->nallow * sizeof(old->allow[0])) == 0;

	if (guard->security == DP_SECURITY_OFF || same_macs) {
		rcu_defer(dp, free, old);
		return;
	}
	rcu_wait(dp);
	free(old);
	sweep_all(dp, learned_wrong, port);
}

static void set_spec(struct dp *dp, struct port *port, const struct dp_port *spec)
{
	memcpy(port->mac, spec->mac, 6);
	memcpy(port->spec.ips, spec->ips, sizeof(spec->ips));
	port->spec.nips = spec->nips;
	port->mtu = spec->mtu;
	rate_set(port, spec);
	set_mac_limit(dp, port, spec);
	port->spec.memory_mb = spec->memory_mb;
}

int dp_port_core_check(struct dp *dp, const struct dp_port *spec, struct dp_err *err)
{
	return balance_admit(dp, spec, UINT16_MAX, err);
}

int dp_port_set(struct dp *dp, uint16_t id, const struct dp_port *spec, struct dp_err *err)
{
	struct port *port = dp_get_port(dp, id);
	struct guard *guard = port && !port->is_uplink ? guard_new(spec) : NULL;
	bool moves;
	int rc;

	if (!port)
		return dp_fail(err, -ENOENT, "no such port");
	if (!guard && !port->is_uplink)
		return dp_fail(err, -ENOMEM, "out of memory");
	rc = balance_admit(dp, spec, id, err);
	if (!rc && balance_pin(dp, port, spec))
		rc = dp_fail(err, -ENOMEM, "out of memory");
	if (rc) {
		free(guard);
		return rc;
	}
	port->spec.pinned = spec->pinned;
	port->spec.core = spec->core;
	moves = memcmp(port->mac, spec->mac, 6) != 0;
	if (!guard) {
		set_spec(dp, port, spec);
		uplinks_changed(dp);
		return 0;
	}
	neigh_port_changed(dp, port); /* whoever has its old addresses is asked anew */
	set_spec(dp, port, spec);
	set_guard(dp, port, guard);
	network_refresh(dp, port->net); /* without memory what the port owned stays its own */
	if (moves)
		claim_mac(dp, port);
	neigh_port_changed(dp, port);
	return 0;
}

bool dp_port_lost(struct dp *dp, uint16_t id)
{
	struct port *port = dp_get_port(dp, id);

	return port && port->ops->lost && port->ops->lost(port);
}

void dp_port_unplug(struct dp *dp, uint16_t id)
{
	struct port *port = dp_get_port(dp, id);

	if (port && port->ops->unplug)
		port->ops->unplug(port);
}

int dp_port_plug(struct dp *dp, uint16_t id, const int *fds)
{
	struct port *port = dp_get_port(dp, id);

	if (!dp_port_lost(dp, id))
		return -EINVAL;
	port->ops->plug(port, fds);
	polling_add_fds(dp, port); /* there was room for the old ones */
	return 0;
}

static bool at_port(void *arg, uint64_t key, uint64_t value)
{
	return !(fdb_flags(value) & FDB_VTEP) && fdb_target(value) == *(const uint16_t *)arg;
}

/* What it dropped stays in its network's sums. */
static void keep_drops(struct dp *dp, const struct port *port)
{
	if (port->net == NET_NONE)
		return;
	for (unsigned w = 0; w < dp->nworker; w++)
		for (unsigned r = 0; r < DROP_COUNT; r++)
			dp->priv->gone_drop[port->net][r] +=
				stat_read(&dp->worker[w]->port_stats[port->id].drop[r]);
}

int dp_port_del(struct dp *dp, uint16_t id)
{
	struct port *port = dp_get_port(dp, id);

	if (!port)
		return -ENOENT;
	atomic_store(&dp->port[id], NULL);
	if (port->is_uplink)
		uplinks_changed(dp);
	else
		network_refresh(dp, port->net);
	polling_assign(dp);
	rcu_wait(dp);
	port->ops->close(port);
	keep_drops(dp, port);
	sweep_all(dp, at_port, &id);
	if (!port->is_uplink)
		neigh_port_changed(dp, port);
	port_free(port);
	return 0;
}

void ports_close(struct dp *dp)
{
	dp->priv->closing = true;
	for (unsigned i = 0; i < MAX_PORTS; i++) {
		struct port *port = atomic_exchange(&dp->port[i], NULL);

		if (!port)
			continue;
		port->ops->close(port);
		port_free(port);
	}
	close_batch_run(&dp->priv->at_end);
}

void ports_report_links(struct dp *dp)
{
	for (unsigned word = 0; word < MAX_PORTS / 64; word++) {
		uint64_t news = atomic_exchange(&dp->priv->link_news[word], 0);

		for (; news; news &= news - 1) {
			unsigned id = word * 64 + (unsigned)__builtin_ctzll(news);
			struct port *port = dp_get_port(dp, (uint16_t)id);
			bool up = port && atomic_load(&port->up);

			if (!port || up == dp->priv->link_reported[id])
				continue;
			dp->priv->link_reported[id] = up;
			if (up)
				neigh_port_up(dp, port);
			if (dp->config.on_link)
				dp->config.on_link(dp->config.ctx, port->id, up);
		}
	}
}
