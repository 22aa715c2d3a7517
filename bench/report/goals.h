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

/** Prints each goal for which the report has trials: the measured figure, and met or not, for cores that are near
 * each other and far apart; where goals were asked for, also those that were not measured, and why. */
void goals_print(const struct report *r);

/** [{scenario, goal, measured, bound, limit, met, like, near, far}] of the same; the last two are null or {measured,
 * met} of that state. */
json_t *goals_json(const struct report *r);

/** [{scenario, goal, why}] of those that were not measured. */
json_t *goals_missing_json(const struct report *r);
