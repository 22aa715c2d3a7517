#include "bench/run/turns.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/peer/peer.h"
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

/* One peer's turn with one count; 0, or -1 when it failed. */
static int take_turn(const struct scenario *scenario, struct session *s)
{
	struct front *fronts[PEER_MAX_PORTS] = {0};
	struct peer_setup setup = {.scenario = scenario->name,
		.ports = scenario->ports ? scenario->ports(s->kind.count) : 2,
		.count = s->kind.count};
	struct peer *p = s->peer;
	int rc;

	for (unsigned i = 0; i < s->o->n_sizes; i++)
		if (traffic_longest(s->o->sizes[i]) > setup.size)
			setup.size = traffic_longest(s->o->sizes[i]);
	s->fronts = fronts;
	s->n_fronts = setup.ports;
	progress(s);
	rc = peer_up(p, &setup, fronts);
	report_peer(s->report, p->name, p->version, p->command, p->skipped);
	if (rc == 0)
		rc = scenario->take(s);
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
