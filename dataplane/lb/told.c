#include "dataplane/lb/told.h"

#include "dataplane/core/bucket.h"
#include "dataplane/core/dp.h"
#include "dataplane/l2/fdb.h"
#include "dataplane/l2/network.h"
#include "dataplane/lb/lb.h"
#include "dataplane/lb/least.h"

enum {
	PACKETS_S = 5000, /* of one host: several for each twenty milliseconds, where it has many backends */
	PACKETS_BURST = 256,
	SILENT_S = 1, /* a host that has said nothing for longer may have begun anew */
};

static void write(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static uint32_t tick_hz(void)
{
	return (uint32_t)(rte_get_tsc_hz() >> LEAST_TICK_BITS);
}

uint32_t told_fresh_ticks(void)
{
	return tick_hz() / 1000 * TOLD_FRESH_MS;
}

void told_forget(struct lb *lb, uint32_t id)
{
	write(&lb->told[id].at_s, 0);
}

void told_note(struct lb *lb, uint32_t id, const struct told_news *news, uint32_t own, uint32_t now_s)
{
	struct told *told = &lb->told[id];

	write(&told->in_flight, news->in_flight);
	write(&told->latency, (uint32_t)((uint64_t)news->us * tick_hz() / 1000000));
	write(&told->own, own);
	write(&told->at, least_now());
	now_s = now_s ? now_s : 1;
	write(&told->at_s, now_s);
	if (told_read(&lb->told_s) != now_s)
		write(&lb->told_s, now_s); /* each choice reads it: its line is left alone for a second */
}

bool told_admits(struct worker *w, uint16_t vtep, uint32_t number)
{
	struct told_host *host = &w->dp->lb->told_host[vtep];
	uint64_t each = rte_get_tsc_hz() / PACKETS_S;
	/* as in told_is_recent(): another worker's clock may have been ahead */
	bool silent = (int32_t)(w->now_s - told_read(&host->at_s)) > SILENT_S;

	if (!bucket_take(&host->full, each, each * PACKETS_BURST))
		return false;
	if (!silent && (int32_t)(number - told_read(&host->number)) <= 0)
		return false;
	write(&host->number, number);
	write(&host->at_s, w->now_s);
	return true;
}

static bool next_at(
	const struct lb_view *view, const struct told_news *news, uint16_t port, uint32_t *at, uint32_t *id)
{
	const struct lb_place6 *place6;
	const struct lb_place *place;

	if (ip_is4(news->address)) {
		place = lb_view_backend(view, ip_to4(news->address), port, news->protocol, at);
		if (place)
			*id = place->backend;
		return place != NULL;
	}
	place6 = view->ip6 ? lb_view6_backend(view->ip6, news->address, port, news->protocol, at) : NULL;
	if (place6)
		*id = place6->backend;
	return place6 != NULL;
}

/* The next service that has it, from *at on, 0 at first. False: there is none any more. */
static bool next_place(struct worker *w, const struct lb_view *view, const struct told_news *news,
	uint32_t *at, uint32_t *id)
{
	if (!news->several)
		return next_at(view, news, news->port, at, id);
	while (next_at(view, news, 0, at, id))
		if (lb_backend(w, *id)->port == news->port)
			return true;
	return false;
}

enum where { UNKNOWN, BEHIND, ELSEWHERE };

/* Where is the backend, by its MAC? Of one that is reached by a gateway nobody but this host says anything. */
static enum where where_is(struct worker *w, uint16_t net, uint16_t vtep, uint32_t id)
{
	uint64_t mac = atomic_load_explicit(&lb_backend(w, id)->mac, memory_order_relaxed), value;
	const struct network *network = dp_get_net(w->dp, net);

	if (!mac || !network)
		return UNKNOWN;
	value = fdb_lookup(w->dp->fdb, fdb_key(net, (const uint8_t *)&mac));
	if (!fdb_alive(value, network->flush_gen))
		return mac_equal((const uint8_t *)&mac, dp_router_mac) ? ELSEWHERE : UNKNOWN;
	return (fdb_flags(value) & FDB_VTEP) && fdb_target(value) == vtep ? BEHIND : ELSEWHERE;
}

static const struct lb_view *view_of(struct worker *w, uint16_t net)
{
	const struct network *network = dp_get_net(w->dp, net);

	return network ? atomic_load_explicit(&network->lb, memory_order_acquire) : NULL;
}

bool told_is_elsewhere(struct worker *w, uint16_t net, uint16_t vtep, const struct told_news *news)
{
	const struct lb_view *view = view_of(w, net);
	uint32_t at = 0;
	uint32_t id;

	/* one look is enough: whatever service has it, it is the same machine */
	return view && next_place(w, view, news, &at, &id) && where_is(w, net, vtep, id) == ELSEWHERE;
}

void told_take(struct worker *w, uint16_t net, uint16_t vtep, const struct told_news *news)
{
	const struct lb_view *view = view_of(w, net);
	uint32_t at = 0;
	uint32_t id;

	while (view && next_place(w, view, news, &at, &id))
		if (where_is(w, net, vtep, id) == BEHIND)
			told_note(w->dp->lb, id, news, least_in_flight(w->dp, id), w->now_s);
}

bool told_info(const struct dp *dp, uint32_t id, struct told *told, uint32_t *age_ms)
{
	const struct told *at = &dp->lb->told[id];
	uint32_t now = least_now(), ticks;

	if (!told_is_fresh(at, dp->lb->told_fresh, now, dp_now_s(dp)))
		return false;
	*told = (struct told){.in_flight = told_read(&at->in_flight),
		.latency = told_read(&at->latency),
		.own = told_read(&at->own),
		.at = told_read(&at->at)};
	ticks = (int32_t)(now - told->at) > 0 ? now - told->at : 0;
	*age_ms = (uint32_t)((uint64_t)ticks * 1000 / tick_hz());
	return true;
}
