/*
 * ratio.h: how two sets of trials compare, trial by trial of the same turn; so what changes on a shared
 * machine from one minute to the next falls out.
 */
#pragma once

#include "bench/report/report.h"

/* Trials to compare: those of one kind by one peer. */
struct ratio_side {
	const struct kind *kind;
	const char *peer;
};

struct ratio {
	struct spread like;   /* a / b, of trials under like conditions */
	struct spread unlike; /* of the others: another state of the cores, or disturbed */
};

/** Divides `metric` of each trial of `a` by that of its counterpart of `b`: the n-th of the same turn. */
void ratio_of(const struct report *r, struct ratio_side a, struct ratio_side b, enum metric metric,
	struct ratio *out);
