#include "bench/run/ceiling.h"

#include "bench/host/probe.h"
#include "bench/peer/peer.h"
#include "bench/traffic/pairs.h"

#define TRIAL_S 0.1

enum { TRIALS = 4 };

/* The best of a few trials: what disturbs one can only make it slower. */
static int measure(struct peer *p, const struct options *o, unsigned size, struct report_ceiling *c,
	const atomic_bool *stop)
{
	struct front *fronts[PEER_MAX_PORTS] = {0};
	struct peer_setup setup = {.scenario = "l2", .ports = 2, .count = 1, .size = size};
	struct generator *g = NULL;
	int rc = peer_up(p, &setup, fronts);

	if (rc == 0)
		g = pairs_create(fronts, size, false, 1, o->window, stop);
	for (unsigned i = 0; g && i < TRIALS && !atomic_load(stop); i++) {
		struct generator_result result;

		generator_run(g, TRIAL_S, &result);
		if ((double)result.received / result.seconds / 1e6 > c->mpps)
			c->mpps = (double)result.received / result.seconds / 1e6;
	}
	peer_pause(p);
	c->round_trip_ns = probe_round_trip_ns(o->generator_core, o->worker_core);
	peer_resume(p);
	generator_free(g);
	peer_down(p, fronts);
	return g ? 0 : -1;
}

static bool measured(const struct report *report, unsigned size)
{
	for (unsigned i = 0; i < report->n_ceilings; i++)
		if (report->ceiling[i].size == size)
			return true;
	return false;
}

int ceiling_measure(const struct options *o, struct report *report, const atomic_bool *stop)
{
	struct peer null = {.name = "null", .opt = o};
	int rc = 0;

	for (unsigned i = 0; !o->packed && i < o->n_sizes && rc == 0 && !atomic_load(stop); i++) {
		struct report_ceiling c = {.size = o->sizes[i]};

		if (measured(report, c.size) || report->n_ceilings == OPTIONS_MAX_LIST)
			continue;
		rc = measure(&null, o, c.size, &c, stop);
		if (rc == 0)
			report->ceiling[report->n_ceilings++] = c;
	}
	return rc;
}
