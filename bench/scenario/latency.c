/*
 * latency: how long a frame takes from its publication at one port to its sight at the other: now and then,
 * and at shares of the rate that the same switch carried in a closed loop just before, as cores change their
 * distance. `wake` is the first of them, with a switch that may sleep meanwhile.
 */
#include <string.h>

#include "bench/run/measure.h"

#define RARELY_PPS 1000.0

static const struct {
	const char *variant;
	double share; /* of capacity; 0: now and then */
} loads[] = {{"idle", 0}, {"10%", 0.1}, {"50%", 0.5}, {"90%", 0.9}};

static int take(struct session *s, struct generator *g)
{
	bool wake = strcmp(s->kind.scenario, "wake") == 0;
	unsigned n = wake ? 1 : sizeof(loads) / sizeof(loads[0]);
	int rc = 0;

	for (unsigned i = 0; i < n && rc == 0 && !atomic_load(s->stop); i++) {
		struct trial t;

		measure_variant(s, loads[i].variant);
		if (loads[i].share > 0)
			measure_pace(s, g, loads[i].share);
		else
			generator_pace(g, RARELY_PPS);
		rc = measure_timed(s, g, 0, &t);
		generator_pace(g, 0);
		if (rc < 0)
			return rc;
		if (wake)
			t.worker_share_pct = 0; /* it slept */
		rc = measure_add(s, &t);
	}
	return rc;
}

int latency_take(struct session *s)
{
	return measure_sizes(s, s->kind.count, take);
}
