/*
 * generator.h: sends and receives at two ports at once, from one thread, as fast as the switch between them
 * takes it. In a closed loop at most `window` frames of each direction are under way, so that a switch which
 * never drops is never made to; in an open loop (window 0) each ring is kept full and what the switch can't
 * carry is lost.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/front/front.h"

enum { GENERATOR_MIN_WINDOW = 64 }; /* and rings no smaller than that */

struct generator;
struct histogram;

/* One run; both directions summed. */
struct generator_result {
	double seconds;
	uint64_t sent;
	uint64_t
		received; /* within `seconds`; what arrives while the last frames drain is not counted here */
	uint64_t lost;	  /* of `sent`, never seen; paced, also those for which the ring had no room */
	uint64_t late;	  /* arrived after a later one */
	uint64_t wrong;	  /* at the wrong port, twice, or changed */
	uint64_t
		untimed; /* seen, but not timed: they had to wait for the generator itself (generator_time) */
	double wait_pct; /* of the time the generator had nothing to do: the switch was the limit */
	double share_pct; /* of the core that the generator's thread was given */
};

/**
 * Drives the two connected fronts (borrowed) with frames of `size` bytes (traffic.h) between `pairs` pairs of
 * hosts. Returns NULL without memory. `stop` ends runs early when it becomes true (a signal).
 */
struct generator *generator_create(struct front *const fronts[2], unsigned size, unsigned pairs,
	unsigned window, const atomic_bool *stop);
void generator_free(struct generator *g);

/**
 * Shows the switch every address: each host sends, from both ports in turn, until its frame has arrived; at
 * most `seconds`. Returns 0, or -ETIMEDOUT when some frame never arrived.
 */
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
 * A paced run that is timed calls `step` each time round: for what else shall happen beside it, on its core, at
 * full speed. What `step` takes is part of what is timed, so it is to be short. NULL: nothing.
 */
void generator_beside(struct generator *g, void (*step)(void *arg), void *arg);

/**
 * Each host behind port 0 sends one frame, in order, to the first host behind port 1, as fast as the window
 * lets it; for at most `seconds`. To show a switch new addresses, each time it is called others: the next
 * `count` of the pairs.
 */
void generator_sweep(struct generator *g, uint32_t count, double seconds, struct generator_result *result);

/** Runs for `seconds` on the calling thread, then waits for what is still under way. */
void generator_run(struct generator *g, double seconds, struct generator_result *result);
