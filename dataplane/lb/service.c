/*
 * service.c: control changes services. What is asked for is checked, and made beside what there is; publish.h shows it.
 */
#include "dataplane/lb/service.h"

#include <errno.h>
#include <rte_cycles.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "dataplane/core/dp.h"
#include "dataplane/core/mem.h"
#include "dataplane/core/share.h"
#include "dataplane/l2/network.h"
#include "dataplane/lb/drain.h"
#include "dataplane/lb/hold.h"
#include "dataplane/lb/lb.h"
#include "dataplane/lb/publish.h"

enum { EXPIRE_ENTRIES = 1 << 18 }; /* connections looked at in one tick: a few milliseconds */

int lb_open(struct dp *dp, uint32_t conns)
{
	struct lb *lb = mem_alloc(sizeof(*lb));

	if (!lb)
		return -ENOMEM;
	dp->lb = lb;
	lb->dp = dp;
	lb->last_change = &lb->changes;
	lb->backends = backend_open(dp, dp->config.backends);
	lb->backend = lb->backends ? backend_get(lb->backends, 0) : NULL;
	lb->conns = conn_open(conns, dp->config.backends);
	lb->inbound = conn_open(conns, dp->config.backends);
	lb->held = hold_open();
	lb->told = mem_alloc(dp->config.backends * sizeof(*lb->told));
	lb->told_fresh = told_fresh_ticks();
	if (lb->backends && lb->conns && lb->inbound && lb->held && lb->told &&
		getrandom(lb->key, sizeof(lb->key), 0) == sizeof(lb->key))
		return 0;
	lb_close(dp);
	return -ENOMEM;
}

void lb_touch(struct dp *dp)
{
	conn_touch(dp->lb->conns);
}

void lb_touch_ahead(struct dp *dp)
{
	if (dp->lb->balances || dp->lb->balances6)
		conn_touch_ahead(dp->lb->conns, dp->lb->balances6, dp->lb->least);
	if (conn_count(dp->lb->inbound))
		conn_touch_ahead(dp->lb->inbound, dp->lb->balances6, true);
}

void lb_service_free(struct service *s)
{
	for (unsigned i = 0; s && i < DP_DISTANCES; i++)
		free(s->at[i].table);
	if (s)
		free(s->table);
	free(s);
}

void lb_close(struct dp *dp)
{
	struct lb *lb = dp->lb;

	if (!lb)
		return;
	publish_free(lb);
	conn_close(lb->conns);
	conn_close(lb->inbound);
	backend_close(lb->backends);
	hold_close(lb->held);
	mem_free(lb->told, dp->config.backends * sizeof(*lb->told));
	mem_free(lb, sizeof(*lb));
	dp->lb = NULL;
}

/* The order of backends: by address, then port, the same on every host. */
static int order(struct ip_addr ip_a, uint16_t port_a, struct ip_addr ip_b, uint16_t port_b)
{
	int c = ip_compare(ip_a, ip_b);

	return c ? c : (port_a > port_b) - (port_a < port_b);
}

static int compare_specs(const void *a, const void *b)
{
	const struct dp_backend *x = a, *y = b;

	return order(x->address, x->port, y->address, y->port);
}

static int compare_with(const struct lb *lb, uint32_t id, struct ip_addr address, uint16_t port)
{
	const struct backend *b = backend_get(lb->backends, id);

	return order(b->address, __builtin_bswap16(b->port), address, port);
}

