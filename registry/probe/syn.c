#include "registry/probe/syn.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "registry/probe/inside.h"

void syn_init(struct syn *syn, struct event_base *base, struct wheel *wheel, const struct registry_sink *sink)
{
	*syn = (struct syn){.base = base, .wheel = wheel, .sink = sink};
}

void syn_close(struct syn *syn)
{
	struct syn_netns *netns;

	for (unsigned i = 0; i < SYN_NETNS_BUCKETS; i++)
		while ((netns = LIST_FIRST(&syn->netns[i])))
			syn_netns_free(netns);
	free(syn->batch);
	syn->batch = NULL;
}

/* Whoever guesses a number can answer for the target, so each is drawn anew. */
static bool has_numbers(struct syn *syn)
{
	static_assert(sizeof(syn->random) <= 256, "what getentropy() gives at once");

	if (syn->nrandom == 0 && getentropy(syn->random, sizeof(syn->random)) == 0)
		syn->nrandom = SYN_RANDOM;
	return syn->nrandom > 0;
}

static struct syn_bucket *bucket_of(struct syn *syn, uint32_t number)
{
	return &syn->probes[number % SYN_BUCKETS];
}

static uint64_t first_wait_us(const struct syn_target *target)
{
	uint64_t ms = target->timeout_ms / 4;

	if (ms < SYN_RETRY_MIN_MS)
		ms = SYN_RETRY_MIN_MS;
	return (ms < SYN_RETRY_MAX_MS ? ms : SYN_RETRY_MAX_MS) * 1000;
}

static void enqueue(struct syn_probe *probe)
{
	struct syn_netns *netns = probe->netns;

	/* those that are due in the same turn of the loop go together */
	if (TAILQ_EMPTY(&netns->queue))
		event_active(&netns->flush, EV_TIMEOUT, 0);
	TAILQ_INSERT_TAIL(&netns->queue, probe, queue);
	probe->queued = true;
}

static void on_again(void *arg)
{
	struct syn_probe *probe = arg;

	if (!probe->queued)
		enqueue(probe);
}

int syn_start(struct syn *syn, const struct syn_target *target, void (*done)(void *arg, int result),
	void *arg, struct syn_probe **out)
{
	struct syn_netns *netns;
	struct syn_probe *probe;

	if (!syn->batch)
		syn->batch = syn_batch_new();
	netns = syn->batch ? syn_netns_get(syn, target) : NULL;
	if (!netns || !has_numbers(syn))
		return -ENOTSUP;
	probe = malloc(sizeof(*probe));
	if (!probe)
		return -ENOMEM;
	*probe = (struct syn_probe){
		.done = done,
		.arg = arg,
		.netns = netns,
		.address = target->address,
		.port = target->port,
		.wait_us = first_wait_us(target),
		.number = syn->random[--syn->nrandom],
	};
	wheel_timer_init(&probe->again, on_again, probe);
	LIST_INSERT_HEAD(bucket_of(syn, probe->number), probe, link);
	netns->probes++;
	*out = probe;
	enqueue(probe);
	return 0;
}

void syn_look(struct syn_probe *probe, uint64_t due_us)
{
	const struct segment_ends ends = {.to = probe->address, .to_port = probe->port};
	const uint32_t number = probe->number;
	struct syn_netns *netns = probe->netns;

	/* what is read may end it, so it is looked for anew by its number */
	while (syn_find(netns, number, &ends) && netns->raw >= 0 && netns->read_us < due_us)
		if (syn_wire_read(netns) < SYN_BATCH)
			return;
}

void syn_stop(struct syn_probe *probe)
{
	wheel_clear(probe->netns->syn->wheel, &probe->again);
	if (probe->queued)
		TAILQ_REMOVE(&probe->netns->queue, probe, queue);
	LIST_REMOVE(probe, link);
	probe->netns->probes--;
	free(probe);
}

void syn_end(struct syn_probe *probe, int result)
{
	void (*done)(void *arg, int result) = probe->done;
	void *arg = probe->arg;

	syn_stop(probe);
	done(arg, result);
}

struct syn_probe *syn_find(const struct syn_netns *netns, uint32_t number, const struct segment_ends *ends)
{
	struct syn_probe *probe;

	LIST_FOREACH (probe, bucket_of(netns->syn, number), link)
		if (probe->number == number && probe->netns == netns && probe->address == ends->to &&
			probe->port == ends->to_port)
			return probe;
	return NULL;
}

void syn_sent(struct syn_probe *probe, uint64_t now_us)
{
	TAILQ_REMOVE(&probe->netns->queue, probe, queue);
	probe->queued = false;
	wheel_set(probe->netns->syn->wheel, &probe->again, now_us + probe->wait_us);
	probe->wait_us *= 2;
}
