/*
 * goals.h: what Sluice's dataplane is held to, each goal a ratio between trials of one run or a limit, and
 * what was measured of it.
 */
#pragma once

#include <jansson.h>

#include "bench/report/report.h"

enum goal_bound { AT_MOST, AT_LEAST };

struct goal {
	const char *text; /* NULL ends the table */
	enum metric metric;
	struct kind kind; /* of trials by Sluice, or by `peer` */
	enum goal_bound bound;
	double limit;
	const char *against; /* the figure is over that of this peer; NULL: it is absolute */
	struct kind other;   /* in trials of that kind, where it is another one */
	const char *peer;
};

extern const struct goal goals[];

/** Whose trials a goal is about: one, or two of which the figure is a ratio. How many. */
unsigned goal_sides(const struct goal *goal, struct report_side side[2]);

/** Prints each goal for which the report has trials: the measured figure, and met or not. */
void goals_print(const struct report *r);

/** [{goal, measured, limit, met, like, trials}] of the same. */
json_t *goals_json(const struct report *r);
