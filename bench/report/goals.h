/*
 * goals.h: what Sluice's dataplane is held to, each goal a ratio between trials of one run or a limit, and
 * what was measured of it.
 */
#pragma once

#include <jansson.h>
#include <stdatomic.h>

#include "bench/report/options.h"
#include "bench/report/report.h"

/** Runs every trial that a goal needs, each turn anew, so that what is compared lies close together. As
 * turns_run. */
int goals_run(const struct options *o, struct report *report, const atomic_bool *stop);

/** Prints each goal for which the report has trials: the measured figure, and met or not. */
void goals_print(const struct report *r);

/** [{goal, measured, limit, met, like, trials}] of the same. */
json_t *goals_json(const struct report *r);
