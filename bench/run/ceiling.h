/*
 * ceiling.h: what the generator reaches against a null switch (null.h): no figure of any other switch can be
 * higher.
 */
#pragma once

#include <stdatomic.h>

#include "bench/report/report.h"

/**
 * Measures each size of `o` against the null switch, a few short trials each, into report->ceiling, where it
 * is not there yet. With packed rings, which the null switch has not, it does nothing. 0, or -1 when it
 * failed (already said on stderr).
 */
int ceiling_measure(const struct options *o, struct report *report, const atomic_bool *stop);
