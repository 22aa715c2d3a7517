#include "bench/traffic/generator.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/front/rx.h"
#include "bench/front/tx.h"
#include "bench/host/histogram.h"
#include "bench/host/host.h"
#include "bench/traffic/account.h"
#include "bench/traffic/traffic.h"

enum {
	BURST = 32,
	INTACT_EVERY = 64,
	STAMPS_PER_SLOT = 4, /* as many frames lie in both ports' rings, and as many more get lost */
};

/* Two looks further apart than this: the generator lost its core. A full round takes a quarter of it. */
#define AWAY_S 20e-6

/* When a frame was published. */
struct stamp {
	uint64_t seq, tsc;
};

/* Of the last frames of either port, by their numbers, and what they took. */
struct timing {
	struct histogram *took;
	uint64_t mask, untimed;
	uint64_t away;		    /* cycles between two looks at the rings that say: the core was lost */
	uint64_t looked, lost_core; /* TSC: the last look; until when the core was lost last */
	struct stamp *stamp[2];
};

struct generator {
	struct traffic traffic;
	struct front_ring *rx[2], *tx[2];
	struct direction from[2];
	unsigned window;
	uint32_t since_intact; /* frames since one was compared as a whole */
	bool in_turn;	       /* learning: pairs one after the other instead of in random order */
	bool to_first;	       /* all of them to host 0 of the other port */
	double per_cycle;      /* paced: frames each way in a cycle of the clock; 0: closed loop */
	uint32_t next_pair[2];
	struct timing timing; /* took: NULL unless it times */
	const atomic_bool *stop;
	void (*beside)(void *arg); /* NULL: nothing */
	void *beside_arg;
};

struct generator *generator_create(struct front *const fronts[2], unsigned size, unsigned pairs,
	unsigned window, const atomic_bool *stop)
{
	struct generator *g = aligned_alloc(_Alignof(struct generator), sizeof(*g));

	if (!g)
		return NULL;
	memset(g, 0, sizeof(*g));
	traffic_init(&g->traffic, size, pairs);
	g->window = window;
	g->stop = stop;
	for (unsigned port = 0; port < 2; port++) {
		struct front_ring *tx = front_tx_ring(fronts[port], 0);

		g->rx[port] = front_rx_ring(fronts[port], 0);
		g->tx[port] = tx;
		for (uint16_t i = 0; i < tx->size; i++) {
			const struct traffic_frame *frame = traffic_of_slot(&g->traffic, i);

			memcpy(front_ring_buffer(tx, i) + FRONT_HEADROOM, frame->whole[port], frame->length);
			*front_ring_length(tx, i) = FRONT_HDR + frame->length;
		}
	}
	return g;
}

void generator_free(struct generator *g)
{
	if (g)
		free(g->timing.stamp[0]);
	free(g);
}

int generator_time(struct generator *g, struct histogram *took)
{
	struct timing *t = &g->timing;
	size_t n = STAMPS_PER_SLOT * (size_t)g->tx[0]->size;

	t->took = took;
	t->away = (uint64_t)(AWAY_S * host_tsc_hz());
	if (!took || t->stamp[0])
		return 0;
	t->stamp[0] = calloc(2 * n, sizeof(struct stamp));
	if (!t->stamp[0]) {
		t->took = NULL;
		return -ENOMEM;
	}
	t->stamp[1] = t->stamp[0] + n;
	t->mask = n - 1;
	return 0;
}

static inline void check(struct generator *g, unsigned at, const struct front_frame *frame)
{
	struct direction *d = &g->from[!at];
	uint64_t seq;

	if (!traffic_read(&g->traffic, frame->data, frame->len, at, &seq)) {
		d->wrong++;
		return;
	}
	if (!account_count(d, seq))
		return;
	if (++g->since_intact >= INTACT_EVERY) {
		g->since_intact = 0;
		d->wrong += !traffic_intact(&g->traffic, frame->data, frame->len, !at);
	}
}

static inline unsigned receive(struct generator *g, unsigned at)
{
	struct front_frame frames[BURST];
	unsigned n = front_rx_burst(g->rx[at], frames, BURST);

	for (unsigned i = 0; i < n; i++)
		check(g, at, &frames[i]);
	front_rx_done(g->rx[at], frames, n);
	return n;
}

