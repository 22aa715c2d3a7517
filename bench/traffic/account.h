/*
 * account.h: what each of two ports has sent and the other one has seen of it, by the numbers that the frames
 * carry, and the clock of a run.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/host/host.h"

/* A frame that has not arrived by then is lost. The former is far longer than any switch holds one, and
 * outlives a worker that shares its core for a while; the latter only makes the next attempt begin. */
#define ACCOUNT_PATIENCE_S 0.2
#define ACCOUNT_LEARN_PATIENCE_S 0.02

struct generator_result;

/* One direction: what one port has sent and the other one has seen of it. */
struct direction {
	uint64_t sent;	   /* also the next number */
	uint64_t expected; /* next to arrive; all before it have arrived or are lost */
	uint64_t received, lost, late, wrong;
};

/* A run under way: what was before it, both directions summed, and its clock in cycles of host_tsc(). */
struct account_run {
	struct direction before;
	uint64_t start, end, now, last; /* last: when something last moved */
	uint64_t waited;
	double ran; /* CPU seconds of the thread before it */
};

/** Frame `seq` has arrived. False, and counted as wrong: it was never sent, or was there already. */
static inline bool account_count(struct direction *d, uint64_t seq)
{
	if (seq >= d->sent || (seq < d->expected && d->lost == 0)) {
		d->wrong++;
		return false;
	}
	if (seq >= d->expected) {
		d->lost += seq - d->expected;
		d->expected = seq + 1;
	} else { /* it was not lost: others overtook it */
		d->lost--;
		d->late++;
	}
	d->received++;
	return true;
}

/** Frames of both directions that have neither arrived nor been given up. */
static inline uint64_t account_in_flight(const struct direction from[2])
{
	return from[0].sent - from[0].expected + from[1].sent - from[1].expected;
}

/** All that is under way is lost. */
static inline void account_give_up(struct direction from[2])
{
	for (unsigned i = 0; i < 2; i++) {
		from[i].lost += from[i].sent - from[i].expected;
		from[i].expected = from[i].sent;
	}
}

/** Begins a run of `seconds` on the calling thread. */
struct account_run account_begin(const struct direction from[2], double seconds);

/** Has its time not come yet, nor `stop`? */
static inline bool account_goes_on(const struct account_run *run, const atomic_bool *stop)
{
	return run->now < run->end && !atomic_load_explicit(stop, memory_order_relaxed);
}

/** Advances the clock by a round that moved `moved` frames; what is long overdue is given up. */
static inline void account_tick(struct account_run *run, struct direction from[2], unsigned moved)
{
	uint64_t began = run->now;

	run->now = host_tsc();
	if (moved > 0) {
		run->last = run->now;
		return;
	}
	run->waited += run->now - began;
	if (run->now - run->last > (uint64_t)(ACCOUNT_PATIENCE_S * host_tsc_hz())) {
		account_give_up(from);
		run->last = run->now;
	}
}

/**
 * Calls `receive` until nothing is under way, or nothing has come for `seconds`; what is missing then is lost.
 * `receive` looks at both ports once and returns how many frames had come.
 */
void account_drain(struct direction from[2], double seconds, unsigned (*receive)(void *arg), void *arg);

/** Ends a run: waits for what is still under way, as account_drain(), and says what came of it. */
void account_finish(const struct account_run *run, struct direction from[2], unsigned (*receive)(void *arg),
	void *arg, struct generator_result *result);
