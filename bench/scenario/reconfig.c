/*
 * reconfig: what changes of the switch's configuration, and reading it, do to the traffic beside them.
 * Traffic is paced far below capacity and the rings are deep, so that a frame is lost only when the switch
 * stands still or mislays it, not because the generator shares its core with the switch's control. Each kind
 * of change comes right after a trial without any.
 */
#include <errno.h>
#include <string.h>

#include "bench/host/histogram.h"
#include "bench/peer/peer.h"
#include "bench/run/changes.h"
#include "bench/run/measure.h"

#define LOAD 0.1 /* of capacity */
#define SLICE_S 0.1

/* Of hosts, two addresses each: a list is of a million addresses beside 1,000 changes. */
enum { LISTED_PAIRS_PER_CHANGE = 500 };

/* Traffic, and what is changed beside it. */
struct beside {
	struct generator *g;
	struct changes changes;
};

static void add_result(struct generator_result *sum, const struct generator_result *slice)
{
	sum->seconds += slice->seconds;
	sum->sent += slice->sent;
	sum->received += slice->received;
	sum->lost += slice->lost;
	sum->late += slice->late;
	sum->wrong += slice->wrong;
	sum->stalls += slice->stalls;
}

static void run_beside(void *arg, double seconds, struct generator_result *result)
{
	struct beside *b = arg;

	changes_begin(&b->changes);
	*result = (struct generator_result){0};
	do {
		struct generator_result slice;

		generator_run(b->g, SLICE_S < seconds ? SLICE_S : seconds, &slice);
		add_result(result, &slice);
	} while (!atomic_load(b->changes.s->stop) &&
		 (result->seconds < seconds || changes_going_on(&b->changes)));
	changes_end(&b->changes);
}

static void take_figures(const struct session *s, struct trial *t)
{
	struct histogram *gaps = &s->peer->gaps;

	t->paced = true;
	t->generator_share_pct = 0; /* control shares its core: what it could not send, it did not offer */
	t->value[METRIC_BLOCKED] = t->sent ? 1e3 * (double)t->lost * t->seconds / (double)t->sent : 0;
	if (gaps->count > 0) {
		t->value[METRIC_GAP_MAX] = (double)gaps->max * 1e-3;
		/* The longest are those in which something else had the core: no fault of the switch. */
		histogram_trim(gaps, s->peer->worker_away_ms);
	}
	if (gaps->count > 0)
		t->value[METRIC_GAP_P999] = (double)histogram_percentile(gaps, 99.9) * 1e-3;
}

/* One trial, with or without changes. 0; -ENOTSUP: the switch has no such change; -1 or -ENOMEM. */
static int take_trial(struct session *s, struct generator *g, const char *kind, struct trial *t)
{
	struct beside b = {.g = g, .changes = {.s = s, .kind = kind, .count = s->kind.count}};

	measure_variant(s, kind ? kind : "quiet");
	measure_trial(s, run_beside, &b, t);
	take_figures(s, t);
	return changes_report(&b.changes, t);
}

static int take_kind(struct session *s, struct generator *g, const char *kind)
{
	struct trial quiet = {0}, changing = {0};
	int rc = take_trial(s, g, NULL, &quiet);

	if (rc == 0)
		rc = take_trial(s, g, kind, &changing);
	if (rc < 0 || atomic_load(s->stop))
		return rc == -ENOTSUP ? 0 : rc;
	changing.value[METRIC_GAP_ADDED] = changing.value[METRIC_GAP_P999] - quiet.value[METRIC_GAP_P999];
	rc = measure_add(s, &quiet);
	return rc < 0 ? rc : measure_add(s, &changing);
}

/* Fills the switch's MAC table, so that listing it takes its time. */
static int fill_table(struct session *s)
{
	struct generator *many;
	int rc = measure_generator(s, s->kind.count * LISTED_PAIRS_PER_CHANGE, &many);

	generator_free(many);
	return rc;
}

static int take_kinds(struct session *s, struct generator *g)
{
	static const char *const kinds[] = {"ports", "networks", "backends", "fdb", "scrape", "list"};
	int rc = 0;

	measure_pace(s, g, LOAD);
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && rc == 0 && !atomic_load(s->stop); i++) {
		if (strcmp(kinds[i], "list") == 0)
			rc = fill_table(s);
		if (rc == 0)
			rc = take_kind(s, g, kinds[i]);
	}
	generator_pace(g, 0);
	return rc;
}

int reconfig_take(struct session *s)
{
	return measure_sizes(s, 1, take_kinds);
}
