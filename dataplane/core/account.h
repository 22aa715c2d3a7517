/*
 * account.h: where a worker's cycles went. Written by the worker alone; control reads, and may see a turn
 * half counted. Stages are timed on one burst in SAMPLE_EVERY, so that the clock is not read at every stage
 * of every one.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/core/worker.h"

/*
 * Gaps tell how long a worker stays away from its ports. Of each millisecond that it is awake it keeps the longest time
 * from one poll to the next, and counts milliseconds by it: "in 999 of 1,000 milliseconds no frame waited longer than
 * ..." is what a reader makes of that (dp_gap_us()). Counting polls instead would hide a stall behind the thousands of
 * short polls around it.
 */

enum { SAMPLE_EVERY = 64 };

struct account {
	uint64_t busy; /* cycles of polls that found frames, and of the empty ones before them */
	uint64_t packets;
	uint64_t sampled;	       /* packets of the timed bursts */
	uint64_t stage[DP_STAGES_MAX]; /* cycles of the timed bursts: rx, the pipeline's, complete */
	uint32_t bursts;
	uint64_t last_turn;	       /* TSC at the start of the last turn; 0: was asleep */
	uint64_t ms;		       /* cycles in a millisecond; set once */
	uint64_t gap_now, gap_until;   /* the longest gap of the present millisecond; its end (TSC) */
	uint64_t gaps[DP_GAPS];	       /* milliseconds by their longest gap */
	_Atomic(uint64_t) longest_gap; /* control takes it and sets it to 0 */
	_Atomic(bool) asleep;
	uint64_t queue_cycles[MAX_PORTS *
			      PORT_QUEUES_MAX]; /* by queue, from the timed bursts; touched lazily */
};

/** Worker. Counts the millisecond that is over. */
void account_gap_count(struct account *a, uint64_t now);

/** Worker, at the start of each turn, at TSC `now`. */
static inline void account_gap(struct account *a, uint64_t now)
{
	uint64_t gap = now - a->last_turn;

	if (a->last_turn && gap > a->gap_now)
		a->gap_now = gap;
	a->last_turn = now;
	if (now >= a->gap_until)
		account_gap_count(a, now);
}

/** The bucket that counts gaps of `ns` nanoseconds. */
unsigned account_gap_bucket(uint64_t ns);
