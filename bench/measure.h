/*
 * measure.h: one trial: warm-up, the state of the cores before and after, the switch's own counters around
 * the generator's run.
 */
#pragma once

#include "bench/generator.h"
#include "bench/scenario.h"

/** Traffic until the switch has found its pace: caches filled, flow tables grown. */
void measure_warm_up(struct session *s, struct generator *g);

/** What drives the traffic of a trial for `seconds`; generator_run unless a scenario has its own. */
typedef void measure_fn(void *arg, double seconds, struct generator_result *result);

/**
 * Begins a trial of s->kind: probes the cores, resets the switch's counters, calls `fn`, and fills everything
 * but the scenario's own metrics into `t`. Nothing is added to the report.
 */
void measure_trial(struct session *s, measure_fn *fn, void *arg, struct trial *t);

/** A warm-up and a trial with `g`, and with --search the rates without loss; added to the report. 0 or
 * -ENOMEM. */
int measure_throughput(struct session *s, struct generator *g);
