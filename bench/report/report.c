#include "bench/report/report.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/host/histogram.h"
#include "bench/host/host.h"

#define BUSY_ENOUGH_PCT 95.0
#define SHARE_ENOUGH_PCT 97.0

void report_init(struct report *r, const struct options *opt)
{
	*r = (struct report){.opt = opt};
}

void report_free(struct report *r)
{
	for (struct trial *t = r->trials; t < r->trials + r->n_trials; t++)
		free(t->latency);
	free(r->trials);
	r->trials = NULL;
	r->n_trials = r->room = 0;
}

struct trial report_trial(const struct kind *kind, const char *peer, unsigned turn)
{
	struct trial t = {.kind = *kind, .turn = turn, .state = "unknown"};

	snprintf(t.peer, sizeof(t.peer), "%s", peer);
	for (unsigned m = 0; m < METRICS; m++)
		t.value[m] = NAN;
	return t;
}

void report_percentiles(struct trial *t)
{
	const double us = 1e6 / host_tsc_hz();

	t->value[METRIC_LATENCY_P50] = (double)histogram_percentile(t->latency, 50) * us;
	t->value[METRIC_LATENCY_P99] = (double)histogram_percentile(t->latency, 99) * us;
	t->value[METRIC_LATENCY_MAX] = (double)t->latency->max * us;
}

int report_add(struct report *r, const struct trial *t)
{
	if (r->n_trials == r->room) {
		unsigned room = r->room ? 2 * r->room : 64;
		struct trial *trials = reallocarray(r->trials, room, sizeof(*trials));

		if (!trials) {
			free(t->latency);
			return -ENOMEM;
		}
		r->trials = trials;
		r->room = room;
	}
	r->trials[r->n_trials++] = *t;
	return 0;
}

void report_peer(
	struct report *r, const char *name, const char *version, const char *command, const char *skipped)
{
	struct report_peer *p = r->peers;

	while (p < r->peers + r->n_peers && strcmp(p->name, name) != 0)
		p++;
	if (p == r->peers + r->n_peers) {
		if (r->n_peers == OPTIONS_MAX_PEERS)
			return;
		r->n_peers++;
	}
	snprintf(p->name, sizeof(p->name), "%s", name);
	snprintf(p->version, sizeof(p->version), "%s", version);
	snprintf(p->command, sizeof(p->command), "%s", command);
	snprintf(p->skipped, sizeof(p->skipped), "%s", skipped);
}

bool report_same_kind(const struct kind *a, const struct kind *b)
{
	return a->size == b->size && a->count == b->count && strcmp(a->scenario, b->scenario) == 0 &&
	       strcmp(a->variant, b->variant) == 0;
}

bool report_is_of(const struct trial *t, struct report_side side)
{
	return report_same_kind(&t->kind, side.kind) && strcmp(t->peer, side.peer) == 0;
}

bool report_first_of_kind(const struct report *r, unsigned i)
{
	for (unsigned k = 0; k < i; k++)
		if (report_same_kind(&r->trials[k].kind, &r->trials[i].kind))
			return false;
	return true;
}

bool report_disturbed(const struct trial *t)
{
	return t->disturbed || (t->worker_share_pct > 0 && t->worker_share_pct < SHARE_ENOUGH_PCT) ||
	       (t->generator_share_pct > 0 && t->generator_share_pct < SHARE_ENOUGH_PCT);
}

bool report_generator_bound(const struct trial *t)
{
	return !t->paced && !report_disturbed(t) && t->value[METRIC_BUSY] < BUSY_ENOUGH_PCT;
}

static void add_trial(struct report_summary *s, const struct trial *t)
{
	if (!s->first)
		s->first = t;
	for (unsigned m = 0; m < METRICS; m++)
		if (!isnan(t->value[m]))
			spread_add(&s->value[m], t->value[m]);
	for (unsigned i = 0; i < t->n_stages; i++)
		spread_add(&s->stage[i], t->stage[i].cycles_per_packet);
	s->lost += t->lost;
	s->late += t->late;
	s->wrong += t->wrong;
	s->near += strcmp(t->state, "near") == 0;
	s->far += strcmp(t->state, "far") == 0;
	s->mixed += strcmp(t->state, "mixed") == 0;
	s->bound += report_generator_bound(t);
	s->disturbed += report_disturbed(t);
	s->stolen += t->stolen_ms > 0;
	s->stalled += t->stalls > 0;
}

void report_summarize(const struct report *r, struct report_side side, struct report_summary *s)
{
	memset(s, 0, sizeof(*s));
	for (const struct trial *t = r->trials; t < r->trials + r->n_trials; t++)
		if (report_is_of(t, side))
			add_trial(s, t);
}

/* The n-th trial of `side` in `turn`, or NULL. */
static const struct trial *find(const struct report *r, struct report_side side, unsigned turn, unsigned n)
{
	for (const struct trial *t = r->trials; t < r->trials + r->n_trials; t++)
		if (t->turn == turn && report_is_of(t, side) && n-- == 0)
			return t;
	return NULL;
}

static bool alike(const struct trial *a, const struct trial *b)
{
	return strcmp(a->state, b->state) == 0 && strcmp(a->state, "mixed") != 0 && !report_disturbed(a) &&
	       !report_disturbed(b);
}

void report_add_figure(struct report_ratio *out, bool like, const char *state, double figure)
{
	spread_add(like ? &out->like : &out->unlike, figure);
	if (like && strcmp(state, "near") == 0)
		spread_add(&out->near, figure);
	if (like && strcmp(state, "far") == 0)
		spread_add(&out->far, figure);
}

void report_compare(const struct report *r, struct report_side a, struct report_side b, enum metric metric,
	struct report_ratio *out)
{
	unsigned turn = 0, n = 0;

	memset(out, 0, sizeof(*out));
	for (const struct trial *t = r->trials; t < r->trials + r->n_trials; t++) {
		const struct trial *other;

		if (!report_is_of(t, a))
			continue;
		n = t->turn == turn ? n + 1 : 0;
		turn = t->turn;
		other = find(r, b, turn, n);
		if (!other || !(other->value[metric] > 0) || isnan(t->value[metric]))
			continue;
		report_add_figure(out, alike(t, other), t->state, t->value[metric] / other->value[metric]);
	}
}