int lb_find_backend(
	const struct lb *lb, const struct service *s, struct ip_addr address, uint16_t port, uint32_t *id)
{
	uint32_t low = 0, high = s ? s->nbackends : 0;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int c = compare_with(lb, s->backend[middle], address, port);

		if (c == 0) {
			*id = s->backend[middle];
			return 0;
		}
		if (c < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return -ENOENT;
}

static bool same_key(const struct service *s, const struct dp_service *spec)
{
	return s->net == spec->net && ip_equal(s->address, spec->vip) &&
	       s->port == __builtin_bswap16(spec->port) && s->protocol == spec->protocol;
}

static int check_spec(const struct lb *lb, const struct dp_service *spec, uint32_t id, struct dp_err *err)
{
	const struct network *net = dp_get_net(lb->dp, spec->net);

	if (!net)
		return dp_fail(err, -ENOENT, "network: no such network");
	if (ip_is_none(spec->vip))
		return dp_fail(err, -EINVAL, "vip: is missing");
	if (!ip_is_unicast(spec->vip))
		return dp_fail(err, -EINVAL, "vip: is no unicast address");
	if (network_is_gateway(net, spec->vip))
		return dp_fail(err, -EINVAL, "vip: is the network's gateway");
	if (!spec->port)
		return dp_fail(err, -EINVAL, "port: is 0");
	if (spec->port + spec->more_ports > UINT16_MAX)
		return dp_fail(err, -EINVAL, "port: those that follow it go beyond %d", UINT16_MAX);
	if (spec->nbackends > LB_BACKENDS)
		return dp_fail(err, -ENOSPC, "backends: more than %d", LB_BACKENDS);
	if (spec->protocol != DP_TCP && spec->protocol != DP_UDP && spec->protocol != DP_SCTP)
		return dp_fail(err, -EINVAL, "protocol: neither tcp, udp nor sctp");
	if (spec->affinity_s > DP_AFFINITY_MAX)
		return dp_fail(err, -EINVAL, "affinity_s: over %d", DP_AFFINITY_MAX);
	if (spec->slow_start_ms > DP_SLOW_START_MAX_MS)
		return dp_fail(err, -EINVAL, "slow_start_ms: over %d", DP_SLOW_START_MAX_MS);
	if (id != DP_SERVICE_NONE && (id >= MAX_SERVICES || !lb->service[id]))
		return dp_fail(err, -ENOENT, "no such service");
	if (id != DP_SERVICE_NONE && lb->service[id]->net != spec->net)
		return dp_fail(err, -EINVAL, "network: a service stays in its network");
	if (publish_taken(lb, spec, id))
		return dp_fail(err, -EEXIST, "vip: another service has it on this port and protocol");
	return 0;
}

static int check_backends(const struct dp_service *spec, const struct dp_backend *sorted, struct dp_err *err)
{
	bool is4 = ip_is4(spec->vip);

	for (size_t i = 0; i < spec->nbackends; i++) {
		if (ip_is_unspecified(sorted[i].address) || !sorted[i].port)
			return dp_fail(err, -EINVAL, "backends: an address is missing, or a port is 0");
		if (sorted[i].port + spec->more_ports > UINT16_MAX)
			return dp_fail(err, -EINVAL, "backends: a port would go beyond %d", UINT16_MAX);
		if (ip_is4(sorted[i].address) != is4)
			return dp_fail(err, -EINVAL, "backends: an address is not of the vip's family");
		if (i && compare_specs(&sorted[i - 1], &sorted[i]) == 0)
			return dp_fail(err, -EINVAL, "backends: the same address and port twice");
	}
	return 0;
}

/* The same as lb_find_backend() for who asks in the order of backends: goes on from *at, 0 at first. */
static bool find_next(const struct lb *lb, const struct service *s, uint32_t *at,
	const struct dp_backend *what, uint32_t *id)
{
	int c = -1;

	while (s && *at < s->nbackends &&
		(c = compare_with(lb, s->backend[*at], what->address, what->port)) < 0)
		(*at)++;
	if (c == 0)
		*id = s->backend[*at];
	return c == 0;
}

void lb_service_let_go(struct lb *lb, const struct service *from, const struct service *in)
{
	uint32_t at = 0;

	for (uint32_t i = 0; from && i < from->nbackends; i++) {
		const struct backend *b = backend_get(lb->backends, from->backend[i]);
		const struct dp_backend what = {.address = b->address, .port = __builtin_bswap16(b->port)};
		uint32_t id;

		if (!find_next(lb, in, &at, &what, &id) || id != b->id)
			backend_delete(lb->backends, b->id);
	}
}

/* Ids for the spec's backends: those that `old` has keep theirs. */
static int take_ids(struct lb *lb, const struct dp_service *spec, const struct dp_backend *sorted,
	const struct service *old, struct service *s)
{
	uint32_t at = 0;
	int rc = 0;

	for (uint32_t i = 0; i < spec->nbackends && !rc; i++) {
		uint32_t *id = &s->backend[i];

		if (!find_next(lb, old, &at, &sorted[i], id)) {
			rc = backend_new(lb->backends, spec, &sorted[i], s->id, id);
			if (!rc)
				told_forget(lb, *id);
		}
		if (!rc)
			s->nbackends++;
	}
	return rc;
}

/* The service's Maglev table, and the ends of the list of its active backends. */
static int build_table(const struct dp_backend *sorted, struct service *s)
{
	struct maglev_backend *list = calloc(s->nbackends ? s->nbackends : 1, sizeof(*list));
	uint16_t common = 0;
	bool any = false;

	if (!list)
		return -ENOMEM;
	s->even = true;
	for (uint32_t i = 0; i < s->nbackends; i++) {
		uint16_t weight = sorted[i].dead ? 0 : sorted[i].weight;

		list[i] = (struct maglev_backend){sorted[i].address, sorted[i].port, weight, (uint16_t)i};
		if (!weight)
			continue;
		s->last = s->backend[i];
		if (!any)
			s->first = s->backend[i];
		else if (weight != common)
			s->even = false;
		common = weight;
		any = true;
	}
	s->table = maglev_build(list, s->nbackends);
	free(list);
	return any && !s->table ? -ENOMEM : 0;
}

/*
 * The table of those at one distance. Of connections it may have 1.4 times the part of them that is active (Envoy's
 * overprovisioning factor): so long as five of seven are, all. Who drains has left.
 */
static int build_near(const struct dp_backend *sorted, struct service *s, unsigned distance)
{
	struct maglev_backend *list = calloc(s->nbackends ? s->nbackends : 1, sizeof(*list));
	struct lb_near *at = &s->at[distance];
	uint64_t n = 0, all = 0, active = 0;

	if (!list)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->nbackends; i++) {
		uint16_t weight = sorted[i].dead ? 0 : sorted[i].weight;

		if (sorted[i].distance != distance)
			continue;
		list[n++] = (struct maglev_backend){sorted[i].address, sorted[i].port, weight, (uint16_t)i};
		active += weight > 0;
		all += weight || !sorted[i].draining;
	}
	if (active) {
		uint64_t part = active * LB_WHOLE * 14 / (all * 10);

		at->part = part < LB_WHOLE ? (uint32_t)part : LB_WHOLE;
		at->table = maglev_build(list, n);
	}
	free(list);
	return active && !at->table ? -ENOMEM : 0;
}

