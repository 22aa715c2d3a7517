/*
 * balance-tcp: clients on several hosts ask one address over TCP, behind which 20 backends take time (client/backends.h), each
 * request on a connection of its own, at a share of what all backends can do together, which the count is in percent. Whatever
 * balances them stands in each client's host, and the peer says by which address and port each of its ways is found. The
 * servers and the clients are the bench's own, on the generator's core; the balancers have the worker's.
 */
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/client/backends.h"
#include "bench/client/callers.h"
#include "bench/host/host.h"
#include "bench/peer/peer.h"
#include "bench/run/measure.h"

enum {
	SEED = 7,
	ALL = (1 << QUEUES) - 1,
	READY_TRIES = 60,
	SLOWER = 4, /* times: so the connections of two kernels, and of a proxy, fit two cores at 80 % */
};

/* While it is seen whether every backend is reached: few requests, for so long. */
#define READY_RATE 400.0
#define READY_S 0.25

struct balance_tcp {
	struct session *s;
	const struct stream_end *servers;
	struct callers callers;
	struct backends *backends;
};

static int find_ends(struct balance_tcp *b)
{
	const struct peer *p = b->s->peer;

	for (unsigned i = 0; i < p->n_ends; i++) {
		if (strcmp(p->end[i].name, "s") == 0)
			b->servers = &p->end[i];
		else if (b->callers.n < CALLERS_MAX)
			b->callers.from[b->callers.n++] = &p->end[i];
	}
	return p->n_entries > 0 && b->servers && b->callers.n > 0 ? 0 : -ENOTSUP;
}

/* Requests by one way, with backends that begin anew. */
static int call(struct balance_tcp *b, const struct peer_entry *entry, struct callers_result *result)
{
	int core = b->s->o->generator_core, rc, ended;

	b->callers.address = entry->address;
	b->callers.port = entry->port;
	b->backends = backends_start(b->servers->netns, core, SEED + b->s->turn, SLOWER);
	if (!b->backends)
		return -errno;
	rc = callers_run(&b->callers, result);
	ended = backends_stop(b->backends);
	return rc < 0 ? rc : ended;
}

/* Until every backend has been reached. */
static int make_ready(struct balance_tcp *b, const struct peer_entry *entry)
{
	struct callers_result result = {.took = calloc(1, sizeof(*result.took))};
	int rc = result.took ? 0 : -ENOMEM;

	b->callers.rate = READY_RATE;
	b->callers.warm_up = 0;
	b->callers.seconds = READY_S;
	for (unsigned i = 0; rc == 0 && result.reached != ALL && !atomic_load(b->s->stop); i++) {
		b->callers.seed = SEED + i;
		rc = i < READY_TRIES ? call(b, entry, &result) : -ETIMEDOUT;
	}
	free(result.took);
	return rc;
}

static void take_figures(struct session *s, struct trial *t, double process_s)
{
	double cycles = s->peer->balancing, n = (double)t->sent;

	report_percentiles(t);
	t->value[METRIC_LATENCY_P999] = (double)histogram_percentile(t->latency, 99.9) * 1e6 / host_tsc_hz();
	measure_loss(t);
	if (n == 0 || s->peer->n_processes == 0)
		return;
	t->value[METRIC_BALANCER] = process_s * 1e6 / n;
	t->value[METRIC_BALANCING] =
		cycles > 0 ? cycles / host_tsc_hz() * 1e6 / n : t->value[METRIC_BALANCER];
}

static int take_entry(struct balance_tcp *b, const struct peer_entry *entry)
{
	struct session *s = b->s;
	struct trial t = measure_own(s, entry->variant);
	struct callers_result result = {.took = calloc(1, sizeof(*result.took))};
	double process_s;
	int rc;

	if (!result.took)
		return -ENOMEM;
	b->callers.rate = queues_capacity(SLOWER) * s->kind.count / 100;
	b->callers.warm_up = s->o->warm_up;
	b->callers.seconds = s->o->seconds;
	b->callers.seed = SEED + s->turn;
	peer_measure_begin(s->peer);
	process_s = peer_process_s(s->peer);
	rc = call(b, entry, &result);
	process_s = peer_process_s(s->peer) - process_s;
	peer_measure_end(s->peer);
	if (rc < 0) {
		free(result.took);
		return rc;
	}
	t.seconds = s->o->seconds;
	t.sent = result.sent;
	t.lost = result.lost;
	t.wrong = result.wrong;
	t.latency = result.took; /* the report's */
	take_figures(s, &t, process_s);
	return measure_add(s, &t);
}

int balance_tcp_take(struct session *s)
{
	struct balance_tcp b = {.s = s, .callers = {.core = s->o->generator_core, .stop = s->stop}};
	const struct peer *p = s->peer;
	int rc = find_ends(&b);

	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < p->n_entries && rc == 0; i++)
		rc = make_ready(&b, &p->entry[i]);
	for (unsigned k = 0; k < s->o->trials && rc == 0; k++)
		for (unsigned i = 0; i < p->n_entries && rc == 0 && !atomic_load(s->stop); i++)
			rc = take_entry(&b, &p->entry[i]);
	if (rc == -ETIMEDOUT)
		warnx("%s: it does not deliver requests to all backends", p->name);
	else if (rc < 0)
		warnx("%s: %s", p->name, strerror(-rc));
	return rc;
}
