/*
 * measure.h: one trial: warm-up, the state of the cores before and after, the switch's own counters around
 * the generator's run.
 */
#pragma once

#include "bench/report/scenario.h"
#include "bench/traffic/generator.h"

/**
 * A generator between the session's first two fronts with frames of s->kind.size, whose hosts the switch has
 * learned. Returns 0; -ENOMEM; -ETIMEDOUT: it does not deliver (said on stderr). *out is NULL then.
 */
int measure_generator(struct session *s, unsigned pairs, struct generator **out);

/** Shows the switch every item of `g`. 0 or -ETIMEDOUT, which has been said on stderr. */
int measure_learn(struct session *s, struct generator *g);

/** What drives the traffic of a trial for `seconds`. */
typedef void measure_fn(void *arg, double seconds, struct generator_result *result);

/** The usual one: generator_run; `arg` is the generator. */
measure_fn measure_run;

/** Traffic until the switch has found its pace: caches filled, flow tables grown. */
void measure_warm_up(struct session *s, struct generator *g);

/**
 * Begins a trial of s->kind: probes the cores, resets the switch's counters, calls `fn`, and fills everything
 * but the scenario's own metrics into `t`. Nothing is added to the report.
 */
void measure_trial(struct session *s, measure_fn *fn, void *arg, struct trial *t);

/** A warm-up and a trial with `g`, and with --search the rates without loss; added to the report. 0 or
 * -ENOMEM. */
int measure_throughput(struct session *s, struct generator *g);
