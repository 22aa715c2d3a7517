/*
 * least.h: how busy backends are, for services whose policy is `least` (docs/adr/0014-least.md). What counts is what
 * this host has in flight to each: a connection has at most one request under way, from the client's bytes to the first
 * byte of an answer, and begins with one, so that those that were just made count before they ask. Of backends that have
 * as much in flight, the one that answers sooner is the better one.
 *
 * Where the backend's own switch tells how busy it is with everybody's requests (told.h), backends of which that is known
 * are compared by it.
 *
 * Each worker counts for itself (struct backend_load), and adds up what the others have at most once in LOOK_TICKS.
 * Worker, where nothing else is said.
 */
#pragma once

#include <rte_cycles.h>

#include "dataplane/lb/item.h"
#include "dataplane/lb/told.h"

enum {
	LEAST_TICK_BITS = 10, /* a tick is 1,024 cycles: half a microsecond or less */
	LEAST_LOOK_TICKS = 256,
};

struct least_load {
	uint32_t in_flight;
	uint32_t latency; /* ticks, halved for each second that it is old; 0: not known */
	uint32_t weight;
	bool told; /* the next two, which are of all hosts' requests, are known */
	uint32_t total, slowest;
};

/* Whose requests: of clients here, by vips; of other hosts, to backends here (inbound.h). */
enum least_of { LEAST_OWN, LEAST_INBOUND };

/** The clock of turns and latencies, never 0. */
static inline uint32_t least_now(void)
{
	return (uint32_t)(rte_rdtsc() >> LEAST_TICK_BITS) | 1;
}

/** Adds up what the other workers have in flight to the backend. */
void least_look(struct worker *w, uint32_t id, uint32_t now);

/* Another worker's clock may be a second ahead. */
static inline uint32_t least_decayed(uint32_t latency, uint32_t then_s, uint32_t now_s)
{
	int32_t age = (int32_t)(now_s - then_s);

	return latency >> (age < 0 ? 0 : age < 31 ? age : 31);
}

/* What was told, and what this host has begun since. Never less than what it sees itself, whatever it is told. */
static inline void least_add_told(struct least_load *load, const struct told *told)
{
	int64_t total = (int64_t)told_read(&told->in_flight) + load->in_flight - told_read(&told->own);
	uint32_t latency = told_read(&told->latency);

	load->told = true;
	load->total = total > load->in_flight ? (uint32_t)total : load->in_flight;
	load->slowest = latency > load->latency ? latency : load->latency;
}

/** How busy the backend of the service is at time `now`. */
static inline struct least_load least_load(
	struct worker *w, const struct service *s, uint32_t id, uint32_t now)
{
	struct backend_load *l = &w->backend_load[id];
	const struct lb *lb = w->dp->lb;
	struct least_load load;
	bool own;
	int32_t n;

	if (__builtin_expect(now - l->looked > LEAST_LOOK_TICKS, 0))
		least_look(w, id, now);
	n = (int32_t)(l->begun - l->ended +
		      l->others); /* one that ends as we look may be counted as ended alone */
	own = l->latency_s >= l->others_latency_s;
	load = (struct least_load){
		.in_flight = n > 0 ? (uint32_t)n : 0,
		.latency = least_decayed(own ? l->latency : l->others_latency,
			own ? l->latency_s : l->others_latency_s, w->now_s),
		.weight =
			s->even ? 1 : atomic_load_explicit(&lb_backend(w, id)->weight, memory_order_relaxed),
	};
	if (__builtin_expect(told_is_recent(told_read(&lb->told_s), w->now_s), 0) &&
		told_is_fresh(&lb->told[id], lb->told_fresh, now, w->now_s))
		least_add_told(&load, &lb->told[id]);
	return load;
}

/**
 * Is `a` so much less busy than `b` that it is taken instead? It has less than half in flight, or no more and answers in
 * less than three quarters of the time: differences that mean nothing move nobody. By what their switches told, if both did:
 * else one that nobody speaks of would look idle.
 */
static inline bool least_is_better(const struct least_load *a, const struct least_load *b)
{
	bool told = a->told && b->told;
	uint64_t x = (uint64_t)(told ? a->total : a->in_flight) * b->weight;
	uint64_t y = (uint64_t)(told ? b->total : b->in_flight) * a->weight;
	uint64_t late = told ? a->slowest : a->latency, later = told ? b->slowest : b->latency;

	/* no branches: which of the two is the less busy is for chance to say, that it matters is rare */
	return (x * 2 < y) | ((x <= y) & (late * 4 < later * 3));
}

/** Is `b` overloaded beside `a`, which is farther away: has it over 1.4 times as much in flight, and does this host wait as much
 * longer for it? Of who was not heard of lately it is assumed, so that it is heard of now and then. */
static inline bool least_relieves(const struct least_load *a, const struct least_load *b)
{
	bool told = a->told && b->told;
	uint64_t x = (uint64_t)(told ? a->total : a->in_flight) * b->weight;
	uint64_t y = (uint64_t)(told ? b->total : b->in_flight) * a->weight;

	return x * 14 < y * 10 && (uint64_t)a->latency * 14 < (uint64_t)b->latency * 10;
}

/** Has the packet something for the other end's program? Of SCTP nobody looks: its associations count as they are. */
bool least_has_payload(const struct item *it);
/** A connection was made to the backend: it begins with a request. */
void least_begins(struct worker *w, enum least_of of, uint32_t id);
/** A packet of a connection whose turns are known came from the client, or from the backend; not rewritten yet. */
void least_asks(struct worker *w, enum least_of of, const struct item *it, const struct conn_hit *hit);
void least_answers(struct worker *w, enum least_of of, const struct item *it, const struct conn_hit *hit);

/** Control thread. In flight to the backend from all workers. The latency that was noted last, 0: none. */
uint32_t least_in_flight_of(const struct dp *dp, enum least_of of, uint32_t id);
uint32_t least_latency_us_of(const struct dp *dp, enum least_of of, uint32_t id);

static inline uint32_t least_in_flight(const struct dp *dp, uint32_t id)
{
	return least_in_flight_of(dp, LEAST_OWN, id);
}

static inline uint32_t least_latency_us(const struct dp *dp, uint32_t id)
{
	return least_latency_us_of(dp, LEAST_OWN, id);
}
