/*
 * latency.h: what a trial says of how long its frames took.
 */
#pragma once

#include "bench/report/report.h"

/** Percentiles of t->latency as the trial's figures; none when nothing was timed. */
void latency_take_percentiles(struct trial *t);
