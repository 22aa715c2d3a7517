/*
 * latency: how long a frame takes from its publication at one port to its sight at the other: now and then,
 * and at shares of the rate that the same switch carried in a closed loop just before. `wake` is the first of
 * them, with a switch that may sleep meanwhile.
 */
#include "bench/run/latency.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/host/histogram.h"
#include "bench/host/host.h"
#include "bench/run/measure.h"

#define RARELY_PPS 1000.0

static const struct {
	const char *variant;
	double share; /* of capacity */
} loads[] = {{"10%", 0.1}, {"50%", 0.5}, {"90%", 0.9}};

void latency_take_percentiles(struct trial *t)
{
	double us = 1e6 / host_tsc_hz();

	if (t->latency->count == 0)
		return;
	t->value[METRIC_LATENCY_P50] = (double)histogram_percentile(t->latency, 50) * us;
	t->value[METRIC_LATENCY_P99] = (double)histogram_percentile(t->latency, 99) * us;
	t->value[METRIC_LATENCY_P999] = (double)histogram_percentile(t->latency, 99.9) * us;
	t->value[METRIC_LATENCY_MAX] = (double)t->latency->max * us;
	t->value[METRIC_LATENCY_TAIL] = t->value[METRIC_LATENCY_P99] / t->value[METRIC_LATENCY_P50];
}

static int time_load(struct session *s, struct generator *g, const char *variant, double pps)
{
	struct histogram *took = calloc(1, sizeof(*took));
	struct trial t;
	int rc = -ENOMEM;

	if (took)
		rc = generator_time(g, took);
	if (rc < 0) {
		free(took);
		return rc;
	}
	snprintf(s->kind.variant, sizeof(s->kind.variant), "%s", variant);
	generator_pace(g, pps);
	measure_trial(s, measure_run, g, &t);
	generator_pace(g, 0);
	generator_time(g, NULL);
	t.paced = true;
	if (strcmp(s->kind.scenario, "wake") == 0)
		t.worker_share_pct = 0; /* it slept */
	t.latency = took;
	latency_take_percentiles(&t);
	if (atomic_load(s->stop)) {
		free(took);
		return 0;
	}
	return report_add(s->report, &t);
}

/* Frames a second in a closed loop, measured anew before each load: cores change their distance. */
static double capacity(struct session *s, struct generator *g)
{
	struct generator_result result;

	measure_warm_up(s, g);
	generator_run(g, s->o->seconds / 4, &result);
	return result.seconds > 0 ? (double)result.received / result.seconds : 0;
}

static int time_loads(struct session *s, struct generator *g)
{
	int rc = time_load(s, g, "idle", RARELY_PPS);

	if (strcmp(s->kind.scenario, "wake") == 0)
		return rc;
	for (unsigned i = 0; i < sizeof(loads) / sizeof(loads[0]) && rc == 0 && !atomic_load(s->stop); i++)
		rc = time_load(s, g, loads[i].variant, loads[i].share * capacity(s, g));
	return rc;
}

int latency_take(struct session *s)
{
	int rc = 0;

	for (unsigned i = 0; i < s->o->n_sizes && rc == 0 && !atomic_load(s->stop); i++) {
		struct generator *g;

		s->kind.size = s->o->sizes[i];
		rc = measure_generator(s, s->kind.count, &g);
		for (unsigned k = 0; k < s->o->trials && rc == 0 && !atomic_load(s->stop); k++)
			rc = time_loads(s, g);
		generator_free(g);
	}
	return rc;
}
