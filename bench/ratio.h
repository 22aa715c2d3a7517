/*
 * ratio.h: one peer against another, pair by pair: trials of the same turn, so that both met the same
 * weather.
 */
#pragma once

#include "bench/report.h"
#include "bench/spread.h"

struct ratio {
	struct spread mpps;   /* a's divided by b's */
	struct spread cycles; /* the same of cycles a packet, where both say it */
	unsigned unlike; /* pairs left out: cores near in one trial and not in the other, or one disturbed */
};

/** Pairs the trials of `a` and `b` with this size and number of pairs. */
void ratio_of(const struct report *r, unsigned size, unsigned pairs, const char *a, const char *b,
	struct ratio *out);
