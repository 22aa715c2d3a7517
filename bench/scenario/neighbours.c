/*
 * neighbours: what an honest pair of ports notices of a hostile one on the same worker. Its traffic is paced far
 * below capacity and timed, first in peace (`quiet`), then beside each attack (attack.h), each in a trial right
 * after a quiet one.
 *
 * A machine that stalls now and then has frames lost in peace too, as the pair sends on while nobody takes
 * them. So what counts is the loss beyond the quiet trial's, and where quiet lost at all both are disturbed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/host/histogram.h"
#include "bench/run/latency.h"
#include "bench/run/measure.h"
#include "bench/scenario/attack.h"

#define LOAD 0.1     /* of capacity */
#define SETTLE_S 0.3 /* tables fill, the switch asks for the backends */

unsigned neighbours_ports(unsigned count)
{
	return ATTACK_PORTS;
}

static int take_trial(struct session *s, struct generator *g, struct attack_run *run, struct trial *t)
{
	struct histogram *took = calloc(1, sizeof(*took));
	struct generator_result settling;
	int rc = took ? generator_time(g, took) : -ENOMEM;

	if (rc < 0) {
		free(took);
		return rc;
	}
	generator_beside(g, run ? attack_step : NULL, run);
	generator_run(g, SETTLE_S, &settling);
	*took = (struct histogram){0};
	measure_trial(s, measure_run, g, t);
	generator_beside(g, NULL, NULL);
	generator_time(g, NULL);
	t->paced = true;
	t->latency = took;
	t->value[METRIC_LOSS] = t->sent > 0 ? 100.0 * (double)t->lost / (double)t->sent : 0;
	latency_take_percentiles(t);
	return 0;
}

static int add(struct session *s, struct trial *t)
{
	if (!atomic_load(s->stop))
		return report_add(s->report, t);
	free(t->latency);
	return 0;
}

static void compare(struct trial *quiet, struct trial *beside)
{
	double added = beside->value[METRIC_LOSS] - quiet->value[METRIC_LOSS];

	beside->value[METRIC_BESIDE] = beside->value[METRIC_LATENCY_P99] / quiet->value[METRIC_LATENCY_P99];
	beside->value[METRIC_LOSS_ADDED] = added > 0 ? added : 0;
	quiet->disturbed = quiet->lost > 0;
	beside->disturbed = report_disturbed(quiet);
}

static int take_attack(
	struct session *s, struct generator *g, struct attack_run *run, const struct attack *attack)
{
	struct trial quiet = {0}, beside = {0};
	int rc, failed;

	snprintf(s->kind.variant, sizeof(s->kind.variant), "quiet");
	rc = take_trial(s, g, NULL, &quiet);
	if (rc < 0)
		return rc;
	snprintf(s->kind.variant, sizeof(s->kind.variant), "%s", attack->name);
	rc = attack_begin(run, s, attack);
	if (rc == 0)
		rc = take_trial(s, g, run, &beside);
	failed = attack_end(run);
	if (rc < 0) {
		free(quiet.latency);
		return rc == -ENOTSUP ? 0 : rc;
	}
	compare(&quiet, &beside);
	rc = add(s, &quiet);
	if (rc == 0)
		rc = add(s, &beside);
	return rc < 0 ? rc : failed;
}

static int take_attacks(struct session *s, struct generator *g)
{
	static struct attack_run run;
	struct generator_result closed;
	int rc = 0;

	measure_warm_up(s, g);
	generator_run(g, s->o->seconds / 4, &closed);
	generator_pace(g, closed.seconds > 0 ? LOAD * (double)closed.received / closed.seconds : 1000);
	for (const struct attack *a = attacks; a->name && rc == 0 && !atomic_load(s->stop); a++)
		rc = take_attack(s, g, &run, a);
	generator_pace(g, 0);
	return rc;
}

int neighbours_take(struct session *s)
{
	int rc = 0;

	for (unsigned i = 0; i < s->o->n_sizes && rc == 0 && !atomic_load(s->stop); i++) {
		struct generator *g;

		s->kind.size = s->o->sizes[i];
		rc = measure_generator(s, 1, &g);
		for (unsigned k = 0; k < s->o->trials && rc == 0 && !atomic_load(s->stop); k++)
			rc = take_attacks(s, g);
		generator_free(g);
	}
	return rc;
}
