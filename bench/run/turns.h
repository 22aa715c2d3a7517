/*
 * turns.h: peers take turns, A B C A B C, each set up anew for each count, so that what changes on the
 * machine from one minute to the next meets all of them.
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
