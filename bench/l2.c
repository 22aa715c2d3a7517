/*
 * l2: two ports of one network, every address learned beforehand, frames between pairs of hosts in random
 * order, both ways at once. Each peer in turn is set up anew for each turn and number of pairs.
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/generator.h"
#include "bench/host.h"
#include "bench/peer.h"
#include "bench/probe.h"
#include "bench/scenario.h"

#define LEARN_S 10.0
#define SETTLE_S 15.0 /* at most; Open vSwitch raises its limit of flows by a thousand each half second */
#define SETTLED 0.05  /* two warm-ups in a row that differ by no more */

struct run {
	const struct options *o;
	struct report *report;
	const atomic_bool *stop;
	struct peer *peer;
	struct front *fronts[2];
};

static double probe(struct run *run)
{
	double ns;

	peer_pause(run->peer);
	ns = probe_round_trip_ns(run->o->generator_core, run->o->worker_core);
	peer_resume(run->peer);
	return ns;
}

/* Traffic until the switch has found its pace: caches filled, flow tables grown. */
static void warm_up(struct run *run, struct generator *g)
{
	double length = run->o->warm_up, before = 0, now, change;
	struct generator_result result;

	if (length == 0)
		return;
	for (double spent = 0; spent < SETTLE_S && !atomic_load(run->stop); spent += length, before = now) {
		generator_run(g, length, &result);
		now = (double)result.received / result.seconds;
		change = now > before ? now - before : before - now;
		if (before > 0 && change <= SETTLED * now)
			return;
	}
}

static int measure(struct run *run, struct generator *g, struct trial *t)
{
	struct generator_result result;
	uint64_t stolen;

	warm_up(run, g);
	t->before_ns = probe(run);
	stolen = host_stolen_ms();
	peer_measure_begin(run->peer);
	generator_run(g, run->o->seconds, &result);
	peer_measure_end(run->peer);
	t->stolen_ms = host_stolen_ms() - stolen;
	t->after_ns = probe(run);
	if (atomic_load(run->stop))
		return 0;
	t->state = probe_state(t->before_ns, t->after_ns);
	t->seconds = result.seconds;
	t->mpps = (double)result.received / result.seconds / 1e6;
	t->cycles_per_packet = run->peer->cycles_per_packet;
	t->busy_pct = t->cycles_per_packet * t->mpps * 1e6 / host_tsc_hz() * 100;
	t->wait_pct = result.wait_pct;
	t->sent = result.sent;
	t->lost = result.lost;
	t->late = result.late;
	t->wrong = result.wrong;
	t->worker_share_pct = run->peer->worker_share_pct;
	t->generator_share_pct = result.share_pct;
	t->n_stages = run->peer->n_stages;
	memcpy(t->stage, run->peer->stage, sizeof(t->stage));
	return report_add(run->report, t);
}

static void progress(const struct options *o, const struct trial *t)
{
	if (!isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\r\033[Kturn %u of %u, %s, %u bytes, %u pairs", t->turn, o->turns, t->peer, t->size,
		t->pairs);
}

static int trials(struct run *run, struct trial *t)
{
	struct generator *g = generator_create(run->fronts, t->size, t->pairs, run->o->window, run->stop);
	int rc = 0;

	if (!g)
		return -ENOMEM;
	if (generator_learn(g, LEARN_S) < 0 && !atomic_load(run->stop)) {
		warnx("%s: it does not deliver every frame, even at a slow pace", t->peer);
		rc = -ETIMEDOUT;
	}
	for (unsigned i = 0; i < run->o->trials && rc == 0 && !atomic_load(run->stop); i++) {
		progress(run->o, t);
		rc = measure(run, g, t);
	}
	generator_free(g);
	return rc;
}

/* One peer's turn with one number of pairs; 0, or -1 when it failed. */
static int take_turn(struct run *run, unsigned turn, unsigned pairs)
{
	const struct options *o = run->o;
	struct peer *p = run->peer;
	unsigned largest = 0;
	int rc;

	for (unsigned i = 0; i < o->n_sizes; i++)
		largest = o->sizes[i] > largest ? o->sizes[i] : largest;
	rc = peer_up(p, pairs, largest, run->fronts);
	report_peer(run->report, p->name, p->version, p->command, p->skipped);
	for (unsigned i = 0; i < o->n_sizes && rc == 0 && !atomic_load(run->stop); i++) {
		struct trial t = {.turn = turn, .size = o->sizes[i], .pairs = pairs};

		snprintf(t.peer, sizeof(t.peer), "%s", p->name);
		rc = trials(run, &t);
	}
	peer_down(p, run->fronts);
	return rc == 0 || rc == -ENOTSUP ? 0 : -1;
}

int l2_run(const struct options *o, struct report *report, const atomic_bool *stop)
{
	struct peer peers[OPTIONS_MAX_PEERS] = {0};
	struct run run = {.o = o, .report = report, .stop = stop};
	int rc = 0;

	for (unsigned i = 0; i < o->n_peers; i++) {
		peers[i].name = o->peers[i];
		peers[i].opt = o;
	}
	for (unsigned turn = 1; turn <= o->turns; turn++) {
		for (unsigned k = 0; k < o->n_pairs; k++) {
			for (unsigned i = 0; i < o->n_peers && !atomic_load(stop); i++) {
				run.peer = &peers[i];
				if (!peers[i].skipped[0] && take_turn(&run, turn, o->pairs[k]) < 0)
					rc = -1;
			}
		}
	}
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K");
	return rc;
}
