/*
 * generator.h: sends and receives at two ports at once, from one thread, as fast as the switch between them
 * takes it. In a closed loop at most `window` frames of each direction are under way, so that a switch which
 * never drops is never made to; in an open loop (window 0) each ring is kept full and what the switch can't
 * carry is lost. The generator keeps account of what each port has sent and the other one has seen by numbers
 * that the frames carry. What frames look like is the user's, who embeds a generator as the first member,
 * writes bursts and reads them: pairs.h for plain L2, scenarios vxlan and lb for theirs.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/front/rx.h"
#include "bench/front/tx.h"

enum {
	GENERATOR_MIN_WINDOW = 64, /* and rings no smaller than that */
	GENERATOR_BURST = 32,
	GENERATOR_INTACT_EVERY = 64,
};

struct histogram;

/* One run; both directions summed. */
struct generator_result {
	double seconds;
	uint64_t sent;
	uint64_t received; /* within `seconds`; what arrives as the last frames drain is not counted here */
	uint64_t lost;	   /* of `sent`, never seen; paced, also those for which the ring had no room */
	uint64_t late;	   /* arrived after a later one */
	uint64_t wrong;	   /* at the wrong port, twice, or changed */
	uint64_t untimed;  /* seen, but not timed: they waited for the generator itself (generator_time) */
	unsigned stalls;   /* how often nothing moved for so long (0.2 s) that all under way was given up */
	double wait_pct;   /* of the time the generator had nothing to do: the switch was the limit */
	double share_pct;  /* of the core that the generator's thread was given */
};

/* One direction: what one port has sent and the other one has seen of it. */
struct generator_way {
	uint64_t sent;	   /* also the next number */
	uint64_t expected; /* next to arrive; all before it have arrived or are lost */
	uint64_t received, lost, late, wrong;
};

/* When a frame was published. */
struct generator_stamp {
	uint64_t seq, tsc;
};

/* Of the last frames of either port, by their numbers, and what they took. */
struct generator_timing {
	struct histogram *took; /* NULL: frames are not timed */
	uint64_t mask, untimed;
	uint64_t away;		    /* cycles between two looks at the rings that say: the core was lost */
	uint64_t looked, lost_core; /* TSC: the last look; until when the core was lost last */
	struct generator_stamp *stamp[2];
};

struct generator {
	struct front_ring *rx[2], *tx[2];
	struct generator_way from[2];
	unsigned window; /* frames under way each way; 0: any number */
	const atomic_bool *stop;
	uint32_t items; /* pairs, connections: what the frames are of */
	bool silent[2]; /* the port does not send */
	/** Writes `n` frames into the next free slots of tx[from], of generator_item() each, numbered
	 * from[from].sent++. Returns how many slots it has used: more with frames that are not counted. */
	unsigned (*write)(struct generator *g, unsigned from, unsigned n);
	/** Reads `n` frames that have arrived at port `at`; says of each generator_count() or
	 * generator_wrong(). */
	void (*read)(struct generator *g, unsigned at, const struct front_frame *frames, unsigned n);
	/* generator.c's */
	bool in_turn; /* items one after the other instead of in random order */
	uint32_t next[2], end[2];
	uint32_t random;       /* state of the order; never 0 */
	uint32_t since_intact; /* frames since one was checked as a whole */
	double per_cycle;      /* paced: frames each way in a cycle of the clock; 0: closed loop */
	uint64_t offered[2];   /* paced: in this run */
	struct generator_timing timing;
	unsigned stalls;	   /* in this run */
	void (*beside)(void *arg); /* NULL: nothing */
	void *beside_arg;
};

/** Readies a zeroed `g` for two connected fronts (borrowed). `stop` ends runs early when it becomes true. */
void generator_init(
	struct generator *g, struct front *const fronts[2], unsigned window, const atomic_bool *stop);

/** Frees what embeds `g` as its first member. NULL is allowed. */
void generator_free(struct generator *g);

/** Runs for `seconds` on the calling thread, then waits for what is still under way. */
void generator_run(struct generator *g, double seconds, struct generator_result *result);

/**
 * Port `from` sends items first..first + count - 1, one frame each in order, as fast as the window lets it;
 * at most `seconds`. The other port only receives.
 */
void generator_sweep(struct generator *g, unsigned from, uint32_t first, uint32_t count, double seconds,
	struct generator_result *result);

/**
 * The same at a slow pace, again and again until every frame has arrived: to show a switch what it must know.
 * Losses are not counted. 0, or -ETIMEDOUT when that took more than `seconds`.
 */
int generator_each(struct generator *g, unsigned from, uint32_t first, uint32_t count, double seconds);

/** Shows the switch every item from both ports in turn, in at most `seconds`. Returns as generator_each(). */
int generator_learn(struct generator *g, double seconds);

/**
 * Sends `pps` frames a second from now on, both directions summed, however many arrive: an open loop, as RFC
 * 2544 has it. A frame that finds the ring full counts as sent and lost. 0: as fast as the window lets it.
 */
void generator_pace(struct generator *g, double pps);

/**
 * From now on each frame of a paced run is timed, one way: from its publication in one port's ring to when it
 * is first seen in the other's, in cycles of host_tsc(), added to `took` (borrowed). A frame that was under
 * way while the generator's core was taken from it is left out and counted as untimed; and frames that the
 * generator was late for are not caught up in a bunch. NULL: no more. 0 or -ENOMEM.
 */
int generator_time(struct generator *g, struct histogram *took);

/**
 * A run calls `step` each time round: for what else shall happen beside it, on its core, at full speed. What
 * `step` takes is part of what is timed, so it is to be short. NULL: nothing.
 */
void generator_beside(struct generator *g, void (*step)(void *arg), void *arg);

/** 32 random bits (Marsaglia's xorshift32). */
static inline uint32_t generator_random(struct generator *g)
{
	uint32_t r = g->random;

	r ^= r << 13;
	r ^= r >> 17;
	r ^= r << 5;
	g->random = r;
	return r;
}

/** The item of the next frame that port `from` sends. */
static inline uint32_t generator_item(struct generator *g, unsigned from)
{
	if (__builtin_expect(g->in_turn, 0))
		return g->next[from]++;
	/* a multiplication instead of a remainder */
	return g->items == 1 ? 0 : (uint32_t)(((uint64_t)generator_random(g) * g->items) >> 32);
}

/** A frame that no switch may deliver at port `at`, or not as it is, has arrived there. */
static inline void generator_wrong(struct generator *g, unsigned at)
{
	g->from[!at].wrong++;
}

/** Adds what frame `seq`, just seen at port `at`, took. */
void generator_add_time(struct generator *g, unsigned at, uint64_t seq);

/** Frame `seq` of the other port has arrived at port `at`. Wrong if it was never sent, or was there already. */
static inline void generator_count(struct generator *g, unsigned at, uint64_t seq)
{
	struct generator_way *d = &g->from[!at];

	if (seq >= d->sent || (seq < d->expected && d->lost == 0)) {
		d->wrong++;
		return;
	}
	if (seq >= d->expected) {
		d->lost += seq - d->expected;
		d->expected = seq + 1;
	} else { /* it was not lost: others overtook it */
		d->lost--;
		d->late++;
	}
	d->received++;
	if (__builtin_expect(g->timing.took != NULL, 0))
		generator_add_time(g, at, seq);
}

/** For every 64th call: check the frame at hand as a whole. */
static inline bool generator_due(struct generator *g)
{
	if (__builtin_expect(++g->since_intact < GENERATOR_INTACT_EVERY, 1))
		return false;
	g->since_intact = 0;
	return true;
}
