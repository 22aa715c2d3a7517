#include "bench/run/search.h"

#include "bench/host/host.h"

#define TRIAL_S 0.2
#define PRECISION 0.01 /* of the rate searched below */
#define PDR_LOSS 0.005

#define SHARE_ENOUGH_PCT 99.0 /* of its core, for the generator */

enum { TRIALS = 3, NEEDED = 2, PATIENCE = 4 };

/* One trial that nobody else disturbed, or the last of several. True: no more than `loss` was lost. */
static bool passes(struct session *s, struct generator *g, double loss)
{
	struct generator_result result;
	uint64_t stolen;

	for (unsigned i = 0; i < PATIENCE; i++) {
		stolen = host_stolen_ms();
		generator_run(g, TRIAL_S, &result);
		if ((double)result.lost <= loss * (double)result.sent)
			return true;
		if (atomic_load(s->stop) ||
			(host_stolen_ms() == stolen && result.share_pct > SHARE_ENOUGH_PCT))
			break;
	}
	return false;
}

static bool carries(struct session *s, struct generator *g, double pps, double loss)
{
	unsigned passed = 0;

	generator_pace(g, pps);
	for (unsigned i = 0; i < TRIALS && passed < NEEDED && i - passed <= TRIALS - NEEDED; i++)
		passed += passes(s, g, loss);
	generator_pace(g, 0);
	return passed >= NEEDED;
}

static double greatest(struct session *s, struct generator *g, double top, double loss)
{
	double low = 0, high = top;

	while (high - low > PRECISION * top && !atomic_load(s->stop)) {
		double middle = (low + high) / 2;

		*(carries(s, g, middle * 1e6, loss) ? &low : &high) = middle;
	}
	return low;
}

void search_rates(struct session *s, struct generator *g, struct trial *t)
{
	double top = 1.05 * t->value[METRIC_MPPS];

	t->value[METRIC_PDR] = greatest(s, g, top, PDR_LOSS);
	t->value[METRIC_NDR] = greatest(s, g, t->value[METRIC_PDR] * (1 + PRECISION), 0);
}
