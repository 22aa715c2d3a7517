#include "bench/traffic/queues.h"

#include <math.h>
#include <stdlib.h>

#include "bench/host/host.h"

enum { WAITING = 1 << 16 };

#define STALL_EVERY_S 0.25
#define STALLED_SPEED 0.2

struct server {
	uint64_t end; /* UINT64_MAX: it is free */
	uint32_t request;
};

struct backend {
	uint64_t stalled; /* until then */
	uint32_t head, tail;
	struct server server[QUEUES_SERVERS];
	uint32_t waiting[WAITING];
};

struct queues {
	uint64_t random, next_end, next_stall;
	double hz; /* cycles in what passes for a second */
	struct backend backend[QUEUES];
};

struct queues *queues_open(uint64_t now, uint64_t seed, double slower)
{
	struct queues *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	q->hz = host_tsc_hz() * slower;
	q->next_end = UINT64_MAX;
	q->next_stall = now;
	for (unsigned i = 0; i < QUEUES; i++)
		for (unsigned k = 0; k < QUEUES_SERVERS; k++)
			q->backend[i].server[k].end = UINT64_MAX;
	return q;
}

void queues_close(struct queues *q)
{
	free(q);
}

bool queues_is_slow(unsigned backend)
{
	return backend % 10 < 3;
}

static double speed(const struct queues *q, unsigned backend, uint64_t now)
{
	return (queues_is_slow(backend) ? 0.5 : 1) * (now < q->backend[backend].stalled ? STALLED_SPEED : 1);
}

double queues_capacity(double slower)
{
	double sum = 0;

	for (unsigned i = 0; i < QUEUES; i++)
		sum += queues_is_slow(i) ? 0.5 : 1;
	return sum * QUEUES_SERVERS / QUEUES_MEAN_S / slower;
}

/* xorshift64* (Vigna, 2016). */
double queues_random(struct queues *q)
{
	q->random ^= q->random >> 12;
	q->random ^= q->random << 25;
	q->random ^= q->random >> 27;
	return (double)((q->random * UINT64_C(0x2545f4914f6cdd1d) >> 11) + 1) / 9007199254740992.0;
}

double queues_exponential(struct queues *q)
{
	return -log(queues_random(q));
}

static void begin(struct queues *q, unsigned backend, struct server *server, uint64_t now)
{
	struct backend *b = &q->backend[backend];

	if (b->head == b->tail) {
		server->end = UINT64_MAX;
		return;
	}
	server->request = b->waiting[b->head++ % WAITING];
	server->end =
		now + (uint64_t)(queues_exponential(q) * QUEUES_MEAN_S * q->hz / speed(q, backend, now));
	if (server->end < q->next_end)
		q->next_end = server->end;
}

bool queues_add(struct queues *q, unsigned backend, uint32_t request, uint64_t now)
{
	struct backend *b = &q->backend[backend];

	if (b->tail - b->head == WAITING)
		return false;
	b->waiting[b->tail++ % WAITING] = request;
	for (unsigned k = 0; k < QUEUES_SERVERS; k++) {
		if (b->server[k].end == UINT64_MAX) {
			begin(q, backend, &b->server[k], now);
			break;
		}
	}
	return true;
}

static void stall(struct queues *q, uint64_t now)
{
	unsigned backend;

	while (q->next_stall <= now) {
		backend = (unsigned)(queues_random(q) * QUEUES) % QUEUES;
		q->backend[backend].stalled =
			q->next_stall + (uint64_t)((0.1 + 0.4 * queues_random(q)) * q->hz);
		q->next_stall += (uint64_t)(queues_exponential(q) * STALL_EVERY_S * q->hz);
	}
}

/* The server that is done first; *first is whose. */
static struct server *first_done(struct queues *q, unsigned *first)
{
	struct server *found = &q->backend[0].server[0];

	*first = 0;
	for (unsigned i = 0; i < QUEUES; i++) {
		for (unsigned k = 0; k < QUEUES_SERVERS; k++) {
			if (q->backend[i].server[k].end < found->end) {
				found = &q->backend[i].server[k];
				*first = i;
			}
		}
	}
	return found;
}

bool queues_done(struct queues *q, uint64_t now, unsigned *backend, uint32_t *request)
{
	struct server *server;

	stall(q, now);
	if (now < q->next_end)
		return false;
	server = first_done(q, backend);
	if (server->end > now) {
		q->next_end = server->end;
		return false;
	}
	*request = server->request;
	begin(q, *backend, server, now);
	return true;
}

uint64_t queues_next(const struct queues *q)
{
	return q->next_end;
}
