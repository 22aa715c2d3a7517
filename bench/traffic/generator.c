#include "bench/traffic/generator.h"

#include <errno.h>
#include <stdlib.h>

#include "bench/host/histogram.h"
#include "bench/host/host.h"

enum { STAMPS_PER_SLOT = 4 /* as many frames lie in both ports' rings, and as many more get lost */ };

/* Two looks further apart than this: the generator lost its core. A full round takes a quarter of it. */
#define AWAY_S 20e-6

/* A frame that has not arrived by then is lost. The former is far longer than any switch holds one, and
 * outlives a worker that shares its core for a while; the latter only makes the next attempt begin. */
#define PATIENCE_S 0.2
#define LEARN_PATIENCE_S 0.02

/* A run under way: what was before it, both directions summed, and its clock in cycles of host_tsc(). */
struct run {
	struct generator_way before;
	uint64_t start, end, now, last; /* last: when something last moved */
	uint64_t waited;
	double ran; /* CPU seconds of the thread before it */
};

void generator_init(
	struct generator *g, struct front *const fronts[2], unsigned window, const atomic_bool *stop)
{
	g->window = window;
	g->stop = stop;
	g->random = 0x2545f491;
	for (unsigned port = 0; port < 2; port++) {
		g->rx[port] = front_rx_ring(fronts[port], 0);
		g->tx[port] = front_tx_ring(fronts[port], 0);
	}
}

void generator_free(struct generator *g)
{
	if (g)
		free(g->timing.stamp[0]);
	free(g);
}

static struct generator_way both(const struct generator *g)
{
	const struct generator_way *from = g->from;

	return (struct generator_way){.sent = from[0].sent + from[1].sent,
		.received = from[0].received + from[1].received,
		.lost = from[0].lost + from[1].lost,
		.late = from[0].late + from[1].late,
		.wrong = from[0].wrong + from[1].wrong};
}

/* Frames of both directions that have neither arrived nor been given up. */
static inline uint64_t in_flight(const struct generator *g)
{
	return g->from[0].sent - g->from[0].expected + g->from[1].sent - g->from[1].expected;
}

static void give_up(struct generator *g)
{
	for (struct generator_way *d = g->from; d < g->from + 2; d++) {
		d->lost += d->sent - d->expected;
		d->expected = d->sent;
	}
}

static struct run begin(struct generator *g, double seconds)
{
	uint64_t now = host_tsc();

	g->offered[0] = g->offered[1] = 0;
	g->timing.looked = now;
	g->timing.untimed = 0;
	g->stalls = 0;
	return (struct run){.before = both(g),
		.start = now,
		.now = now,
		.last = now,
		.end = now + (uint64_t)(seconds * host_tsc_hz()),
		.ran = host_cpu_s()};
}

static inline bool goes_on(const struct generator *g, const struct run *run)
{
	return run->now < run->end && !atomic_load_explicit(g->stop, memory_order_relaxed);
}

/* Advances the clock by a round that moved `moved` frames; what is long overdue is given up. */
static inline void tick(struct generator *g, struct run *run, unsigned moved)
{
	uint64_t began = run->now;

	run->now = host_tsc();
	if (moved > 0) {
		run->last = run->now;
		return;
	}
	run->waited += run->now - began;
	if (run->now - run->last > (uint64_t)(PATIENCE_S * host_tsc_hz())) {
		g->stalls += in_flight(g) > 0;
		give_up(g);
		run->last = run->now;
	}
}

/* The clock is not read before the ring. */
static inline void look(struct generator_timing *t)
{
	uint64_t now;

	__builtin_ia32_lfence();
	now = host_tsc();
	if (now - t->looked > t->away)
		t->lost_core = now;
	t->looked = now;
}

void generator_add_time(struct generator *g, unsigned at, uint64_t seq)
{
	struct generator_timing *t = &g->timing;
	const struct generator_stamp *stamp = &t->stamp[!at][seq & t->mask];

	if (stamp->seq == seq && stamp->tsc > t->lost_core)
		histogram_add(t->took, t->looked - stamp->tsc, 1);
	else
		t->untimed++;
}

