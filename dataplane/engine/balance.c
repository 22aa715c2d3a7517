#include "dataplane/engine/balance.h"

#include <errno.h>
#include <rte_cycles.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/core/account.h"
#include "dataplane/core/mem.h"
#include "dataplane/core/private.h"
#include "dataplane/engine/polling.h"

#define WORTH_BUSY 0.5f	 /* of the busiest worker */
#define WORTH_GAP 0.25f	 /* between it and the idlest */
#define WORTH_GAIN 0.05f /* that it has less afterwards */
#define NEW_LOAD 0.01f	 /* what a queue counts for before it was measured: new ones spread */

struct balance {
	uint64_t measured_at; /* TSC */
	unsigned ticks;
	uint8_t worker[MAX_PORTS * PORT_QUEUES_MAX];
	uint8_t before[MAX_PORTS * PORT_QUEUES_MAX]; /* as worker[], but while queues move */
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

unsigned balance_worker_before(const struct dp *dp, uint16_t port, uint16_t queue)
{
	return dp->priv->balance->before[index_of(port, queue)];
}

/* The worker on a core, nworker when there is none. */
static unsigned worker_on(const struct dp *dp, int core)
{
	unsigned w = 0;

	while (w < dp->nworker && dp->worker[w]->core != core)
		w++;
	return w;
}

/* The workers that some port but `self` asks for, a bit each. */
static uint64_t reserved(struct dp *dp, uint16_t self)
{
	uint64_t bits = 0;

	for (unsigned p = 0; p < MAX_PORTS; p++) {
		const struct port *port = dp_get_port(dp, (uint16_t)p);

		if (port && p != self && port->spec.pinned)
			bits |= UINT64_C(1) << worker_on(dp, port->spec.core);
	}
	return bits;
}

static uint64_t reserved_with(struct dp *dp, const struct dp_port *spec, uint16_t self)
{
	return reserved(dp, self) | (spec->pinned ? UINT64_C(1) << worker_on(dp, spec->core) : 0);
}

static const char *cores_text(const struct dp *dp, char *text, size_t size)
{
	size_t len = 0;

	text[0] = '\0';
	for (unsigned w = 0; w < dp->nworker && len < size; w++)
		len += (size_t)snprintf(text + len, size - len, "%s%d", w ? ", " : "", dp->worker[w]->core);
	return text;
}

int balance_admit(struct dp *dp, const struct dp_port *spec, uint16_t self, struct dp_err *err)
{
	char text[100];

	if (!spec->pinned)
		return 0;
	if (worker_on(dp, spec->core) == dp->nworker)
		return dp_fail(err, -EINVAL, "core: no worker runs on CPU %d; they run on %s", spec->core,
			cores_text(dp, text, sizeof(text)));
	if ((unsigned)__builtin_popcountll(reserved_with(dp, spec, self)) == dp->nworker)
		return dp_fail(
			err, -EBUSY, "core: no worker would be left for ports without a core of their own");
	return 0;
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

/* The worker with least to do of those that are not reserved; one at least is not. */
static unsigned least(const float load[MAX_WORKERS], unsigned nworker, uint64_t taken)
{
	unsigned best = (unsigned)__builtin_ctzll(~taken);

	for (unsigned w = best + 1; w < nworker; w++)
		if (!(taken >> w & 1) && load[w] < load[best])
			best = w;
	return best;
}

/* Gives queue i of `port`, pinned or not as `spec` says, a worker. */
static void assign(
	struct dp *dp, const struct dp_port *spec, unsigned i, uint64_t taken, float load[MAX_WORKERS])
{
	unsigned w = spec->pinned ? worker_on(dp, spec->core) : least(load, dp->nworker, taken);
	struct balance *b = dp->priv->balance;

	b->worker[i] = (uint8_t)w;
	load[w] += b->load[i];
}

/* Queues leave reserved workers that their port does not ask for. */
static void evict(struct dp *dp, uint16_t self, uint64_t taken, float load[MAX_WORKERS])
{
	for (unsigned p = 0; p < MAX_PORTS; p++) {
		const struct port *port = dp_get_port(dp, (uint16_t)p);

		for (uint16_t q = 0; port && p != self && !port->spec.pinned && q < port->nqueue; q++) {
			unsigned i = index_of((uint16_t)p, q);

			if (taken >> dp->priv->balance->worker[i] & 1)
				assign(dp, &port->spec, i, taken, load);
		}
	}
}

/*
 * Makes the workers hand over the queues that were given to others. On failure the queues stay with their old
 * workers.
 */
static int move(struct dp *dp)
{
	struct balance *b = dp->priv->balance;
	int rc = 0;

	if (memcmp(b->worker, b->before, sizeof(b->worker)) != 0)
		rc = polling_hand_over(dp);
	if (rc)
		memcpy(b->worker, b->before, sizeof(b->worker));
	else
		memcpy(b->before, b->worker, sizeof(b->worker));
	return rc;
}

int balance_assign(struct dp *dp, const struct port *port)
{
	struct balance *b = dp->priv->balance;
	uint64_t taken = reserved_with(dp, &port->spec, port->id);
	float load[MAX_WORKERS];
	int rc;

	if (dp->nworker == 1)
		return 0;
	sum(b->queue, gather(dp), load);
	evict(dp, port->id, taken, load);
	rc = move(dp);
	for (uint16_t q = 0; q < port->nqueue && !rc; q++) {
		unsigned i = index_of(port->id, q);

		b->load[i] = NEW_LOAD;
		b->seen[i] = cycles_of(dp, i);
		assign(dp, &port->spec, i, taken, load);
		b->before[i] = b->worker[i];
	}
	return rc;
}

int balance_pin(struct dp *dp, struct port *port, const struct dp_port *spec)
{
	uint64_t taken = reserved_with(dp, spec, port->id);
	float load[MAX_WORKERS];

	if (dp->nworker == 1 || (spec->pinned == port->spec.pinned && spec->core == port->spec.core))
		return 0;
	sum(dp->priv->balance->queue, gather(dp), load);
	for (uint16_t q = 0; q < port->nqueue; q++)
		assign(dp, spec, index_of(port->id, q), taken, load);
	evict(dp, port->id, taken, load);
	return move(dp);
}

bool balance_choose(const struct balance_queue *q, unsigned n, unsigned nworker, uint64_t taken,
	unsigned *which, unsigned *to)
{
	unsigned from = (unsigned)__builtin_ctzll(~taken);
	float load[MAX_WORKERS], gap, best = 0;

	sum(q, n, load);
	*to = least(load, nworker, taken);
	for (unsigned w = from + 1; w < nworker; w++)
		from = !(taken >> w & 1) && load[w] > load[from] ? w : from;
	gap = load[from] - load[*to];
	if (load[from] < WORTH_BUSY || gap < WORTH_GAP)
		return false;
	/* moving a load takes it from the one and gives it to the other: the gain is the smaller of both */
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
	dp->priv->balance->worker[index_of(port->id, queue)] = (uint8_t)to;
	return move(dp);
}

void balance_tick(struct dp *dp)
{
	struct balance *b = dp->priv->balance;
	unsigned which = 0, to = 0;

	if (dp->nworker == 1 || ++b->ticks % BALANCE_S != 0)
		return;
	measure(dp);
	if (balance_choose(b->queue, gather(dp), dp->nworker, reserved(dp, UINT16_MAX), &which, &to))
		balance_move(dp, dp_get_port(dp, b->queue[which].port), b->queue[which].queue, to);
}
