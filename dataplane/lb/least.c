#include "dataplane/lb/least.h"

enum {
	SAMPLES = 4,   /* a new latency is so much of the average: a stall shows after a few requests */
	REFUSED_S = 1, /* who refuses or resets is done soon, and no better for it: it counts as that slow */
};

/* Each word is read and written whole; what belongs together may be torn, by one request. */
static uint32_t read(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void write(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

/* Where requests of a kind are counted. */
static inline struct backend_load *load_of(const struct worker *w, enum least_of of, uint32_t id)
{
	return of == LEAST_OWN ? &w->backend_load[id] : &w->backend_inbound[id];
}

static inline struct conn_table *conns_of(const struct dp *dp, enum least_of of)
{
	return of == LEAST_OWN ? dp->lb->conns : dp->lb->inbound;
}

static uint32_t tick_hz(void)
{
	return (uint32_t)(rte_get_tsc_hz() >> LEAST_TICK_BITS);
}

void least_look(struct worker *w, uint32_t id, uint32_t now)
{
	struct backend_load *l = &w->backend_load[id];
	uint32_t others = 0, latency = 0, latency_s = 0;

	for (unsigned i = 0; i < w->dp->nworker; i++) {
		const struct backend_load *o = &w->dp->worker[i]->backend_load[id];

		if (i == w->index)
			continue;
		others += read(&o->begun) - read(&o->ended);
		if (read(&o->latency_s) < latency_s)
			continue;
		latency = read(&o->latency);
		latency_s = read(&o->latency_s);
	}
	write(&l->others, others - conn_turns_lost_of(w->dp->lb->conns, id));
	write(&l->others_latency, latency);
	write(&l->others_latency_s, latency_s);
	write(&l->looked, now);
}

void least_begins(struct worker *w, enum least_of of, uint32_t id)
{
	struct backend_load *l = load_of(w, of, id);

	write(&l->begun, l->begun + 1);
}

bool least_has_payload(const struct item *it)
{
	struct frame *f = it->f;
	const uint8_t *ip = frame_data(f) + f->l3_off;
	uint32_t end;

	if (f->ip_proto != IPPROTO_TCP)
		return f->ip_proto == IPPROTO_UDP;
	end = f->l3_off + (item_is6(it) ? IP6_LEN + (uint32_t)load16(ip + 4) : load16(ip + 2));
	return end > f->l4_off + (frame_data(f)[f->l4_off + 12] >> 4) * UINT32_C(4);
}

static void ended(struct backend_load *l)
{
	write(&l->ended, l->ended + 1);
}

/* What is old counts as if it were halved each second: so a backend that was slow once is tried again. */
static void note_latency(struct backend_load *l, uint32_t ticks, uint32_t now_s)
{
	uint32_t was = least_decayed(l->latency, l->latency_s, now_s);
	uint64_t now = was ? ((uint64_t)was * (SAMPLES - 1) + ticks) / SAMPLES : ticks;

	write(&l->latency, now ? (uint32_t)now : 1);
	write(&l->latency_s, now_s);
}

void least_asks(struct worker *w, enum least_of of, const struct item *it, const struct conn_hit *hit)
{
	struct conn_table *t = conns_of(w->dp, of);
	uint32_t since;

	if (it->tcp & TCP_RST) {
		if (conn_turn_answers(t, hit, &since))
			ended(load_of(w, of, hit->end.owner));
	} else if (least_has_payload(it) && conn_turn_would_ask(t, hit) &&
		   conn_turn_asks(t, hit, least_now())) {
		least_begins(w, of, hit->end.owner);
	}
}

void least_answers(struct worker *w, enum least_of of, const struct item *it, const struct conn_hit *hit)
{
	struct backend_load *l = load_of(w, of, hit->end.owner);
	uint32_t since;

	if (!(it->tcp & (TCP_RST | TCP_FIN)) && !least_has_payload(it))
		return;
	if (!conn_turn_answers(conns_of(w->dp, of), hit, &since))
		return;
	ended(l);
	if (it->tcp & TCP_RST)
		note_latency(l, tick_hz() * REFUSED_S, w->now_s);
	else if (since && least_has_payload(it))
		note_latency(l, least_now() - since, w->now_s);
}

uint32_t least_in_flight_of(const struct dp *dp, enum least_of of, uint32_t id)
{
	uint32_t n = -conn_turns_lost_of(conns_of(dp, of), id);

	for (unsigned i = 0; i < dp->nworker; i++) {
		const struct backend_load *l = load_of(dp->worker[i], of, id);

		n += read(&l->begun) - read(&l->ended);
	}
	return (int32_t)n > 0 ? n : 0;
}

uint32_t least_latency_us_of(const struct dp *dp, enum least_of of, uint32_t id)
{
	uint32_t latency = 0, latency_s = 0;

	for (unsigned i = 0; i < dp->nworker; i++) {
		const struct backend_load *l = load_of(dp->worker[i], of, id);

		if (!read(&l->latency) || read(&l->latency_s) < latency_s)
			continue;
		latency = read(&l->latency);
		latency_s = read(&l->latency_s);
	}
	return (uint32_t)((uint64_t)latency * 1000000 / tick_hz());
}
