#include "bench/exchange.h"

#include <errno.h>
#include <time.h>

#include "bench/host.h"

/* A frame that has not arrived by then is lost. The former is far longer than any switch holds one, and
 * outlives a worker that shares its core for a while; the latter only makes the next attempt begin. */
#define PATIENCE_S 0.2
#define EACH_PATIENCE_S 0.02

void exchange_init(
	struct exchange *x, struct front *const fronts[2], unsigned window, const atomic_bool *stop)
{
	x->window = window;
	x->stop = stop;
	x->random = 0x2545f491;
	for (unsigned port = 0; port < 2; port++) {
		x->rx[port] = front_rx_ring(fronts[port], 0);
		x->tx[port] = front_tx_ring(fronts[port], 0);
	}
}

static unsigned receive(struct exchange *x, unsigned at)
{
	struct front_frame frames[EXCHANGE_BURST];
	unsigned n = front_rx_burst(x->rx[at], frames, EXCHANGE_BURST);

	if (n > 0)
		x->read(x, at, frames, n);
	front_rx_done(x->rx[at], frames, n);
	return n;
}

/* Whole bursts only: half-filled ones would make the switch look dearer than it is. */
static unsigned transmit(struct exchange *x, unsigned from, unsigned want)
{
	const struct direction *d = &x->from[from];

	if (x->silent[from] || (x->window && d->sent - d->expected + want > x->window))
		return 0;
	if (want == 0 || front_tx_room(x->tx[from], want) < want)
		return 0;
	x->write(x, from, want);
	return want;
}

static unsigned transmit_in_turn(struct exchange *x, unsigned from)
{
	uint32_t left = x->end[from] - x->next[from];

	return transmit(x, from, left < EXCHANGE_BURST ? left : EXCHANGE_BURST);
}

static uint64_t in_flight(const struct exchange *x)
{
	return x->from[0].sent - x->from[0].expected + x->from[1].sent - x->from[1].expected;
}

static void give_up(struct exchange *x)
{
	for (unsigned i = 0; i < 2; i++) {
		x->from[i].lost += x->from[i].sent - x->from[i].expected;
		x->from[i].expected = x->from[i].sent;
	}
}

/* Receives until nothing is under way, or nothing has come for `seconds`; what is missing then is lost. */
static void drain(struct exchange *x, double seconds)
{
	uint64_t patience = (uint64_t)(seconds * host_tsc_hz()), last = host_tsc();

	while (in_flight(x) > 0 && host_tsc() - last < patience)
		if (receive(x, 0) + receive(x, 1) > 0)
			last = host_tsc();
	give_up(x);
}

static struct direction both(const struct exchange *x)
{
	const struct direction *a = &x->from[0], *b = &x->from[1];

	return (struct direction){.sent = a->sent + b->sent,
		.received = a->received + b->received,
		.lost = a->lost + b->lost,
		.late = a->late + b->late,
		.wrong = a->wrong + b->wrong};
}

static double thread_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A run under way: what was before it, and its clock. */
struct run {
	struct direction before;
	uint64_t start, end, now, last; /* last: when something last moved */
	uint64_t waited;
	double ran;
};

static struct run begin(const struct exchange *x, double seconds)
{
	uint64_t now = host_tsc();

	return (struct run){.before = both(x),
		.start = now,
		.now = now,
		.last = now,
		.end = now + (uint64_t)(seconds * host_tsc_hz()),
		.ran = thread_seconds()};
}

static bool goes_on(const struct exchange *x, const struct run *run)
{
	return run->now < run->end && !atomic_load_explicit(x->stop, memory_order_relaxed);
}

/* Advances the clock by a round that moved `moved` frames; what is long overdue is given up. */
static void tick(struct exchange *x, struct run *run, unsigned moved)
{
	uint64_t began = run->now;

	run->now = host_tsc();
	if (moved > 0) {
		run->last = run->now;
		return;
	}
	run->waited += run->now - began;
	if (run->now - run->last > (uint64_t)(PATIENCE_S * host_tsc_hz())) {
		give_up(x);
		run->last = run->now;
	}
}

static void finish(struct exchange *x, const struct run *run, struct generator_result *result)
{
	double ran = thread_seconds() - run->ran, took = (double)(run->now - run->start);
	uint64_t received = both(x).received;
	struct direction after;

	drain(x, PATIENCE_S);
	after = both(x);
	*result = (struct generator_result){
		.seconds = took / host_tsc_hz(),
		.sent = after.sent - run->before.sent,
		.received = received - run->before.received,
		.lost = after.lost > run->before.lost ? after.lost - run->before.lost : 0,
		.late = after.late - run->before.late,
		.wrong = after.wrong - run->before.wrong,
		.wait_pct = took > 0 ? 100.0 * (double)run->waited / took : 0,
		.share_pct = took > 0 ? 100.0 * ran * host_tsc_hz() / took : 0,
	};
}

void exchange_run(struct exchange *x, double seconds, struct generator_result *result)
{
	struct run run = begin(x, seconds);

	while (goes_on(x, &run))
		tick(x, &run,
			receive(x, 0) + transmit(x, 0, EXCHANGE_BURST) + receive(x, 1) +
				transmit(x, 1, EXCHANGE_BURST));
	finish(x, &run, result);
}

void exchange_sweep(struct exchange *x, unsigned from, uint32_t first, uint32_t count, double seconds,
	struct generator_result *result)
{
	struct run run = begin(x, seconds);

	x->in_turn = true;
	x->next[from] = first;
	x->end[from] = first + count;
	while (goes_on(x, &run) && (x->next[from] < x->end[from] || in_flight(x) > 0))
		tick(x, &run, receive(x, 0) + receive(x, 1) + transmit_in_turn(x, from));
	x->in_turn = false;
	finish(x, &run, result);
}

/* Sends items first..end-1 once; returns how many did not arrive. */
static uint64_t each_round(struct exchange *x, unsigned from, uint32_t first, uint32_t end)
{
	uint64_t received = x->from[from].received;

	x->next[from] = first;
	x->end[from] = end;
	/* A ring that is still full after all that patience belongs to a switch that does not take frames. */
	while (x->next[from] < end && transmit_in_turn(x, from) > 0)
		;
	drain(x, EACH_PATIENCE_S);
	return end - first - (x->from[from].received - received);
}

int exchange_each(struct exchange *x, unsigned from, uint32_t first, uint32_t count, double seconds)
{
	uint64_t end = host_tsc() + (uint64_t)(seconds * host_tsc_hz());
	bool silent = x->silent[from];
	int rc = 0;

	x->in_turn = true;
	x->silent[from] = false;
	for (uint32_t at = first; at < first + count && rc == 0; at += GENERATOR_MIN_WINDOW) {
		uint32_t left = first + count - at;
		uint32_t some = left < GENERATOR_MIN_WINDOW ? left : GENERATOR_MIN_WINDOW;

		while (rc == 0 && each_round(x, from, at, at + some) > 0)
			if (host_tsc() > end || atomic_load(x->stop))
				rc = -ETIMEDOUT;
	}
	x->in_turn = false;
	x->silent[from] = silent;
	return rc;
}
