/*
 * goals.h: what Sluice's dataplane is held to, each goal a ratio between trials of one run or a limit, and
 * what was measured of it.
 */
#pragma once

#include <jansson.h>

#include "bench/report/report.h"

enum goal_bound { AT_MOST, AT_LEAST };

/* Trials of one kind by one peer. */
struct goal_side {
	struct kind kind;
	const char *peer; /* NULL: there is no other side, the limit is absolute */
};

struct goal {
	const char *text; /* NULL ends the table */
	enum metric metric;
	struct goal_side a, b; /* the figure is a's over b's, or a's */
	enum goal_bound bound;
	double limit;
};

extern const struct goal goals[];

/** Prints each goal for which the report has trials: the measured figure, and met or not. */
void goals_print(const struct report *r);

/** [{goal, measured, limit, met, like, trials}] of the same. */
json_t *goals_json(const struct report *r);