static inline unsigned receive(struct generator *g, unsigned at)
{
	struct front_frame frames[GENERATOR_BURST];
	unsigned n = front_rx_burst(g->rx[at], frames, GENERATOR_BURST);

	if (__builtin_expect(g->timing.took != NULL, 0))
		look(&g->timing);
	if (n > 0)
		g->read(g, at, frames, n);
	front_rx_done(g->rx[at], frames, n);
	return n;
}

static unsigned receive_both(struct generator *g)
{
	return receive(g, 0) + receive(g, 1);
}

/* Of the frames from number `first` on, which are published now. */
static void stamp_frames(struct generator *g, unsigned from, uint64_t first)
{
	const struct generator_timing *t = &g->timing;
	uint64_t now = host_tsc();

	for (uint64_t seq = first; seq < g->from[from].sent; seq++)
		t->stamp[from][seq & t->mask] = (struct generator_stamp){seq, now};
}

static inline void write_burst(struct generator *g, unsigned from, unsigned n)
{
	uint64_t first = g->from[from].sent;
	unsigned slots = g->write(g, from, n);

	if (__builtin_expect(g->timing.took != NULL, 0))
		stamp_frames(g, from, first);
	front_tx_publish(g->tx[from], slots);
}

/* Whole bursts only: half-filled ones would make the switch look dearer than it is. */
static inline unsigned transmit(struct generator *g, unsigned from, unsigned want)
{
	const struct generator_way *d = &g->from[from];

	if (g->silent[from] || (g->window && d->sent - d->expected + want > g->window))
		return 0;
	if (want == 0 || front_tx_room(g->tx[from], want) < want)
		return 0;
	write_burst(g, from, want);
	return want;
}

static unsigned transmit_in_turn(struct generator *g, unsigned from)
{
	uint32_t left = g->end[from] - g->next[from];

	return transmit(g, from, left < GENERATOR_BURST ? left : GENERATOR_BURST);
}

/* Sends what is due `elapsed` cycles into the run. Numbers that find no slot are skipped, so their frames are
 * missed by the receiver's count as any other loss. */
static unsigned transmit_due(struct generator *g, unsigned from, uint64_t elapsed)
{
	uint64_t due = (uint64_t)((double)elapsed * g->per_cycle), *offered = &g->offered[from];
	bool timed = g->timing.took;
	unsigned want, room;

	if (g->silent[from])
		return 0;
	/* Whatever the generator itself was too late for, having lost its core for a while, is not offered:
	 * what it timed then would be the queue that it made. */
	if (due - *offered > (timed ? GENERATOR_BURST : g->tx[from]->size / 2))
		*offered = due - (timed ? 1 : GENERATOR_BURST);
	want = due - *offered < GENERATOR_BURST ? (unsigned)(due - *offered) : GENERATOR_BURST;
	room = front_tx_room(g->tx[from], want);
	if (room > 0)
		write_burst(g, from, room);
	g->from[from].sent += want - room;
	*offered += want;
	return room;
}

/* Receives until nothing is under way, or nothing has come for `seconds`; what is missing then is lost. */
static void drain(struct generator *g, double seconds)
{
	uint64_t patience = (uint64_t)(seconds * host_tsc_hz()), last = host_tsc();

	while (in_flight(g) > 0 && host_tsc() - last < patience)
		if (receive_both(g) > 0)
			last = host_tsc();
	give_up(g);
}

static void finish(struct generator *g, const struct run *run, struct generator_result *result)
{
	double ran = host_cpu_s() - run->ran, took = (double)(run->now - run->start);
	uint64_t received = both(g).received;
	struct generator_way after;

	drain(g, PATIENCE_S);
	after = both(g);
	*result = (struct generator_result){
		.seconds = took / host_tsc_hz(),
		.sent = after.sent - run->before.sent,
		.received = received - run->before.received,
		/* frames given up before may have come late */
		.lost = after.lost > run->before.lost ? after.lost - run->before.lost : 0,
		.late = after.late - run->before.late,
		.wrong = after.wrong - run->before.wrong,
		.untimed = g->timing.untimed,
		.stalls = g->stalls,
		.wait_pct = took > 0 ? 100.0 * (double)run->waited / took : 0,
		.share_pct = took > 0 ? 100.0 * ran * host_tsc_hz() / took : 0,
	};
}

