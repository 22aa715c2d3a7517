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
	uint64_t gaps[DP_GAPS];	       /* milliseconds by their longest gap (gap.h) */
	_Atomic(uint64_t) longest_gap; /* control takes it and sets it to 0 */
	_Atomic(bool) asleep;
	uint64_t queue_cycles[MAX_PORTS *
			      PORT_QUEUES_MAX]; /* by queue, from the timed bursts; touched lazily */
};
