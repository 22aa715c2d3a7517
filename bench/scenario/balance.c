/*
 * balance: clients ask a vip whose backends take time (traffic/queues.h), each request on a connection of its own, at a share of
 * what all backends can do together, which the count is in percent. Requests come when they are due (Poisson), whether
 * others are answered or not, and how long an answer takes counts from then. The same backends stand behind a vip for each
 * policy: the hash alone, the hash with weights that are right, and `least`, which is told no weights.
 */
#include "bench/traffic/balance.h"

#include <err.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "bench/front/rx.h"
#include "bench/front/tx.h"
#include "bench/host/host.h"
#include "bench/peer/peer.h"
#include "bench/run/measure.h"
#include "bench/traffic/arp.h"
#include "bench/traffic/queues.h"

enum { SIZE = 64, FRAMES = 32, SEED = 7, POLICIES = 3 };

/* So long what was asked may be under way, before it is lost. */
#define PATIENCE_S 5.0
/* That every backend is reached, and the switch knows where it is. */
#define READY_S 10.0

/* By the vip's port, from BALANCE_VIP_PORT on. */
static const char *const variants[POLICIES] = {"maglev, weights", "least", "maglev, equal"};

struct asked {
	uint64_t due; /* 0: answered */
};

struct load {
	struct session *s;
	struct front_ring *tx[2], *rx[2];
	struct balance frames;
	struct queues *queues;
	struct asked *asked; /* [most], of this trial; the connection less `first` */
	uint32_t first, sent, most, open;
	bool reached[QUEUES];
	uint64_t from, lost, wrong; /* what is due before that is not timed */
	struct histogram *took;
};

static bool nobody(uint32_t ip, uint8_t mac[6])
{
	return false;
}

/* Is it of an earlier trial, which was not waited for any longer? */
static bool is_late(const struct load *l, const struct front_frame *frame)
{
	uint32_t mark, connection;

	if (frame->len != l->frames.length)
		return false;
	memcpy(&mark, frame->data + 44, 4);
	memcpy(&connection, frame->data + 56, 4);
	return (mark == BALANCE_MARK + BALANCE_CLIENTS || mark == BALANCE_MARK + BALANCE_SERVERS) &&
	       connection - l->first >= l->sent;
}

static void arrive(struct load *l, const struct front_frame *frame)
{
	uint32_t connection;
	unsigned backend;
	uint64_t number;

	if (balance_read_request(&l->frames, frame->data, frame->len, BALANCE_MAX_CONNECTIONS, &connection,
		    &backend, &number)) {
		l->reached[backend] = true;
		if (!queues_add(l->queues, backend, connection, host_tsc()))
			l->wrong++;
	} else if (!arp_take(l->tx[BALANCE_SERVERS], frame, balance_host)) {
		l->wrong++;
	}
}

static void take_answer(struct load *l, const struct front_frame *frame)
{
	uint32_t connection;
	uint64_t number, now = host_tsc();
	struct asked *asked;

	if (!balance_read_answer(
		    &l->frames, frame->data, frame->len, BALANCE_MAX_CONNECTIONS, &connection, &number)) {
		l->wrong += !arp_take(l->tx[BALANCE_CLIENTS], frame, nobody);
		return;
	}
	asked = &l->asked[connection - l->first];
	if (!asked->due)
		return;
	if (asked->due >= l->from)
		histogram_add(l->took, now - asked->due, 1);
	asked->due = 0;
	l->open--;
}

static void receive(struct load *l)
{
	struct front_frame frames[FRAMES];

	for (unsigned at = BALANCE_CLIENTS; at <= BALANCE_SERVERS; at++) {
		unsigned n = front_rx_burst(l->rx[at], frames, FRAMES);

		for (unsigned i = 0; i < n; i++) {
			if (is_late(l, &frames[i]))
				continue;
			if (at == BALANCE_SERVERS)
				arrive(l, &frames[i]);
			else
				take_answer(l, &frames[i]);
		}
		front_rx_done(l->rx[at], frames, n);
	}
}

static void answer(struct load *l)
{
	struct front_ring *tx = l->tx[BALANCE_SERVERS];
	unsigned backend;
	uint32_t connection;

	while (front_tx_room(tx, 1) == 1 && queues_done(l->queues, host_tsc(), &backend, &connection)) {
		balance_answer(&l->frames, front_tx_frame(tx, 0), connection, backend, connection);
		front_tx_publish(tx, 1);
	}
}

