#include "bench/run/measure.h"

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/host/histogram.h"
#include "bench/host/host.h"
#include "bench/host/probe.h"
#include "bench/peer/peer.h"
#include "bench/run/search.h"
#include "bench/traffic/pairs.h"

enum { NAP_MS = 10 };

#define SETTLE_S 15.0 /* at most; Open vSwitch raises its limit of flows by a thousand each half second */
#define SETTLED 0.05  /* two warm-ups in a row that differ by no more */

/* For the first frame of every host to get through. */
#define LEARN_S 10.0
#define LEARN_ITEM_S 20e-6

int measure_learn(struct session *s, struct generator *g)
{
	if (generator_learn(g, LEARN_S + g->items * LEARN_ITEM_S) == 0 || atomic_load(s->stop))
		return 0;
	warnx("%s: it does not deliver every frame, even at a slow pace", s->peer->name);
	return -ETIMEDOUT;
}

int measure_generator(struct session *s, unsigned pairs, struct generator **out)
{
	int rc;

	*out = pairs_create(s->fronts, s->kind.size, s->ipv6, pairs, s->o->window, s->stop);
	if (!*out)
		return -ENOMEM;
	rc = measure_learn(s, *out);
	if (rc == 0)
		return 0;
	generator_free(*out);
	*out = NULL;
	return rc;
}

void measure_warm_up(struct session *s, struct generator *g)
{
	double length = s->o->warm_up, before = 0, now, change;
	struct generator_result result;

	if (length == 0)
		return;
	for (double spent = 0; spent < SETTLE_S && !atomic_load(s->stop); spent += length, before = now) {
		generator_run(g, length, &result);
		now = (double)result.received / result.seconds;
		change = now > before ? now - before : before - now;
		if (before > 0 && change <= SETTLED * now)
			return;
	}
}

static double probe(struct session *s)
{
	double ns;

	peer_pause(s->peer);
	ns = probe_round_trip_ns(s->o->generator_core, s->o->worker_core);
	peer_resume(s->peer);
	return ns;
}

static void take_switch_figures(struct session *s, struct trial *t)
{
	const struct peer *p = s->peer;

	t->worker_share_pct = p->worker_share_pct;
	t->n_stages = p->n_stages;
	memcpy(t->stage, p->stage, sizeof(t->stage));
	if (p->cycles_per_packet > 0) {
		t->value[METRIC_CYCLES] = p->cycles_per_packet;
		t->value[METRIC_BUSY] =
			p->cycles_per_packet * t->value[METRIC_MPPS] * 1e6 / host_tsc_hz() * 100;
	}
}

void measure_trial(struct session *s, measure_fn *fn, void *arg, struct trial *t)
{
	struct generator_result result;
	uint64_t stolen;

	*t = report_trial(&s->kind, s->peer->name, s->turn);
	t->before_ns = probe(s);
	stolen = host_stolen_ms();
	peer_measure_begin(s->peer);
	fn(arg, s->o->seconds, &result);
	peer_measure_end(s->peer);
	t->stolen_ms = host_stolen_ms() - stolen;
	t->after_ns = probe(s);
	t->state = probe_state(t->before_ns, t->after_ns);
	t->seconds = result.seconds;
	t->value[METRIC_MPPS] = result.seconds > 0 ? (double)result.received / result.seconds / 1e6 : 0;
	t->wait_pct = result.wait_pct;
	t->sent = result.sent;
	t->lost = result.lost;
	t->late = result.late;
	t->wrong = result.wrong;
	t->untimed = result.untimed;
	t->stalls = result.stalls;
	t->generator_share_pct = result.share_pct;
	take_switch_figures(s, t);
}

void measure_run(void *arg, double seconds, struct generator_result *result)
{
	generator_run(arg, seconds, result);
}

int measure_timed(struct session *s, struct generator *g, double settle, struct trial *t)
{
	struct histogram *took = calloc(1, sizeof(*took));
	struct generator_result settling;
	int rc = took ? generator_time(g, took) : -ENOMEM;

	if (rc < 0) {
		free(took);
		return rc;
	}
	if (settle > 0)
		generator_run(g, settle, &settling);
	*took = (struct histogram){0};
	measure_trial(s, measure_run, g, t);
	generator_time(g, NULL);
	t->paced = true;
	t->latency = took;
	if (took->count == 0)
		return 0;
	report_percentiles(t);
	t->value[METRIC_LATENCY_P999] = (double)histogram_percentile(took, 99.9) * 1e6 / host_tsc_hz();
	t->value[METRIC_LATENCY_TAIL] = t->value[METRIC_LATENCY_P99] / t->value[METRIC_LATENCY_P50];
	return 0;
}

double measure_wait(const struct session *s, double seconds)
{
	const struct timespec nap = {.tv_nsec = NAP_MS * 1000000L};
	uint64_t start = host_now_ns(), now = start;

	while ((double)(now - start) < seconds * 1e9 && !atomic_load(s->stop)) {
		nanosleep(&nap, NULL);
		now = host_now_ns();
	}
	return (double)(now - start) / 1e9;
}

int measure_add(struct session *s, struct trial *t)
{
	if (!atomic_load(s->stop))
		return report_add(s->report, t);
	free(t->latency);
	return 0;
}

void measure_variant(struct session *s, const char *variant)
{
	snprintf(s->kind.variant, sizeof(s->kind.variant), "%s", variant);
}

struct trial measure_own(struct session *s, const char *variant)
{
	struct trial t;

	measure_variant(s, variant);
	t = report_trial(&s->kind, s->peer->name, s->turn);
	t.paced = true;
	return t;
}

void measure_loss(struct trial *t)
{
	t->value[METRIC_LOSS] = t->sent > 0 ? 100.0 * (double)t->lost / (double)t->sent : 0;
}

void measure_pace(struct session *s, struct generator *g, double share)
{
	struct generator_result closed;

	generator_pace(g, 0);
	measure_warm_up(s, g);
	generator_run(g, s->o->seconds / 4, &closed);
	generator_pace(g, closed.received > 0 ? share * (double)closed.received / closed.seconds : 1000);
}

int measure_sizes(struct session *s, unsigned pairs, int (*take)(struct session *s, struct generator *g))
{
	int rc = 0;

	for (unsigned i = 0; i < s->o->n_sizes && rc == 0 && !atomic_load(s->stop); i++) {
		struct generator *g;

		s->kind.size = s->o->sizes[i];
		rc = measure_generator(s, pairs, &g);
		for (unsigned k = 0; k < s->o->trials && rc == 0 && !atomic_load(s->stop); k++)
			rc = take(s, g);
		generator_free(g);
	}
	return rc;
}

int measure_throughput(struct session *s, struct generator *g)
{
	struct trial t;

	measure_warm_up(s, g);
	measure_trial(s, measure_run, g, &t);
	if (s->o->search)
		search_rates(s, g, &t);
	return measure_add(s, &t);
}
