#include "bench/traffic/pairs.h"

#include <stdlib.h>
#include <string.h>

#include "bench/traffic/traffic.h"

struct pairs {
	struct generator g; /* first: what its functions are given */
	struct traffic traffic;
	bool to_first; /* all frames to host 0 of the other port */
};

static unsigned write_frames(struct generator *g, unsigned from, unsigned n)
{
	struct pairs *p = (struct pairs *)g;
	struct front_ring *r = g->tx[from];

	for (unsigned i = 0; i < n; i++) {
		uint32_t pair = generator_item(g, from);

		traffic_write(traffic_of_slot(&p->traffic, front_tx_descriptor(r, i)), front_tx_frame(r, i),
			from, pair, p->to_first ? 0 : pair, g->from[from].sent++);
	}
	return n;
}

static void read_frames(struct generator *g, unsigned at, const struct front_frame *frames, unsigned n)
{
	const struct traffic *t = &((struct pairs *)g)->traffic;

	for (unsigned i = 0; i < n; i++) {
		uint64_t seq;

		if (!traffic_read(t, frames[i].data, frames[i].len, at, &seq)) {
			generator_wrong(g, at);
			continue;
		}
		generator_count(g, at, seq);
		if (generator_due(g) && !traffic_intact(t, frames[i].data, frames[i].len, !at))
			generator_wrong(g, at);
	}
}

struct generator *pairs_create(struct front *const fronts[2], unsigned size, bool ipv6, unsigned pairs,
	unsigned window, const atomic_bool *stop)
{
	struct pairs *p = aligned_alloc(_Alignof(struct pairs), sizeof(*p));

	if (!p)
		return NULL;
	memset(p, 0, sizeof(*p));
	generator_init(&p->g, fronts, window, stop);
	p->g.items = pairs;
	p->g.write = write_frames;
	p->g.read = read_frames;
	traffic_init(&p->traffic, size, ipv6);
	for (unsigned port = 0; port < 2; port++)
		traffic_fill(&p->traffic, p->g.tx[port], 0, port);
	return &p->g;
}

void pairs_sweep(
	struct generator *g, uint32_t first, uint32_t count, double seconds, struct generator_result *result)
{
	struct pairs *p = (struct pairs *)g;

	p->to_first = true;
	generator_sweep(g, 0, first, count, seconds, result);
	p->to_first = false;
}
