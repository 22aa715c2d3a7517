/*
 * lb: clients ask a vip, and the backends that their requests arrive at answer. First every connection is
 * opened ("new": each packet is a connection), then requests and answers of all of them go both ways in
 * random order ("established"). lb-full is the same with a connection table that holds half of what is
 * opened, and established traffic beside new connections that find no room. lb-ipv6 has two vips, of IPv4 and of IPv6,
 * before the same backends, one after the other; lb-least is lb with the policy "least".
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/peer/peer.h"
#include "bench/run/measure.h"
#include "bench/traffic/arp.h"
#include "bench/traffic/balance.h"
#include "bench/traffic/generator.h"

enum {
	SPARE = 256,	  /* connections that show that every backend is reached */
	NEW_MIN = 100000, /* fewer new connections take too short a time to measure */
	FULL_PART = 2,	  /* lb-full: one in so many connections of the table is used once it is full */
	FULL_EXCESS = 2,  /* and so many times as many as fit are opened */
};

#define OPEN_S 10.0
#define STRAY UINT64_MAX /* in place of a number */

struct lb {
	struct generator g; /* first: what its functions are given */
	struct balance frames;
	uint32_t connections;	    /* opened or to be opened */
	uint32_t strays, strays_at; /* so many from there on send one request a burst that is not counted */
	uint8_t *backend;   /* of each connection, BALANCE_NONE before its first request has arrived */
	const char *family; /* what its trials are called before all else */
};

/* Beside the `n` frames that count, a request of a connection that does not. */
static unsigned write_stray(struct lb *lb, struct front_ring *r, unsigned slot)
{
	uint32_t random = generator_random(&lb->g);

	if (front_tx_room(r, slot + 1) <= slot)
		return 0;
	balance_request(&lb->frames, front_tx_frame(r, slot),
		lb->strays_at + (uint32_t)(((uint64_t)random * lb->strays) >> 32), STRAY);
	return 1;
}

static unsigned write_frames(struct generator *g, unsigned from, unsigned n)
{
	struct lb *lb = (struct lb *)g;
	struct front_ring *r = g->tx[from];

	for (unsigned i = 0; i < n; i++) {
		uint32_t connection = generator_item(g, from);
		uint64_t seq = g->from[from].sent++;

		if (from == BALANCE_CLIENTS)
			balance_request(&lb->frames, front_tx_frame(r, i), connection, seq);
		else
			balance_answer(
				&lb->frames, front_tx_frame(r, i), connection, lb->backend[connection], seq);
	}
	return lb->strays > 0 && from == BALANCE_CLIENTS ? n + write_stray(lb, r, n) : n;
}

/* A connection stays at the backend where it first arrived. */
static inline bool read_request(struct lb *lb, const struct front_frame *frame, uint64_t *seq)
{
	uint32_t connection;
	unsigned backend;

	if (!balance_read_request(
		    &lb->frames, frame->data, frame->len, lb->connections, &connection, &backend, seq))
		return false;
	if (__builtin_expect(lb->backend[connection] == BALANCE_NONE, 0))
		lb->backend[connection] = (uint8_t)backend;
	return lb->backend[connection] == backend;
}

static inline bool read_answer(struct lb *lb, const struct front_frame *frame, uint64_t *seq)
{
	uint32_t connection;

	return balance_read_answer(&lb->frames, frame->data, frame->len, lb->connections, &connection, seq);
}

/* Who asks for a backend asks both ports. */
static bool nobody(uint32_t ip, uint8_t mac[6])
{
	return false;
}

static void read_frames(struct generator *g, unsigned at, const struct front_frame *frames, unsigned n)
{
	struct lb *lb = (struct lb *)g;

	for (unsigned i = 0; i < n; i++) {
		const struct front_frame *frame = &frames[i];
		uint64_t seq;
		bool ok =
			at == BALANCE_SERVERS ? read_request(lb, frame, &seq) : read_answer(lb, frame, &seq);

		if (ok) {
			if (seq != STRAY)
				generator_count(g, at, seq);
			if (generator_due(g) && !balance_intact(&lb->frames, frame->data, !at))
				generator_wrong(g, at);
		} else if (!arp_take(g->tx[at], frame, at == BALANCE_SERVERS ? balance_host : nobody)) {
			generator_wrong(g, at);
		}
	}
}

static void run_new(void *arg, double seconds, struct generator_result *result)
{
	struct lb *lb = arg;

	generator_sweep(&lb->g, BALANCE_CLIENTS, 0, lb->g.items, seconds, result);
}

/* Opens connections first..first + count - 1, each until its request has arrived. */
static int open_all(struct session *s, struct lb *lb, uint32_t first, uint32_t count)
{
	double patience = OPEN_S + count * 20e-6;
	int rc = 0;

	for (uint32_t i = first, end; i < first + count && rc == 0; i = end) {
		end = i + 1;
		if (lb->backend[i] != BALANCE_NONE)
			continue;
		while (end < first + count && lb->backend[end] == BALANCE_NONE)
			end++;
		rc = generator_each(&lb->g, BALANCE_CLIENTS, i, end - i, patience);
	}
	if (rc < 0 && !atomic_load(s->stop))
		warnx("%s: it does not deliver every request to a backend, even at a slow pace",
			s->peer->name);
	return rc;
}