/* How long each frame took from its publication to `now`, when it was seen. */
static inline void time_frames(
	struct generator *g, unsigned at, const struct front_frame *frames, unsigned n, uint64_t now)
{
	struct timing *t = &g->timing;

	for (unsigned i = 0; i < n; i++) {
		const struct stamp *stamp;
		uint64_t seq;

		if (!traffic_read(&g->traffic, frames[i].data, frames[i].len, at, &seq))
			continue;
		stamp = &t->stamp[!at][seq & t->mask];
		if (stamp->seq == seq && stamp->tsc > t->lost_core)
			histogram_add(t->took, now - stamp->tsc, 1);
		else
			t->untimed++;
	}
}

static inline unsigned receive_timed(struct generator *g, unsigned at)
{
	struct front_frame frames[BURST];
	unsigned n = front_rx_burst(g->rx[at], frames, BURST);
	struct timing *t = &g->timing;
	uint64_t now;

	__builtin_ia32_lfence(); /* the clock is not read before the ring */
	now = host_tsc();
	if (now - t->looked > t->away)
		t->lost_core = now;
	t->looked = now;
	time_frames(g, at, frames, n, now);
	for (unsigned i = 0; i < n; i++)
		check(g, at, &frames[i]);
	front_rx_done(g->rx[at], frames, n);
	return n;
}

static inline uint32_t choose_pair(struct generator *g, unsigned from)
{
	if (g->in_turn)
		return g->next_pair[from]++;
	return g->traffic.pairs == 1 ? 0 : traffic_next_pair(&g->traffic);
}

/* Of the next `n` frames of a port, which it publishes now. */
static inline void stamp_burst(struct generator *g, unsigned from, unsigned n)
{
	const struct timing *t = &g->timing;
	uint64_t now = host_tsc();

	for (uint64_t seq = g->from[from].sent - n; seq < g->from[from].sent; seq++)
		t->stamp[from][seq & t->mask] = (struct stamp){seq, now};
}

static inline void write_burst(struct generator *g, unsigned from, unsigned n, bool timed)
{
	struct front_ring *r = g->tx[from];

	for (unsigned i = 0; i < n; i++) {
		uint32_t pair = choose_pair(g, from);

		traffic_write(traffic_of_slot(&g->traffic, front_tx_descriptor(r, i)), front_tx_frame(r, i),
			from, pair, g->to_first ? 0 : pair, g->from[from].sent++);
	}
	if (timed)
		stamp_burst(g, from, n);
	front_tx_publish(r, n);
}

static inline unsigned transmit(struct generator *g, unsigned from, unsigned want)
{
	struct front_ring *r = g->tx[from];
	struct direction *d = &g->from[from];

	/* Whole bursts only: half-filled ones would make the switch look dearer than it is. */
	if (g->window && d->sent - d->expected + want > g->window)
		return 0;
	if (front_tx_room(r, want) < want)
		return 0;
	write_burst(g, from, want, false);
	return want;
}

static unsigned receive_both(void *arg)
{
	return receive(arg, 0) + receive(arg, 1);
}

static inline bool goes_on(const struct generator *g, const struct account_run *run)
{
	return account_goes_on(run, g->stop);
}

static void finish(struct generator *g, const struct account_run *run, struct generator_result *result)
{
	account_finish(run, g->from, receive_both, g, result);
	result->untimed = g->timing.untimed;
}

/* Sends what is due `elapsed` cycles into the run. Numbers that find no slot are skipped, so their frames are
 * missed by the receiver's count as any other loss. */
static inline unsigned transmit_due(
	struct generator *g, unsigned from, uint64_t *offered, uint64_t elapsed, bool timed)
{
	uint64_t due = (uint64_t)((double)elapsed * g->per_cycle);
	unsigned want, room;

	/* Whatever the generator itself was too late for, having lost its core for a while, is not offered:
	 * what it timed then would be the queue that it made. */
	if (due - *offered > (timed ? BURST : g->tx[from]->size / 2))
		*offered = due - (timed ? 1 : BURST);
	want = due - *offered < BURST ? (unsigned)(due - *offered) : BURST;
	room = front_tx_room(g->tx[from], want);
	if (room > 0)
		write_burst(g, from, room, timed);
	g->from[from].sent += want - room;
	*offered += want;
	return room;
}