/* It stays out of generator_run, whose own loop then has all of the closed loop inlined. */
static __attribute__((noinline)) void run_paced(struct generator *g, struct run *run)
{
	while (goes_on(g, run)) {
		uint64_t elapsed = run->now - run->start;

		tick(g, run,
			receive(g, 0) + transmit_due(g, 0, elapsed) + receive(g, 1) +
				transmit_due(g, 1, elapsed));
		if (g->beside)
			g->beside(g->beside_arg);
	}
}

void generator_run(struct generator *g, double seconds, struct generator_result *result)
{
	struct run run = begin(g, seconds);

	if (g->per_cycle > 0)
		run_paced(g, &run);
	while (goes_on(g, &run))
		tick(g, &run,
			receive(g, 0) + transmit(g, 0, GENERATOR_BURST) + receive(g, 1) +
				transmit(g, 1, GENERATOR_BURST));
	finish(g, &run, result);
}

void generator_sweep(struct generator *g, unsigned from, uint32_t first, uint32_t count, double seconds,
	struct generator_result *result)
{
	struct run run = begin(g, seconds);

	g->in_turn = true;
	g->next[from] = first;
	g->end[from] = first + count;
	while (goes_on(g, &run) && (g->next[from] < g->end[from] || in_flight(g) > 0))
		tick(g, &run, receive_both(g) + transmit_in_turn(g, from));
	g->in_turn = false;
	finish(g, &run, result);
}

/* Sends items first..end-1 once; returns how many did not arrive. */
static uint64_t each_round(struct generator *g, unsigned from, uint32_t first, uint32_t end)
{
	uint64_t received = g->from[from].received;

	g->next[from] = first;
	g->end[from] = end;
	/* A ring that is still full after all that patience belongs to a switch that does not take frames. */
	while (g->next[from] < end && transmit_in_turn(g, from) > 0)
		;
	drain(g, LEARN_PATIENCE_S);
	return end - first - (g->from[from].received - received);
}

int generator_each(struct generator *g, unsigned from, uint32_t first, uint32_t count, double seconds)
{
	uint64_t end = host_tsc() + (uint64_t)(seconds * host_tsc_hz());
	bool silent = g->silent[from];
	int rc = 0;

	g->in_turn = true;
	g->silent[from] = false;
	for (uint32_t at = first; at < first + count && rc == 0; at += GENERATOR_MIN_WINDOW) {
		uint32_t left = first + count - at;
		uint32_t some = left < GENERATOR_MIN_WINDOW ? left : GENERATOR_MIN_WINDOW;

		while (rc == 0 && each_round(g, from, at, at + some) > 0)
			if (host_tsc() > end || atomic_load(g->stop))
				rc = -ETIMEDOUT;
	}
	g->in_turn = false;
	g->silent[from] = silent;
	return rc;
}

/* Twice each, as what was flooded on the way to an unknown address is then sent to a known one. */
int generator_learn(struct generator *g, double seconds)
{
	uint64_t end = host_tsc() + (uint64_t)(seconds * host_tsc_hz());
	int rc = 0;

	for (unsigned round = 0; round < 4 && rc == 0; round++)
		rc = generator_each(
			g, round % 2, 0, g->items, ((double)end - (double)host_tsc()) / host_tsc_hz());
	return rc;
}

void generator_pace(struct generator *g, double pps)
{
	g->per_cycle = pps / 2 / host_tsc_hz();
}

int generator_time(struct generator *g, struct histogram *took)
{
	struct generator_timing *t = &g->timing;
	size_t n = STAMPS_PER_SLOT * (size_t)g->tx[0]->size;

	t->took = took;
	t->away = (uint64_t)(AWAY_S * host_tsc_hz());
	if (!took || t->stamp[0])
		return 0;
	t->stamp[0] = calloc(2 * n, sizeof(*t->stamp[0]));
	if (!t->stamp[0]) {
		t->took = NULL;
		return -ENOMEM;
	}
	t->stamp[1] = t->stamp[0] + n;
	t->mask = n - 1;
	return 0;
}

void generator_beside(struct generator *g, void (*step)(void *arg), void *arg)
{
	g->beside = step;
	g->beside_arg = arg;
}