static void set_variant(struct session *s, const struct lb *lb, const char *variant)
{
	char name[KIND_VARIANT];

	snprintf(name, sizeof(name), "%s%s", lb->family, variant);
	measure_variant(s, name);
}

static int take_trials(struct session *s, struct lb *lb, const char *variant)
{
	int rc = 0;

	set_variant(s, lb, variant);
	for (unsigned k = 0; k < s->o->trials && rc == 0 && !atomic_load(s->stop); k++) {
		struct trial t;

		measure_warm_up(s, &lb->g);
		measure_trial(s, measure_run, &lb->g, &t);
		if (lb->strays > 0)
			measure_loss(&t);
		rc = measure_add(s, &t);
	}
	return rc;
}

/* Once only: then they are not new any more. */
static int take_new(struct session *s, struct lb *lb)
{
	struct trial t;

	if (lb->g.items < NEW_MIN)
		return 0;
	set_variant(s, lb, "new");
	measure_trial(s, run_new, lb, &t);
	return measure_add(s, &t);
}

static int take_room(struct session *s, struct lb *lb)
{
	int rc = take_new(s, lb);

	if (rc == 0)
		rc = open_all(s, lb, 0, lb->g.items);
	return rc == 0 ? take_trials(s, lb, "established") : rc;
}

static int take_full(struct session *s, struct lb *lb)
{
	struct generator_result ignored;
	int rc;

	lb->g.items = s->kind.count / FULL_PART;
	rc = open_all(s, lb, 0, lb->g.items);
	if (rc < 0)
		return rc;
	lb->strays_at = lb->g.items;
	lb->strays = s->kind.count * FULL_EXCESS;
	generator_sweep(&lb->g, BALANCE_CLIENTS, lb->strays_at, lb->strays, OPEN_S, &ignored);
	return take_trials(s, lb, "");
}

/* All of one size of frame and one family; the spare connections come last. */
static int take_size(struct session *s, struct lb *lb, bool ipv6, bool full)
{
	int rc;

	memset(lb->backend, BALANCE_NONE, lb->connections);
	balance_init(&lb->frames, s->kind.size, ipv6, s->peer->mac, BALANCE_VIP_PORT);
	generator_init(&lb->g, s->fronts, s->o->window, s->stop);
	lb->g.items = s->kind.count;
	lb->g.write = write_frames;
	lb->g.read = read_frames;
	for (unsigned port = 0; port < 2; port++)
		balance_fill(&lb->frames, lb->g.tx[port], port);
	rc = open_all(s, lb, lb->connections - SPARE, SPARE);
	if (rc == 0)
		rc = full ? take_full(s, lb) : take_room(s, lb);
	return rc;
}

/* What a run is of: a table of connections that is full; each family before the next. */
struct asked {
	bool full;
	const char *family[2]; /* IPv4, IPv6: names, NULL without */
};

static int take_families(
	struct session *s, struct lb *lb, uint8_t *backend, uint32_t connections, const struct asked *asked)
{
	int rc = 0;

	for (unsigned ipv6 = 0; ipv6 < 2 && rc == 0 && !atomic_load(s->stop); ipv6++) {
		if (!asked->family[ipv6])
			continue;
		memset(lb, 0, sizeof(*lb));
		lb->connections = connections;
		lb->backend = backend;
		lb->family = asked->family[ipv6];
		rc = take_size(s, lb, ipv6, asked->full);
	}
	return rc;
}

static int take(struct session *s, const struct asked *asked)
{
	uint32_t connections = s->kind.count * (asked->full ? 1 + FULL_EXCESS : 1) + SPARE;
	struct lb *lb = aligned_alloc(_Alignof(struct lb), sizeof(*lb));
	uint8_t *backend = malloc(connections);
	int rc = lb && backend ? 0 : -ENOMEM;

	for (unsigned i = 0; i < s->o->n_sizes && rc == 0 && !atomic_load(s->stop); i++) {
		s->kind.size = s->o->sizes[i];
		if (s->kind.size == TRAFFIC_IMIX) {
			warnx("%s takes frames of one size, not a mixture", s->kind.scenario);
			rc = -EINVAL;
			break;
		}
		rc = take_families(s, lb, backend, connections, asked);
	}
	free(backend);
	free(lb);
	return rc;
}

int lb_take(struct session *s)
{
	return take(s, &(struct asked){.family = {"", NULL}});
}

int lb_full_take(struct session *s)
{
	return take(s, &(struct asked){.full = true, .family = {"", NULL}});
}

int lb_ipv6_take(struct session *s)
{
	return take(s, &(struct asked){.family = {"ipv4 ", "ipv6 "}});
}
