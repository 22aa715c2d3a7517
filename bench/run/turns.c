#include "bench/run/turns.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/host/host.h"
#include "bench/peer/peer.h"
#include "bench/report/goals.h"
#include "bench/run/ceiling.h"
#include "bench/traffic/traffic.h"

/* The user's lists, or where there is none the scenario's. */
static struct options complete(const struct scenario *scenario, const struct options *asked)
{
	struct options o = *asked;

	for (unsigned i = 0; asked->n_sizes == 0 && scenario->sizes[i]; i++)
		o.sizes[o.n_sizes++] = scenario->sizes[i];
	for (unsigned i = 0; asked->n_counts == 0 && scenario->default_counts[i]; i++)
		o.counts[o.n_counts++] = scenario->default_counts[i];
	if (o.ring < scenario->ring)
		o.ring = scenario->ring;
	o.packed |= scenario->packed;
	if (scenario->small_pages)
		o.huge_mb = 0;
	return o;
}

static void progress(const struct session *s)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[Kturn %u, %s, %u %s, %s", s->turn, s->kind.scenario, s->kind.count,
			scenario_find(s->kind.scenario)->counts, s->peer->name);
}

static unsigned ports_of(const struct scenario *scenario, unsigned count)
{
	switch (scenario->ports) {
	case SCENARIO_TWO_PORTS:
		return 2;
	case SCENARIO_NO_PORTS:
		return 0;
	case SCENARIO_COUNT_PORTS:
		return count;
	default:
		return (unsigned)scenario->ports;
	}
}

/* One peer's turn with one count; 0, or -1 when it failed. */
static int take_turn(const struct scenario *scenario, struct session *s)
{
	struct front *fronts[PEER_MAX_PORTS] = {0};
	struct peer_setup setup = {.scenario = scenario->name,
		.ports = ports_of(scenario, s->kind.count),
		.count = s->kind.count,
		.or_a_proxy = scenario->or_a_proxy};
	struct peer *p = s->peer;
	int rc;

	for (unsigned i = 0; i < s->o->n_sizes; i++)
		if (traffic_longest(s->o->sizes[i]) > setup.size)
			setup.size = traffic_longest(s->o->sizes[i]);
	s->fronts = fronts;
	s->n_fronts = setup.ports;
	s->kind.size = s->o->sizes[0];
	progress(s);
	rc = peer_up(p, &setup, fronts);
	report_peer(s->report, p->name, p->version, p->command, p->skipped);
	if (!fronts[0])
		s->n_fronts = 0; /* a proxy */
	if (s->o->realtime && scenario->gives_way)
		host_realtime(false); /* the peer stays before everything else */
	if (rc == 0)
		rc = scenario->take(s);
	if (s->o->realtime && scenario->gives_way)
		host_realtime(true);
	peer_down(p, fronts);
	s->fronts = NULL;
	return rc == 0 || rc == -ENOTSUP ? 0 : -1;
}

int turns_run(const struct scenario *scenario, const struct options *asked, unsigned first_turn,
	struct report *report, const atomic_bool *stop)
{
	struct options o = complete(scenario, asked);
	struct peer peers[OPTIONS_MAX_PEERS] = {0};
	int rc = 0;

	if (scenario->take == l2_take && ceiling_measure(&o, report, stop) < 0)
		return -1;
	for (unsigned i = 0; i < o.n_peers; i++) {
		peers[i].name = o.peers[i];
		peers[i].opt = &o;
	}
	for (unsigned turn = first_turn; turn < first_turn + o.turns; turn++) {
		for (unsigned k = 0; k < o.n_counts; k++) {
			for (unsigned i = 0; i < o.n_peers && !atomic_load(stop); i++) {
				struct session s = {.o = &o,
					.report = report,
					.stop = stop,
					.peer = &peers[i],
					.turn = turn,
					.kind = {.scenario = scenario->name, .count = o.counts[k]}};

				if (!peers[i].skipped[0] && take_turn(scenario, &s) < 0)
					rc = -1;
			}
		}
	}
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K");
	return rc;
}

static void add_once(unsigned *values, unsigned *n, unsigned value)
{
	for (unsigned i = 0; i < *n; i++)
		if (values[i] == value)
			return;
	if (*n < OPTIONS_MAX_LIST)
		values[(*n)++] = value;
}

static bool has_peer(const struct options *o, const char *peer)
{
	for (unsigned i = 0; i < o->n_peers; i++)
		if (strcmp(o->peers[i], peer) == 0)
			return true;
	return false;
}

/* Sizes and peers of the trials of one scenario that a goal needs: those with o->counts[0], or with no count there all counts. */
static void add_needed(struct options *o, const char *scenario, const struct options *asked)
{
	unsigned count = o->counts[0];

	for (const struct goal *goal = goals; goal->text; goal++) {
		struct report_side side[2];

		for (unsigned i = 0, n = goal_sides(goal, side); i < n; i++) {
			if (strcmp(side[i].kind->scenario, scenario) != 0 ||
				(count && side[i].kind->count != count))
				continue;
			add_once(o->counts, &o->n_counts, side[i].kind->count);
			add_once(o->sizes, &o->n_sizes, side[i].kind->size);
			if (has_peer(asked, side[i].peer) && !has_peer(o, side[i].peer))
				o->peers[o->n_peers++] = side[i].peer;
		}
	}
}

/* All trials of one scenario that a goal needs, in one turn. */
static int run_scenario(const struct scenario *scenario, const struct options *asked, unsigned turn,
	struct report *report, const atomic_bool *stop)
{
	struct options all = *asked;
	int rc = 0;

	all.turns = 1;
	all.n_sizes = all.n_counts = all.n_peers = all.counts[0] = 0;
	add_needed(&all, scenario->name, asked);
	for (unsigned i = 0; i < all.n_counts && !atomic_load(stop); i++) {
		struct options o = all;

		o.counts[0] = all.counts[i];
		o.n_counts = 1;
		o.n_sizes = o.n_peers = 0;
		add_needed(&o, scenario->name, asked);
		if (o.n_peers > 0 && turns_run(scenario, &o, turn, report, stop) < 0)
			rc = -1;
	}
	return rc;
}

int turns_run_goals(
	const struct scenario *all, const struct options *o, struct report *report, const atomic_bool *stop)
{
	int rc = 0;

	for (unsigned turn = 1; turn <= o->turns; turn++)
		for (const struct scenario *s = all; s->name && !atomic_load(stop); s++)
			if (run_scenario(s, o, turn, report, stop) < 0)
				rc = -1;
	return rc;
}
