#include "dataplane/lb/backend.h"

#include <errno.h>
#include <rte_cycles.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/core/dp.h"
#include "dataplane/core/mem.h"
#include "dataplane/l2/neigh.h"
#include "dataplane/l2/network.h"

/* What the workers' counters stood at when the backend was made, and since when it drains. */
struct base {
	struct backend_stats stats;
	struct backend_answers answers;
	uint64_t drains_since; /* TSC, 0: it does not */
	uint32_t resets_at;    /* its place in backend_table.resets, plus one; 0: it has none */
};

enum { WINDOW_MIN = 4096 };

struct backend_table {
	struct backend *backend; /* [size] */
	struct base *base;	 /* the same */
	struct dp *dp;
	uint32_t size;
	/* Ids are given out in turn from the first `window`, so that one comes again late. It grows when half of them
	 * are used: who has few backends touches the memory of few. */
	uint32_t window, next, used;
	unsigned gone;
	uint32_t *resets; /* [size] ids of those with BACKEND_RESETS, the first `nresets` */
	uint32_t nresets;
};

struct backend_table *backend_open(struct dp *dp, uint32_t size)
{
	struct backend_table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->dp = dp;
	t->size = size;
	t->window = size < WINDOW_MIN ? size : WINDOW_MIN;
	t->backend = mem_alloc(size * sizeof(*t->backend));
	t->base = calloc(size, sizeof(*t->base));
	t->resets = calloc(size, sizeof(*t->resets));
	if (!t->backend || !t->base || !t->resets) {
		backend_close(t);
		return NULL;
	}
	return t;
}

void backend_close(struct backend_table *t)
{
	if (!t)
		return;
	mem_free(t->backend, t->size * sizeof(*t->backend));
	free(t->base);
	free(t->resets);
	free(t);
}

struct backend *backend_get(const struct backend_table *t, uint32_t id)
{
	return &t->backend[id];
}

uint32_t backend_end(const struct backend_table *t)
{
	return t->window;
}

uint32_t backend_resets(const struct backend_table *t, const uint32_t **ids)
{
	*ids = t->resets;
	return t->nresets;
}

/* Whether the backend is among those with BACKEND_RESETS. The last one takes the place of one that is no more. */
static void list_resets(struct backend_table *t, uint32_t id, bool listed)
{
	uint32_t *at = &t->base[id].resets_at, last;

	if (listed && !*at) {
		t->resets[t->nresets++] = id;
		*at = t->nresets;
	} else if (!listed && *at) {
		last = t->resets[--t->nresets];
		t->resets[*at - 1] = last;
		t->base[last].resets_at = *at;
		*at = 0;
	}
}

static uint64_t pack_mac(const uint8_t *mac)
{
	uint64_t v = 0;

	if (mac)
		memcpy(&v, mac, 6);
	return v;
}

static void on_mac(void *arg, struct ip_addr ip, const uint8_t *mac)
{
	struct backend *b = arg;

	atomic_store_explicit(&b->mac, pack_mac(mac), memory_order_relaxed);
}

static int want_mac(struct backend_table *t, struct backend *b)
{
	const struct network *net = dp_get_net(t->dp, b->net);
	int rc;

	if (network_routes(net, b->address)) {
		on_mac(b, b->address, dp_router_mac);
		return 0;
	}
	rc = neigh_want(
		t->dp, (struct neigh_scope){.net = b->net, .uplink = OUT_NONE}, b->address, on_mac, b);
	b->wanted = rc == 0;
	return rc;
}

static struct backend_stats worker_sum(const struct dp *dp, uint32_t id)
{
	struct backend_stats sum = {0};

	for (unsigned i = 0; i < dp->nworker; i++) {
		const struct backend_stats *s = &dp->worker[i]->backend_stats[id];

		sum.packets += stat_read(&s->packets);
		sum.bytes += stat_read(&s->bytes);
	}
	return sum;
}

static struct backend_answers worker_answers(const struct dp *dp, uint32_t id)
{
	struct backend_answers sum = {0};

	for (unsigned i = 0; i < dp->nworker; i++) {
		const struct backend_answers *a = &dp->worker[i]->backend_answers[id];

		sum.opened += stat_read(&a->opened);
		sum.answered += stat_read(&a->answered);
		sum.refused += stat_read(&a->refused);
	}
	return sum;
}

