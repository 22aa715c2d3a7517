/*
 * gap.h: how long a worker stays away from its ports. Of each millisecond that it is awake it keeps the
 * longest time from one poll to the next, and counts milliseconds by it: "in 999 of 1,000 milliseconds no
 * frame waited longer than ..." is what a reader makes of that. Counting polls instead would hide a stall
 * behind the thousands of short polls around it.
 */
#pragma once

#include "dataplane/core/account.h"

/** Worker. Counts the millisecond that is over. */
void gap_count(struct account *a, uint64_t now);

/** Worker, at the start of each turn, at TSC `now`. */
static inline void gap_note(struct account *a, uint64_t now)
{
	uint64_t gap = now - a->last_turn;

	if (a->last_turn && gap > a->gap_now)
		a->gap_now = gap;
	a->last_turn = now;
	if (now >= a->gap_until)
		gap_count(a, now);
}

/** The bucket that counts gaps of `ns` nanoseconds. */
unsigned gap_bucket(uint64_t ns);

/** The greatest gap that a bucket counts, in microseconds; infinite for the last. */
double gap_upper_us(unsigned bucket);
