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

static uint32_t tick_hz(void)
{
	return (uint32_t)(rte_get_tsc_hz() >> LEAST_TICK_BITS);
}

void least_look(struct worker *w, uint16_t id, uint32_t now)
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

void least_begins(struct worker *w, uint16_t id)
{
	struct backend_load *l = &w->backend_load[id];

	write(&l->begun, l->begun + 1);
}

/* Has the packet something for the other end's program? Of SCTP nobody looks: its associations count as they are. */
static bool has_payload(const struct item *it)
{
	struct frame *f = it->f;
	const uint8_t *ip = frame_data(f) + f->l3_off;
	uint32_t end;

	if (f->ip_proto != IPPROTO_TCP)
		return f->ip_proto == IPPROTO_UDP;
	end = f->l3_off + (item_is6(it) ? IP6_LEN + (uint32_t)load16(ip + 4) : load16(ip + 2));
	return end > f->l4_off + (frame_data(f)[f->l4_off + 12] >> 4) * UINT32_C(4);
}

static void ended(struct worker *w, uint16_t id)
{
	struct backend_load *l = &w->backend_load[id];

	write(&l->ended, l->ended + 1);
}

/* What is old counts as if it were halved each second: so a backend that was slow once is tried again. */
static void note_latency(struct worker *w, uint16_t id, uint32_t ticks)
{
	struct backend_load *l = &w->backend_load[id];
	uint32_t was = least_decayed(l->latency, l->latency_s, w->now_s);
	uint64_t now = was ? ((uint64_t)was * (SAMPLES - 1) + ticks) / SAMPLES : ticks;

	write(&l->latency, now ? (uint32_t)now : 1);
	write(&l->latency_s, w->now_s);
}

void least_asks(struct worker *w, const struct item *it, const struct conn_hit *hit)
{
	struct conn_table *t = w->dp->lb->conns;
	uint32_t since;

	if (it->tcp & TCP_RST) {
		if (conn_turn_answers(t, hit, &since))
			ended(w, hit->end.owner);
	} else if (has_payload(it) && conn_turn_would_ask(t, hit) && conn_turn_asks(t, hit, least_now())) {
		least_begins(w, hit->end.owner);
	}
}

void least_answers(struct worker *w, const struct item *it, const struct conn_hit *hit)
{
	uint32_t since;

	if (!(it->tcp & (TCP_RST | TCP_FIN)) && !has_payload(it))
		return;
	if (!conn_turn_answers(w->dp->lb->conns, hit, &since))
		return;
	ended(w, hit->end.owner);
	if (it->tcp & TCP_RST)
		note_latency(w, hit->end.owner, tick_hz() * REFUSED_S);
	else if (since && has_payload(it))
		note_latency(w, hit->end.owner, least_now() - since);
}

uint32_t least_in_flight(const struct dp *dp, uint16_t id)
{
	uint32_t n = -conn_turns_lost_of(dp->lb->conns, id);

	for (unsigned i = 0; i < dp->nworker; i++) {
		const struct backend_load *l = &dp->worker[i]->backend_load[id];

		n += read(&l->begun) - read(&l->ended);
	}
	return (int32_t)n > 0 ? n : 0;
}

uint32_t least_latency_us(const struct dp *dp, uint16_t id)
{
	uint32_t latency = 0, latency_s = 0;

	for (unsigned i = 0; i < dp->nworker; i++) {
		const struct backend_load *l = &dp->worker[i]->backend_load[id];

		if (!read(&l->latency) || read(&l->latency_s) < latency_s)
			continue;
		latency = read(&l->latency);
		latency_s = read(&l->latency_s);
	}
	return (uint32_t)((uint64_t)latency * 1000000 / tick_hz());
}