static struct backend *find_free(struct backend_table *t)
{
	while (t->used * 2 >= t->window && t->window < t->size)
		t->window = t->window < t->size / 2 ? t->window * 2 : t->size;
	for (uint32_t i = 0; i < t->window && t->used < t->window; i++) {
		struct backend *b = &t->backend[(t->next + i) % t->window];

		if (atomic_load_explicit(&b->flags, memory_order_relaxed) == 0) {
			b->id = (t->next + i) % t->window;
			t->next = (b->id + 1) % t->window;
			return b;
		}
	}
	return NULL;
}

int backend_new(struct backend_table *t, const struct dp_service *spec, const struct dp_backend *what,
	uint32_t service, uint32_t *id)
{
	struct backend *b = find_free(t);
	int rc;

	if (!b)
		return -ENOSPC;
	b->address = what->address;
	b->ip = ip_to4(what->address);
	b->port = __builtin_bswap16(what->port);
	b->net = spec->net;
	b->protocol = (uint8_t)spec->protocol;
	b->service = (uint16_t)service;
	t->base[b->id] = (struct base){worker_sum(t->dp, b->id), worker_answers(t->dp, b->id), 0, 0};
	atomic_store_explicit(&b->mac, 0, memory_order_relaxed);
	rc = want_mac(t, b);
	if (rc)
		return rc;
	backend_set(t, b->id, what);
	t->used++;
	*id = b->id;
	return 0;
}

/* Returns the flags that follow. */
static uint32_t set_drain(struct backend *b, uint64_t *since, const struct dp_backend *what)
{
	if (!what->draining)
		*since = 0;
	else if (!*since)
		*since = rte_rdtsc();
	if (!what->draining || !what->drain_ms)
		return 0;
	atomic_store_explicit(
		&b->ends, *since + rte_get_tsc_hz() / 1000 * what->drain_ms, memory_order_relaxed);
	return BACKEND_DRAINS | (what->resets ? BACKEND_RESETS : 0);
}

void backend_set(struct backend_table *t, uint32_t id, const struct dp_backend *what)
{
	struct backend *b = &t->backend[id];
	uint32_t old = atomic_load_explicit(&b->flags, memory_order_relaxed);
	uint32_t flags = BACKEND_USED | set_drain(b, &t->base[id].drains_since, what);

	atomic_store_explicit(&b->weight, what->weight, memory_order_relaxed);
	atomic_store_explicit(&b->distance, what->distance, memory_order_relaxed);
	list_resets(t, id, flags & BACKEND_RESETS);
	if (what->dead)
		flags |= BACKEND_DEAD;
	else if (what->weight)
		flags |= BACKEND_ACTIVE;
	if (flags & ~old & BACKEND_ACTIVE)
		atomic_store_explicit(&b->since, rte_rdtsc(), memory_order_relaxed);
	atomic_store_explicit(&b->flags, flags, memory_order_release);
}

void backend_delete(struct backend_table *t, uint32_t id)
{
	struct backend *b = &t->backend[id];

	atomic_store_explicit(&b->flags, BACKEND_USED | BACKEND_GONE, memory_order_release);
	list_resets(t, id, false);
	if (b->wanted)
		neigh_release(t->dp, (struct neigh_scope){.net = b->net, .uplink = OUT_NONE}, b->address,
			on_mac, b);
	b->wanted = false;
	t->gone++;
}

void backend_reap(struct backend_table *t, bool (*idle)(void *arg, uint32_t id), void *arg)
{
	for (unsigned i = 0; i < t->window && t->gone > 0; i++) {
		struct backend *b = &t->backend[i];

		if (!(atomic_load_explicit(&b->flags, memory_order_relaxed) & BACKEND_GONE) || !idle(arg, i))
			continue;
		atomic_store_explicit(&b->flags, 0, memory_order_release);
		t->gone--;
		t->used--;
	}
}

struct backend_stats backend_sum(const struct backend_table *t, uint32_t id)
{
	const struct backend_stats *base = &t->base[id].stats;
	struct backend_stats sum = worker_sum(t->dp, id);

	sum.packets -= base->packets;
	sum.bytes -= base->bytes;
	return sum;
}

struct backend_answers backend_answered(const struct backend_table *t, uint32_t id)
{
	const struct backend_answers *base = &t->base[id].answers;
	struct backend_answers sum = worker_answers(t->dp, id);

	sum.opened -= base->opened;
	sum.answered -= base->answered;
	sum.refused -= base->refused;
	return sum;
}
