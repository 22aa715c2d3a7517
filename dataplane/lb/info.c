/*
 * info.c: control looks at backends and connections.
 */
#include <errno.h>
#include <rte_cycles.h>

#include "dataplane/core/dp.h"
#include "dataplane/core/share.h"
#include "dataplane/lb/lb.h"
#include "dataplane/lb/least.h"

static void read_drain(const struct backend *b, struct dp_backend_info *info)
{
	uint64_t ends = atomic_load_explicit(&b->ends, memory_order_relaxed), now = rte_rdtsc();

	info->drains = atomic_load_explicit(&b->flags, memory_order_acquire) & BACKEND_DRAINS;
	if (info->drains && now < ends)
		info->drain_left_ms = (uint32_t)((ends - now) / (rte_get_tsc_hz() / 1000)) + 1;
}

static void read_told(const struct dp *dp, uint32_t id, struct dp_backend_info *info)
{
	struct told told;

	info->told = told_info(dp, id, &told, &info->told_age_ms);
	if (info->told)
		info->told_in_flight = told.in_flight;
}

int dp_backend_info(
	struct dp *dp, uint32_t service, struct ip_addr address, uint16_t port, struct dp_backend_info *info)
{
	const struct lb *lb = dp->lb;
	struct backend_answers answers;
	struct backend_stats sum;
	uint32_t id;

	if (service >= MAX_SERVICES || lb_find_backend(lb, lb->service[service], address, port, &id))
		return -ENOENT;
	sum = backend_sum(lb->backends, id);
	answers = backend_answered(lb->backends, id);
	*info = (struct dp_backend_info){
		.packets = sum.packets,
		.bytes = sum.bytes,
		.connections = conn_count_of(lb->conns, id),
		.opened = answers.opened,
		.answered = answers.answered,
		.refused = answers.refused,
		.withdrawn = conn_withdrawn_of(lb->conns, id),
		.in_flight = least_in_flight(dp, id),
		.latency_us = least_latency_us(dp, id),
		.resolved =
			atomic_load_explicit(&backend_get(lb->backends, id)->mac, memory_order_relaxed) != 0,
	};
	read_drain(backend_get(lb->backends, id), info);
	read_told(dp, id, info);
	return 0;
}

struct walk {
	const struct lb *lb;
	uint32_t now_s;
	bool (*fn)(void *arg, const struct dp_conn *conn);
	void *arg;
};

static bool show(void *arg, const struct conn_info *info)
{
	const struct walk *walk = arg;
	const struct conn_end *to = &info->end[CONN_FORWARD], *vip = &info->end[CONN_REPLY];
	const struct backend *b = backend_get(walk->lb->backends, to->owner);
	const struct dp_conn conn = {
		.service = b->service,
		.client = info->client,
		.vip = info->vip,
		.backend = info->backend,
		.client_port = __builtin_bswap16((uint16_t)(info->key[CONN_FORWARD].rest >> 48)),
		.vip_port = __builtin_bswap16(vip->port),
		.backend_port = __builtin_bswap16(to->port),
		.protocol = b->protocol,
		.state = info->state,
		.packets = info->packets,
		.bytes = info->bytes,
		.age_s = conn_since(info->made_s, walk->now_s),
		.idle_s = conn_since(info->seen_s, walk->now_s),
	};

	if (atomic_load_explicit(&b->flags, memory_order_relaxed) & BACKEND_GONE)
		return true;
	return walk->fn(walk->arg, &conn);
}

bool dp_conn_walk_part(
	struct dp *dp, uint64_t *at, bool (*fn)(void *arg, const struct dp_conn *conn), void *arg)
{
	struct walk walk = {dp->lb, dp_now_s(dp), fn, arg};

	return conn_walk_part(dp->lb->conns, at, CONN_PART, show, &walk);
}

size_t dp_conn_count(struct dp *dp)
{
	return conn_count(dp->lb->conns);
}

size_t dp_conn_count_of(struct dp *dp, uint16_t net, uint32_t *share)
{
	struct share *shares = conn_share(dp->lb->conns);

	*share = share_part(shares);
	return share_used(shares, net);
}
