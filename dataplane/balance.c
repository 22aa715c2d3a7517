#include "dataplane/balance.h"

#include <errno.h>
#include <rte_cycles.h>
#include <stdlib.h>

#include "dataplane/account.h"
#include "dataplane/mem.h"
#include "dataplane/private.h"

#define WORTH_BUSY 0.5f	 /* of the busiest worker */
#define WORTH_GAP 0.25f	 /* between it and the idlest */
#define WORTH_GAIN 0.05f /* that it has less afterwards */
#define NEW_LOAD 0.01f	 /* what a queue counts for before it was measured: new ones spread */

struct balance {
	uint64_t measured_at; /* TSC */
	unsigned ticks;
	uint8_t worker[MAX_PORTS * PORT_QUEUES_MAX];
	float load[MAX_PORTS * PORT_QUEUES_MAX];
	uint64_t seen[MAX_PORTS * PORT_QUEUES_MAX]; /* cycles at measured_at */
	struct balance_queue queue[MAX_PORTS * PORT_QUEUES_MAX];
};

static unsigned index_of(uint16_t port, uint16_t queue)
{
	return port * PORT_QUEUES_MAX + queue;
}

int balance_open(struct dp *dp)
{
	dp->priv->balance = mem_alloc(sizeof(*dp->priv->balance));
	if (!dp->priv->balance)
		return -ENOMEM;
	dp->priv->balance->measured_at = rte_rdtsc();
	return 0;
}

void balance_close(struct dp *dp)
{
	mem_free(dp->priv->balance, sizeof(*dp->priv->balance));
}

unsigned balance_worker(const struct dp *dp, uint16_t port, uint16_t queue)
{
	return dp->priv->balance->worker[index_of(port, queue)];
}

/* The queues of all published ports, with what they were last measured at. */
static unsigned gather(struct dp *dp)
{
	struct balance *b = dp->priv->balance;
	unsigned n = 0;

	for (unsigned p = 0; p < MAX_PORTS; p++) {
		const struct port *port = dp_get_port(dp, p);

		for (uint16_t q = 0; port && q < port->nqueue; q++) {
			unsigned i = index_of((uint16_t)p, q);

			b->queue[n++] = (struct balance_queue){(uint16_t)p, q, b->worker[i], b->load[i]};
		}
	}
	return n;
}

/* What each worker has to do. */
static void sum(const struct balance_queue *q, unsigned n, float load[MAX_WORKERS])
{
	for (unsigned i = 0; i < MAX_WORKERS; i++)
		load[i] = 0;
	for (unsigned i = 0; i < n; i++)
		load[q[i].worker] += q[i].load;
}

static uint64_t cycles_of(const struct dp *dp, unsigned i)
{
	uint64_t total = 0;

	for (unsigned w = 0; w < dp->nworker; w++)
		total += stat_read(&dp->worker[w]->account->queue_cycles[i]);
	return total;
}

void balance_place(struct dp *dp, const struct port *port)
{
	struct balance *b = dp->priv->balance;
	float load[MAX_WORKERS];

	if (dp->nworker == 1)
		return;
	sum(b->queue, gather(dp), load);
	for (uint16_t q = 0; q < port->nqueue; q++) {
		unsigned i = index_of(port->id, q), least = 0;

		for (unsigned w = 1; w < dp->nworker; w++)
			least = load[w] < load[least] ? w : least;
		b->worker[i] = (uint8_t)least;
		b->load[i] = NEW_LOAD;
		b->seen[i] = cycles_of(dp, i);
		load[least] += NEW_LOAD;
	}
}

bool balance_choose(
	const struct balance_queue *q, unsigned n, unsigned nworker, unsigned *which, unsigned *to)
{
	float load[MAX_WORKERS], gap, best = 0;
	unsigned from = 0;

	sum(q, n, load);
	*to = 0;
	for (unsigned w = 1; w < nworker; w++) {
		from = load[w] > load[from] ? w : from;
		*to = load[w] < load[*to] ? w : *to;
	}
	gap = load[from] - load[*to];
	if (load[from] < WORTH_BUSY || gap < WORTH_GAP)
		return false;
	/* moving l takes l from the one and gives it to the other: what is gained is the smaller of both */
	for (unsigned i = 0; i < n; i++) {
		float gain = q[i].load < gap - q[i].load ? q[i].load : gap - q[i].load;

		if (q[i].worker != from || gain <= best)
			continue;
		best = gain;
		*which = i;
	}
	return best >= WORTH_GAIN;
}

static void measure(struct dp *dp)
{
	struct balance *b = dp->priv->balance;
	uint64_t now = rte_rdtsc();

	for (unsigned p = 0; p < MAX_PORTS; p++) {
		const struct port *port = dp_get_port(dp, p);

		for (uint16_t q = 0; port && q < port->nqueue; q++) {
			unsigned i = index_of((uint16_t)p, q);
			uint64_t cycles = cycles_of(dp, i);

			b->load[i] = (float)(cycles - b->seen[i]) / (float)(now - b->measured_at);
			b->seen[i] = cycles;
		}
	}
	b->measured_at = now;
}

int balance_move(struct dp *dp, struct port *port, uint16_t queue, unsigned to)
{
	uint8_t *worker = &dp->priv->balance->worker[index_of(port->id, queue)], from = *worker;
	int rc;

	if (from == to)
		return 0;
	*worker = (uint8_t)to;
	rc = polling_hand_over(dp, port, queue, from);
	if (rc)
		*worker = from;
	return rc;
}

void balance_tick(struct dp *dp)
{
	struct balance *b = dp->priv->balance;
	unsigned which = 0, to = 0;

	if (dp->nworker == 1 || ++b->ticks % BALANCE_S != 0)
		return;
	measure(dp);
	if (balance_choose(b->queue, gather(dp), dp->nworker, &which, &to))
		balance_move(dp, dp_get_port(dp, b->queue[which].port), b->queue[which].queue, to);
}
