/*
 * learn: every frame comes from a MAC address that the switch has not seen, and goes to one that it knows.
 * The rate is in addresses learned; how many the table then holds is asked of the switch.
 */
#include <errno.h>

#include "bench/peer/peer.h"
#include "bench/run/measure.h"
#include "bench/traffic/pairs.h"

struct sweep {
	struct generator *g;
	uint32_t first, hosts;
};

static void run_sweep(void *arg, double seconds, struct generator_result *result)
{
	struct sweep *sweep = arg;

	pairs_sweep(sweep->g, sweep->first, sweep->hosts, seconds, result);
	sweep->first += sweep->hosts;
}

/* Each trial shows as many addresses as the user asked for, and none twice. */
int learn_take(struct session *s)
{
	const struct options *o = s->o;
	struct sweep sweep = {.hosts = s->kind.count};
	int rc = 0;

	sweep.g = pairs_create(s->fronts, s->kind.size, false, s->kind.count * o->trials, o->window, s->stop);
	if (!sweep.g)
		return -ENOMEM;
	for (unsigned k = 0; k < o->trials && rc == 0 && !atomic_load(s->stop); k++) {
		struct trial t;

		measure_trial(s, run_sweep, &sweep, &t);
		if (s->peer->learned > 0)
			t.value[METRIC_LEARNED] =
				100.0 * (double)s->peer->learned / (s->kind.count * (k + 1.0));
		rc = report_add(s->report, &t);
	}
	generator_free(sweep.g);
	return rc;
}
