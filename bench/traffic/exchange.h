/*
 * exchange.h: a generator for scenarios whose frames are not those of l2. It drives both ports in bursts, and
 * keeps account of what each has sent and the other one has seen by numbers that the frames carry. What they
 * look like is the scenario's: it writes bursts of them, and reads those that come.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/front/rx.h"
#include "bench/front/tx.h"
#include "bench/traffic/account.h"
#include "bench/traffic/generator.h"

enum { EXCHANGE_BURST = 32, EXCHANGE_INTACT_EVERY = 64 };

struct exchange {
	struct front_ring *rx[2], *tx[2];
	struct direction from[2];
	unsigned window; /* frames under way each way; 0: any number */
	const atomic_bool *stop;
	bool silent[2]; /* the port does not send */
	bool in_turn;	/* items one after the other instead of in random order */
	uint32_t items; /* flows, connections: what the frames are of */
	uint32_t next[2], end[2];
	uint32_t random;       /* state of the order; never 0 */
	uint32_t since_intact; /* frames since one was checked as a whole */
	/** Writes `n` frames into the next free slots of tx[from], of exchange_item() each, numbered
	 * from[from].sent++. */
	void (*write)(struct exchange *x, unsigned from, unsigned n);
	/** Reads `n` frames that have arrived at port `at`; says of each exchange_count() or
	 * exchange_wrong(). */
	void (*read)(struct exchange *x, unsigned at, const struct front_frame *frames, unsigned n);
};

/** Readies a zeroed `x` for two connected fronts (borrowed). */
void exchange_init(
	struct exchange *x, struct front *const fronts[2], unsigned window, const atomic_bool *stop);

/** 32 random bits (Marsaglia's xorshift32). */
static inline uint32_t exchange_random(struct exchange *x)
{
	uint32_t r = x->random;

	r ^= r << 13;
	r ^= r >> 17;
	r ^= r << 5;
	x->random = r;
	return r;
}

/** The item of the next frame that port `from` sends. */
static inline uint32_t exchange_item(struct exchange *x, unsigned from)
{
	if (__builtin_expect(x->in_turn, 0))
		return x->next[from]++;
	return (uint32_t)(((uint64_t)exchange_random(x) * x->items) >> 32);
}

/** A frame that no switch may deliver at port `at`, or not as it is, has arrived there. */
static inline void exchange_wrong(struct exchange *x, unsigned at)
{
	x->from[!at].wrong++;
}

/** Frame `seq` of the other port has arrived at port `at`. */
static inline void exchange_count(struct exchange *x, unsigned at, uint64_t seq)
{
	account_count(&x->from[!at], seq);
}

/** For every 64th call: check the frame at hand as a whole. */
static inline bool exchange_due(struct exchange *x)
{
	if (__builtin_expect(++x->since_intact < EXCHANGE_INTACT_EVERY, 1))
		return false;
	x->since_intact = 0;
	return true;
}

/** As generator_run: both ports at once for `seconds`, then waits for what is still under way. */
void exchange_run(struct exchange *x, double seconds, struct generator_result *result);

/**
 * Port `from` sends items first..first + count - 1, one frame each in order, as fast as the window lets it;
 * at most `seconds`. The other port only receives.
 */
void exchange_sweep(struct exchange *x, unsigned from, uint32_t first, uint32_t count, double seconds,
	struct generator_result *result);

/**
 * The same at a slow pace, again and again until every frame has arrived: to show a switch what it must know.
 * Losses are not counted. 0, or -ETIMEDOUT when that took more than `seconds`.
 */
int exchange_each(struct exchange *x, unsigned from, uint32_t first, uint32_t count, double seconds);
