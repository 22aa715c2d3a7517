/*
 * neighbours: what an honest pair of ports notices of a hostile one on the same worker. Its traffic is paced
 * far below capacity and timed, first without an attack (`quiet`), then beside each attack (attack.h), each
 * in a trial right after a quiet one.
 *
 * A machine that stalls now and then loses frames in quiet trials too, as the pair goes on sending meanwhile.
 * So only the loss beyond the quiet trial's counts, and where the quiet trial lost any frame both are
 * disturbed.
 */
#include <errno.h>
#include <stdlib.h>

#include "bench/run/measure.h"
#include "bench/scenario/attack.h"

#define LOAD 0.1     /* of capacity */
#define SETTLE_S 0.3 /* tables fill, the switch asks for the backends */

static int take_trial(struct session *s, struct generator *g, struct attack_run *run, struct trial *t)
{
	int rc;

	measure_variant(s, run ? run->attack->name : "quiet");
	generator_beside(g, run ? attack_step : NULL, run);
	rc = measure_timed(s, g, SETTLE_S, t);
	generator_beside(g, NULL, NULL);
	if (rc == 0)
		measure_loss(t);
	return rc;
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

	rc = take_trial(s, g, NULL, &quiet);
	if (rc < 0)
		return rc;
	rc = attack_begin(run, s, attack);
	if (rc == 0)
		rc = take_trial(s, g, run, &beside);
	failed = attack_end(run);
	if (rc < 0) {
		free(quiet.latency);
		return rc == -ENOTSUP ? 0 : rc;
	}
	compare(&quiet, &beside);
	rc = measure_add(s, &quiet);
	if (rc == 0)
		rc = measure_add(s, &beside);
	return rc < 0 ? rc : failed;
}

static int take_attacks(struct session *s, struct generator *g)
{
	static struct attack_run run;
	int rc = 0;

	measure_pace(s, g, LOAD);
	for (const struct attack *a = attacks; a->name && rc == 0 && !atomic_load(s->stop); a++)
		rc = take_attack(s, g, &run, a);
	generator_pace(g, 0);
	return rc;
}

int neighbours_take(struct session *s)
{
	return measure_sizes(s, 1, take_attacks);
}
