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

/** As measure_trial() of the paced `g`, of which each frame is timed: percentiles are in `t`, and its histogram
 * is the caller's. `settle`: seconds that it runs before. 0 or -ENOMEM. */
int measure_timed(struct session *s, struct generator *g, double settle, struct trial *t);

/** Lets time pass. The seconds that did, fewer than asked for when the run is stopped. */
double measure_wait(const struct session *s, double seconds);

/** Adds a trial to the report, and its histogram; a run that was stopped forgets them. 0 or -ENOMEM. */
int measure_add(struct session *s, struct trial *t);

/** A trial whose figures are the scenario's own affair: nothing in it is the generator's, nor the worker's. */
struct trial measure_own(struct session *s, const char *variant);

/** What the next trials are of. */
void measure_variant(struct session *s, const char *variant);

/** Percent of what was sent that was lost. */
void measure_loss(struct trial *t);

/** Has `g` send at a share of what it carries in a closed loop now. */
void measure_pace(struct session *s, struct generator *g, double share);

/** For each size of frame a generator (as measure_generator()), and `take` as often as there are trials in a
 * turn. 0 or what failed. */
int measure_sizes(struct session *s, unsigned pairs, int (*take)(struct session *s, struct generator *g));

/** A warm-up and a trial with `g`, and with --search the rates without loss; added to the report. 0 or
 * -ENOMEM. */
int measure_throughput(struct session *s, struct generator *g);