/* A service to the spec. On failure nothing is left of it. */
static int service_make(struct lb *lb, const struct dp_service *spec, const struct dp_backend *sorted,
	uint32_t id, const struct service *old, struct service **out)
{
	struct service *s = calloc(1, sizeof(*s) + spec->nbackends * sizeof(s->backend[0]));
	int rc;

	if (!s)
		return -ENOMEM;
	s->id = id;
	s->vip = ip_to4(spec->vip);
	s->address = spec->vip;
	s->port = __builtin_bswap16(spec->port);
	s->more = spec->more_ports;
	s->net = spec->net;
	s->protocol = (uint8_t)spec->protocol;
	s->rejects = spec->rejects;
	s->least = spec->least;
	s->affinity_s = spec->affinity_s;
	s->slow_start = rte_get_tsc_hz() / 1000 * spec->slow_start_ms;
	rc = take_ids(lb, spec, sorted, old, s);
	s->near = spec->near;
	if (!rc)
		rc = build_table(sorted, s);
	for (unsigned i = 0; i < DP_DISTANCES && s->near && !rc; i++)
		rc = build_near(sorted, s, i);
	if (rc) {
		lb_service_let_go(lb, s, old);
		lb_service_free(s);
		return rc;
	}
	*out = s;
	return 0;
}

