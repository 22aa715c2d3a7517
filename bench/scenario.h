/*
 * scenario.h: what sluice-bench can measure. A scenario is one file and one line in the table (main.c).
 */
#pragma once

#include <stdatomic.h>

#include "bench/options.h"
#include "bench/report.h"

struct scenario {
	const char *name; /* NULL ends the table */
	const char *help;
	/**
	 * Measures what `o` asks for into `report`. A peer that can't run here is skipped, with its reason in
	 * the report. Returns 0, or -1 when something failed (already said on stderr). Ends early, as good as
	 * it can, when *stop becomes true.
	 */
	int (*run)(const struct options *o, struct report *report, const atomic_bool *stop);
};

extern const struct scenario scenarios[];

int l2_run(const struct options *o, struct report *report, const atomic_bool *stop);
