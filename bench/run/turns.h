/*
 * turns.h: peers take turns, A B C A B C, and each is set up anew for each count. So what changes on the
 * machine from one minute to the next affects all of them.
 */
#pragma once

#include "bench/report/scenario.h"

/**
 * Measures `scenario` as `o` asks for into `report`; turns are numbered from first_turn on. A peer that can't
 * run here is skipped, with its reason in the report. Returns 0, or -1 when something failed (already said on
 * stderr). Ends early when *stop becomes true.
 */
int turns_run(const struct scenario *scenario, const struct options *o, unsigned first_turn,
	struct report *report, const atomic_bool *stop);

/**
 * Every trial of `all` scenarios (up to one without a name) that a goal (report/goals.h) needs of the peers asked for, each
 * turn anew, so that what is compared lies close together. As turns_run.
 */
int turns_run_goals(
	const struct scenario *all, const struct options *o, struct report *report, const atomic_bool *stop);