static void ask(struct load *l, uint64_t due)
{
	struct front_ring *tx = l->tx[BALANCE_CLIENTS];

	l->asked[l->sent].due = due;
	l->sent++;
	l->open++;
	if (front_tx_room(tx, 1) == 0)
		return; /* lost, as it will not be answered */
	balance_request(&l->frames, front_tx_frame(tx, 0), l->first + l->sent - 1, l->sent);
	front_tx_publish(tx, 1);
}

static uint64_t cycles(double seconds)
{
	return (uint64_t)(seconds * host_tsc_hz());
}

/* Requests at `rate` for so long, and their answers. */
static void run(struct load *l, double rate, double seconds)
{
	uint64_t next = host_tsc(), end = next + cycles(seconds), now;

	while ((now = host_tsc()) < end + cycles(PATIENCE_S) && !atomic_load(l->s->stop)) {
		for (; next <= now && next < end && l->sent < l->most;
			next += cycles(queues_exponential(l->queues) / rate))
			ask(l, next);
		receive(l);
		answer(l);
		if (now >= end && l->open == 0)
			break;
		sched_yield(); /* the switch's control may have this core too */
	}
}

/* The next trial's connections begin where the last one's end. */
static int begin(struct load *l, unsigned policy, uint32_t most)
{
	struct session *s = l->s;

	balance_init(&l->frames, SIZE, false, s->peer->mac, (uint16_t)(BALANCE_VIP_PORT + policy));
	for (unsigned at = BALANCE_CLIENTS; at <= BALANCE_SERVERS; at++)
		balance_fill(&l->frames, l->tx[at], at);
	l->first += l->sent;
	l->sent = l->open = 0;
	l->wrong = 0;
	l->most = most;
	l->from = 0;
	l->took = calloc(1, sizeof(*l->took));
	l->asked = calloc(most, sizeof(*l->asked));
	l->queues = queues_open(host_tsc(), SEED + s->turn, 1);
	return l->took && l->asked && l->queues ? 0 : -ENOMEM;
}

static void finish(struct load *l)
{
	queues_close(l->queues);
	free(l->asked);
	free(l->took);
	l->queues = NULL;
	l->asked = NULL;
	l->took = NULL;
}

/* Each trial has the same backends and the same arrivals, as far as chance is the bench's. */
static int take_policy(struct load *l, unsigned policy)
{
	struct session *s = l->s;
	double rate = queues_capacity(1) * s->kind.count / 100, seconds = s->o->warm_up + s->o->seconds;
	int rc = begin(l, policy, (uint32_t)(rate * seconds * 1.5) + 1000);
	struct trial t;

	if (rc == 0) {
		l->from = host_tsc() + cycles(s->o->warm_up);
		run(l, rate, seconds);
		t = measure_own(s, variants[policy]);
		t.seconds = s->o->seconds;
		t.sent = l->sent;
		t.lost = l->open;
		t.wrong = l->wrong;
		t.latency = l->took;
		report_percentiles(&t);
		t.value[METRIC_LATENCY_P999] =
			(double)histogram_percentile(l->took, 99.9) * 1e6 / host_tsc_hz();
		measure_loss(&t);
		l->took = NULL; /* the report's */
		rc = measure_add(s, &t);
	}
	finish(l);
	return rc;
}

static bool all_reached(const struct load *l)
{
	for (unsigned i = 0; i < QUEUES; i++)
		if (!l->reached[i])
			return false;
	return true;
}

/* Until every backend of every policy has been reached. */
static int make_ready(struct load *l)
{
	int rc = 0;

	for (unsigned policy = 0; policy < POLICIES && rc == 0; policy++) {
		uint64_t end = host_tsc() + cycles(READY_S);

		memset(l->reached, 0, sizeof(l->reached));
		while (rc == 0 && !all_reached(l) && !atomic_load(l->s->stop)) {
			if (host_tsc() > end)
				rc = -ETIMEDOUT;
			else
				rc = begin(l, policy, 1000);
			if (rc == 0)
				run(l, 2000, 0.1);
			finish(l);
		}
	}
	if (rc == -ETIMEDOUT)
		warnx("%s: it does not deliver requests to all backends", l->s->peer->name);
	return rc;
}

int balance_take(struct session *s)
{
	struct load l = {.s = s};
	int rc;

	for (unsigned at = BALANCE_CLIENTS; at <= BALANCE_SERVERS; at++) {
		l.tx[at] = front_tx_ring(s->fronts[at], 0);
		l.rx[at] = front_rx_ring(s->fronts[at], 0);
	}
	rc = make_ready(&l);
	for (unsigned k = 0; k < s->o->trials && rc == 0; k++)
		for (unsigned policy = 0; policy < POLICIES && rc == 0 && !atomic_load(s->stop); policy++)
			rc = take_policy(&l, policy);
	return rc;
}