static int put_sorted(
	struct lb *lb, const struct dp_service *spec, const struct dp_backend *sorted, uint32_t *id)
{
	uint32_t at = *id == DP_SERVICE_NONE ? publish_free_id(lb) : *id;
	const struct service *old = at < MAX_SERVICES ? lb->service[at] : NULL;
	struct service *s;
	int rc;

	if (at == MAX_SERVICES)
		return -ENOSPC;
	if (old && !same_key(old, spec))
		old = NULL; /* connections through another vip do not go on */
	rc = service_make(lb, spec, sorted, at, old, &s);
	if (rc)
		return rc;
	rc = publish_put(lb, spec->net, at, s);
	if (rc) {
		lb_service_let_go(lb, s, old);
		lb_service_free(s);
		return rc;
	}
	for (uint32_t i = 0; i < s->nbackends; i++)
		backend_set(lb->backends, s->backend[i], &sorted[i]);
	*(s->vip ? &lb->balances : &lb->balances6) = true;
	lb->least |= s->least;
	*id = at;
	return 0;
}

int dp_service_put(struct dp *dp, const struct dp_service *spec, uint32_t *id, struct dp_err *err)
{
	struct dp_backend *sorted = calloc(spec->nbackends ? spec->nbackends : 1, sizeof(*sorted));
	int rc = check_spec(dp->lb, spec, *id, err);

	if (rc)
		goto out;
	if (!sorted) {
		rc = dp_fail(err, -ENOMEM, "out of memory");
		goto out;
	}
	if (spec->nbackends)
		memcpy(sorted, spec->backends, spec->nbackends * sizeof(*sorted));
	qsort(sorted, spec->nbackends, sizeof(*sorted), compare_specs);
	rc = check_backends(spec, sorted, err);
	if (rc)
		goto out;
	rc = put_sorted(dp->lb, spec, sorted, id);
	if (rc == -ENOSPC)
		dp_fail(err, rc, "no room for more than %d services or %u backends (dataplane.backends)",
			MAX_SERVICES, dp->config.backends);
	else if (rc)
		dp_fail(err, rc, "out of memory");
out:
	free(sorted);
	return rc;
}

int dp_service_del(struct dp *dp, uint32_t id)
{
	struct lb *lb = dp->lb;

	if (id >= MAX_SERVICES || !lb->service[id])
		return -ENOENT;
	return publish_put(lb, lb->service[id]->net, id, NULL);
}

static bool is_gone(void *arg, uint32_t id)
{
	const struct lb *lb = arg;
	const struct backend *b;
	uint32_t flags;

	if (id >= lb->dp->config.backends) /* read in two parts, while another connection took the place */
		return false;
	b = backend_get(lb->backends, id);
	flags = atomic_load_explicit(&b->flags, memory_order_acquire);
	return (flags & BACKEND_GONE) || drain_gives_up(b, flags);
}

static bool has_no_connections(void *arg, uint32_t id)
{
	const struct lb *lb = arg;

	return conn_count_of(lb->conns, id) == 0 && conn_count_of(lb->inbound, id) == 0;
}

void lb_tick(struct dp *dp)
{
	publish_retry(dp->lb);
	if (atomic_load_explicit(&dp->lb->held_parts, memory_order_relaxed))
		workers_wake(dp); /* to drop what waits in vain */
	share_recount(conn_share(dp->lb->conns));
	share_recount(conn_share(dp->lb->inbound));
	drain_ask(dp);
	conn_expire(dp->lb->conns, dp_now_s(dp), EXPIRE_ENTRIES, is_gone, dp->lb);
	conn_expire(dp->lb->inbound, dp_now_s(dp), EXPIRE_ENTRIES, is_gone, dp->lb);
	backend_reap(dp->lb->backends, has_no_connections, dp->lb);
}
