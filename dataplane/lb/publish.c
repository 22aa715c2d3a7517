#include "dataplane/lb/publish.h"

#include <errno.h>
#include <stdlib.h>

#include "dataplane/core/dp.h"
#include "dataplane/core/rcu.h"
#include "dataplane/core/share.h"
#include "dataplane/l2/network.h"
#include "dataplane/lb/lb.h"

/* A service that has changed: `old` is freed once no worker sees it. Either may be NULL. */
struct lb_change {
	struct lb_change *next;
	uint16_t net;
	struct service *old;
	const struct service *with;
};

static uint32_t vip_row(uint16_t net, struct ip_addr vip)
{
	uint64_t mixed = (vip.q[0] * UINT64_C(0x9e3779b97f4a7c15) ^ vip.q[1]) + net;

	return (uint32_t)((mixed * UINT64_C(0xd6e8feb86659fd93)) >> 40) % LB_VIP_ROWS;
}

/* Rows are chained by numbers of services plus one. */
static void chain(struct lb *lb, uint32_t id)
{
	const struct service *s = lb->service[id];
	uint32_t *row = &lb->vip_row[vip_row(s->net, s->address)];

	lb->vip_next[id] = *row;
	*row = id + 1;
}

static void unchain(struct lb *lb, uint32_t id)
{
	const struct service *s = lb->service[id];
	uint32_t *at = &lb->vip_row[vip_row(s->net, s->address)];

	while (*at != id + 1)
		at = &lb->vip_next[*at - 1];
	*at = lb->vip_next[id];
}

static void set(struct lb *lb, uint32_t id, struct service *with)
{
	if (lb->service[id])
		unchain(lb, id);
	lb->service[id] = with;
	if (with)
		chain(lb, id);
	if (with && id >= lb->service_end)
		lb->service_end = id + 1;
	while (lb->service_end && !lb->service[lb->service_end - 1])
		lb->service_end--;
	if (with && id == lb->service_low)
		lb->service_low++;
	else if (!with && id < lb->service_low)
		lb->service_low = id;
}

uint32_t publish_free_id(const struct lb *lb)
{
	uint32_t id = lb->service_low;

	while (id < MAX_SERVICES && lb->service[id])
		id++;
	return id;
}

/* Have both a port in common? */
static bool overlaps(const struct service *s, const struct dp_service *spec)
{
	unsigned port = __builtin_bswap16(s->port);

	return s->net == spec->net && ip_equal(s->address, spec->vip) && s->protocol == spec->protocol &&
	       port <= spec->port + (unsigned)spec->more_ports && spec->port <= port + s->more;
}

const struct service *publish_taken(const struct lb *lb, const struct dp_service *spec, uint32_t id)
{
	uint32_t at = lb->vip_row[vip_row(spec->net, spec->vip)];

	for (; at; at = lb->vip_next[at - 1])
		if (at - 1 != id && overlaps(lb->service[at - 1], spec))
			return lb->service[at - 1];
	return NULL;
}

/* The networks that have services share the table of connections. */
static void share_connections(struct lb *lb)
{
	unsigned n = 0;

	for (unsigned i = 0; i < MAX_NETS; i++)
		n += lb->view[i] != NULL;
	share_set_networks(conn_share(lb->conns), n);
	share_set_networks(conn_share(lb->inbound), n);
}

/* The new views of all networks in which something has changed. On failure there are none. */
static int build_views(struct lb *lb)
{
	int rc = 0;

	for (const struct lb_change *c = lb->changes; c && !rc; c = c->next) {
		if (lb->renewed[c->net])
			continue;
		rc = lb_view_build(lb, c->net, &lb->fresh[c->net]);
		lb->renewed[c->net] = !rc;
	}
	for (unsigned i = 0; rc && i < MAX_NETS; i++) {
		if (lb->renewed[i])
			lb_view_free(lb->fresh[i]);
		lb->renewed[i] = false;
	}
	return rc;
}

/* Workers get the new views; lb->fresh has the old ones then. */
static void show_views(struct lb *lb)
{
	for (unsigned i = 0; i < MAX_NETS; i++) {
		struct network *net = dp_get_net(lb->dp, (uint16_t)i);
		struct lb_view *view = lb->fresh[i];

		if (!lb->renewed[i])
			continue;
		lb->fresh[i] = lb->view[i];
		lb->view[i] = view;
		if (net) /* else nobody looks: it went while there was no memory to take its last services away */
			atomic_store_explicit(&net->lb, view, memory_order_release);
	}
	share_connections(lb);
}

static void free_old(struct lb *lb)
{
	struct lb_change *change, *next;

	for (unsigned i = 0; i < MAX_NETS; i++) {
		if (lb->renewed[i])
			lb_view_free(lb->fresh[i]);
		lb->renewed[i] = false;
	}
	for (change = lb->changes; change; change = next) {
		next = change->next;
		lb_service_free(change->old);
		free(change);
	}
	lb->changes = NULL;
	lb->last_change = &lb->changes;
}

/* Shows workers all that has changed; returns when none of them sees anything older. */
static int flush(struct lb *lb)
{
	int rc = build_views(lb);

	if (rc)
		return rc;
	show_views(lb);
	for (const struct lb_change *c = lb->changes; c; c = c->next)
		lb_service_let_go(lb, c->old, c->with);
	rcu_wait(lb->dp);
	free_old(lb);
	return 0;
}

int publish_put(struct lb *lb, uint16_t net, uint32_t id, struct service *with)
{
	struct lb_change *change = malloc(sizeof(*change)), **at = lb->last_change;
	int rc = 0;

	if (!change)
		return -ENOMEM;
	*change = (struct lb_change){.net = net, .old = lb->service[id], .with = with};
	set(lb, id, with);
	*at = change;
	lb->last_change = &change->next;
	if (!lb->batch)
		rc = flush(lb);
	if (rc) {
		set(lb, id, change->old);
		*at = NULL;
		lb->last_change = at;
		free(change);
	}
	return rc;
}

void publish_retry(struct lb *lb)
{
	if (lb->changes && !lb->batch)
		flush(lb);
}

void publish_free(struct lb *lb)
{
	free_old(lb);
	for (unsigned i = 0; i < MAX_NETS; i++)
		lb_view_free(lb->view[i]);
	for (unsigned i = 0; i < MAX_SERVICES; i++)
		lb_service_free(lb->service[i]);
}

void dp_restoring(struct dp *dp, bool yes)
{
	uint32_t now_s = dp_now_s(dp);

	/* what is refused from now on may answer what came before there was a service */
	if (!yes)
		atomic_store_explicit(&dp->lb->stray_s, now_s ? now_s : 1, memory_order_relaxed);
	atomic_store_explicit(&dp->lb->restoring, yes, memory_order_release);
}

void dp_services_begin(struct dp *dp)
{
	dp->lb->batch++;
}

void dp_services_end(struct dp *dp)
{
	if (--dp->lb->batch == 0)
		publish_retry(dp->lb);
}
