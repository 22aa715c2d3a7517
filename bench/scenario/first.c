/*
 * first.c: from the registration of an instance to the first packet that is balanced to it. A service with a
 * vip has `of` instances, the last of which comes and goes; what is measured begins with its registration and
 * ends when a packet to the vip has arrived at it. The packet is sent once the registration has been answered,
 * as workers balance by it then.
 *
 * Where a new packet goes is for the switch to decide, so it is first asked which connections it gives to that
 * instance; each of them is used once.
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/front/rx.h"
#include "bench/front/tx.h"
#include "bench/host/host.h"
#include "bench/peer/peer.h"
#include "bench/scenario/asking.h"
#include "bench/traffic/balance.h"

enum {
	ROUNDS = 1000,	  /* or as many as instances are registered beside, if those are fewer */
	SPARE = 2,	  /* times as many connections are tried as the instance's share asks for */
	LEAST = 1 << 16,  /* and at least so many */
	PORT_OF_LAST = 9, /* of the instance that comes and goes; the others' are above */
	PATIENCE_US = 1000000,
	SIZE = 64,
};

struct first {
	struct asking *asking;
	struct front_ring *tx, *rx;
	struct balance frames;
	const char *service;
	uint32_t known[ROUNDS]; /* connections that are the instance's */
	unsigned n_known, rounds;
	uint32_t at;	    /* connection of the packet that arrived last at the instance, */
	uint64_t at_tsc;    /* and when; 0: none since it was set to 0 */
	uint64_t elsewhere; /* packets that arrived at others */
};

/* Up to `n` packets, of connections first, first + 1, ...; returns how many found room. */
static unsigned transmit(struct first *f, uint32_t first, unsigned n)
{
	unsigned room = front_tx_room(f->tx, n);

	for (unsigned i = 0; i < room; i++)
		balance_request(&f->frames, front_tx_frame(f->tx, i), first + i, 0);
	front_tx_publish(f->tx, room);
	return room;
}

static void read_frame(struct first *f, const uint8_t *frame)
{
	uint32_t mark;
	uint16_t port;

	memcpy(&mark, frame + 44, 4);
	memcpy(&port, frame + 36, 2);
	if (mark != BALANCE_MARK + BALANCE_CLIENTS)
		return; /* ARP and the like */
	if (port != htons(PORT_OF_LAST)) {
		f->elsewhere++;
		return;
	}
	memcpy(&f->at, frame + 56, 4);
	f->at_tsc = host_tsc();
	if (f->n_known < f->rounds)
		f->known[f->n_known++] = f->at;
}

static unsigned receive(struct first *f)
{
	struct front_frame frames[32];
	unsigned n = front_rx_burst(f->rx, frames, 32);

	for (unsigned i = 0; i < n; i++)
		if (frames[i].len >= f->frames.length)
			read_frame(f, frames[i].data);
	front_rx_done(f->rx, frames, n);
	return n;
}

/* Receives until nothing has come for a while. */
static void drain(struct first *f)
{
	uint64_t patience = (uint64_t)(0.05 * host_tsc_hz());

	for (uint64_t last = host_tsc(); host_tsc() - last < patience;)
		if (receive(f) > 0)
			last = host_tsc();
}

static int come(struct first *f)
{
	return asking_put(f->asking, f->service, "last", "10.254.0.1", PORT_OF_LAST);
}

/*
 * Which connections go to the instance. One that is tried here is not used again before the instance has
 * gone.
 */
static int learn(struct first *f, unsigned of)
{
	uint32_t tried = 0, limit = LEAST + f->rounds * SPARE * of;
	uint64_t end = host_tsc() + (uint64_t)(30 * host_tsc_hz());
	int rc = come(f);

	while (rc == 0 && f->n_known < f->rounds && tried < limit) {
		tried += transmit(f, tried, 32);
		receive(f);
		if (host_tsc() > end)
			rc = -ETIMEDOUT;
	}
	drain(f);
	if (rc == 0 && f->n_known == 0)
		rc = -ENOENT;
	return rc == 0 ? asking_remove(f->asking, "last") : rc;
}

/* One registration and its first packet; 0 with *took, of host_tsc(). */
static int measure(struct first *f, uint32_t connection, uint64_t *took)
{
	uint64_t asked = host_tsc(), end;
	int rc = come(f);

	f->at_tsc = 0;
	if (rc < 0 || transmit(f, connection, 1) != 1)
		return rc < 0 ? rc : -EAGAIN;
	end = host_tsc() + (uint64_t)(PATIENCE_US * 1e-6 * host_tsc_hz());
	while (!f->at_tsc && host_tsc() < end)
		receive(f);
	*took = (f->at_tsc ? f->at_tsc : host_tsc()) - asked;
	return asking_remove(f->asking, "last");
}

static int take(struct first *f, const char *variant, unsigned of)
{
	const struct session *s = f->asking->s;
	int rc = learn(f, of);
	struct trial t;
	uint64_t start = host_tsc();

	if (rc < 0) {
		warnx("%s: %s: no connection goes to the instance: %s", s->peer->name, variant,
			strerror(-rc));
		return rc;
	}
	rc = asking_begin(f->asking, variant, &t);
	f->elsewhere = 0;
	for (unsigned i = 0; i < f->n_known && rc == 0 && !atomic_load(s->stop); i++) {
		uint64_t took = 0;

		rc = measure(f, f->known[i], &took);
		histogram_add(t.latency, took, 1);
		t.lost += !f->at_tsc;
	}
	t.wrong = f->elsewhere;
	return asking_end(f->asking, &t, start, rc);
}

/* The services stand in the peer's configuration: one vip, a port for each. */
int first_take(struct asking *a)
{
	static const struct {
		const char *service, *variant;
		uint16_t port;
		unsigned of;
	} services[] = {{"one", "packet 1", 4001, 1}, {"some", "packet 100", 4002, 100},
		{"many", "packet 2000", 4003, 2000}};
	struct first *f = aligned_alloc(_Alignof(struct first), sizeof(*f));
	int rc = f ? 0 : -ENOMEM;

	for (unsigned i = 0; i < sizeof(services) / sizeof(services[0]) && rc == 0; i++) {
		if (atomic_load(a->s->stop))
			break;
		memset(f, 0, sizeof(*f));
		f->asking = a;
		f->rounds = a->s->kind.count < ROUNDS ? a->s->kind.count : ROUNDS;
		f->tx = front_tx_ring(a->s->fronts[BALANCE_CLIENTS], 0);
		f->rx = front_rx_ring(a->s->fronts[BALANCE_SERVERS], 0);
		f->service = services[i].service;
		balance_init(&f->frames, SIZE, false, a->s->peer->mac, services[i].port);
		balance_fill(&f->frames, f->tx, BALANCE_CLIENTS);
		rc = take(f, services[i].variant, services[i].of);
	}
	free(f);
	return rc;
}