/* These loops stay out of generator_run, whose own then has the whole closed loop inlined. */
static __attribute__((noinline)) void run_paced(struct generator *g, struct account_run *run)
{
	uint64_t offered[2] = {0};

	while (goes_on(g, run)) {
		uint64_t elapsed = run->now - run->start;
		unsigned moved = receive(g, 0) + transmit_due(g, 0, &offered[0], elapsed, false) +
				 receive(g, 1) + transmit_due(g, 1, &offered[1], elapsed, false);

		account_tick(run, g->from, moved);
	}
}

static __attribute__((noinline)) void run_timed(struct generator *g, struct account_run *run)
{
	uint64_t offered[2] = {0};

	g->timing.looked = run->start;
	g->timing.untimed = 0;
	while (goes_on(g, run)) {
		uint64_t elapsed = run->now - run->start;
		unsigned moved = receive_timed(g, 0) + transmit_due(g, 0, &offered[0], elapsed, true) +
				 receive_timed(g, 1) + transmit_due(g, 1, &offered[1], elapsed, true);

		if (g->beside)
			g->beside(g->beside_arg);
		account_tick(run, g->from, moved);
	}
}

void generator_beside(struct generator *g, void (*step)(void *arg), void *arg)
{
	g->beside = step;
	g->beside_arg = arg;
}

void generator_run(struct generator *g, double seconds, struct generator_result *result)
{
	struct account_run run = account_begin(g->from, seconds);

	if (g->per_cycle > 0 && g->timing.took)
		run_timed(g, &run);
	else if (g->per_cycle > 0)
		run_paced(g, &run);
	while (goes_on(g, &run))
		account_tick(&run, g->from,
			receive(g, 0) + transmit(g, 0, BURST) + receive(g, 1) + transmit(g, 1, BURST));
	finish(g, &run, result);
}

void generator_pace(struct generator *g, double pps)
{
	g->per_cycle = pps / 2 / host_tsc_hz();
}

void generator_sweep(struct generator *g, uint32_t count, double seconds, struct generator_result *result)
{
	struct account_run run = account_begin(g->from, seconds);
	uint32_t end =
		g->next_pair[0] + count < g->traffic.pairs ? g->next_pair[0] + count : g->traffic.pairs;

	g->in_turn = g->to_first = true;
	while (goes_on(g, &run) && (g->next_pair[0] < end || account_in_flight(g->from) > 0)) {
		uint32_t left = end - g->next_pair[0];

		account_tick(&run, g->from, receive(g, 1) + transmit(g, 0, left < BURST ? left : BURST));
	}
	g->in_turn = g->to_first = false;
	finish(g, &run, result);
}

/* Sends from hosts first..end-1 of one port once; returns how many of their frames did not arrive. */
static uint64_t learn_round(struct generator *g, unsigned from, uint32_t first, uint32_t end)
{
	uint64_t before = g->from[from].lost, after;

	g->next_pair[from] = first;
	while (g->next_pair[from] < end) {
		uint32_t left = end - g->next_pair[from];

		/* A ring that is still full after all that patience belongs to a switch that does not take
		 * frames. */
		if (transmit(g, from, left < BURST ? left : BURST) == 0)
			break;
	}
	account_drain(g->from, ACCOUNT_LEARN_PATIENCE_S, receive_both, g);
	after = g->from[from].lost; /* less than before when frames given up earlier came after all */
	return (after > before ? after - before : 0) + end - g->next_pair[from];
}

int generator_learn(struct generator *g, double seconds)
{
	uint64_t end = host_tsc() + (uint64_t)(seconds * host_tsc_hz());
	int rc = 0;

	g->in_turn = true;
	/* Twice each, as what was flooded on the way to an unknown address is then sent to a known one. */
	for (unsigned round = 0; round < 4 && rc == 0; round++) {
		for (uint32_t first = 0; first < g->traffic.pairs && rc == 0; first += GENERATOR_MIN_WINDOW) {
			uint32_t left = g->traffic.pairs - first;
			uint32_t count = left < GENERATOR_MIN_WINDOW ? left : GENERATOR_MIN_WINDOW;

			while (rc == 0 && learn_round(g, round % 2, first, first + count) > 0)
				if (host_tsc() > end || atomic_load(g->stop))
					rc = -ETIMEDOUT;
		}
	}
	g->in_turn = false;
	return rc;
}
