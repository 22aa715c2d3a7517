/*
 * flood: broadcasts from one port to all others. A frame counts as often as it arrives, so the figures are
 * those of a copy.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/front/rx.h"
#include "bench/front/tx.h"
#include "bench/host/host.h"
#include "bench/peer/peer.h"
#include "bench/run/measure.h"
#include "bench/traffic/traffic.h"

enum { BURST = 32 };

#define PATIENCE_S 0.2

struct flood {
	struct session *s;
	struct front_ring *tx;
	struct traffic traffic;
	uint64_t sent, received[PEER_MAX_PORTS], next[PEER_MAX_PORTS], wrong;
};

static void write_frames(struct flood *f)
{
	uint64_t now = f->sent;

	for (unsigned i = 0; i < BURST; i++) {
		uint8_t *frame = front_tx_frame(f->tx, i);
		uint64_t seq = now + i;

		memset(frame, 0xff, 6);
		memcpy(frame + 48, &seq, sizeof(seq));
	}
	front_tx_publish(f->tx, BURST);
	f->sent += BURST;
}

static unsigned receive(struct flood *f, unsigned port)
{
	struct front_ring *rx = front_rx_ring(f->s->fronts[port], 0);
	struct front_frame frames[BURST];
	unsigned n = front_rx_burst(rx, frames, BURST);

	for (unsigned i = 0; i < n; i++) {
		uint64_t seq = UINT64_MAX;

		if (frames[i].len == f->traffic.size[0].length)
			memcpy(&seq, frames[i].data + 48, sizeof(seq));
		/* In order, or something lost between: never again, never what was not sent. */
		if (seq < f->next[port] || seq >= f->sent) {
			f->wrong++;
			continue;
		}
		f->next[port] = seq + 1;
		f->received[port]++;
	}
	front_rx_done(rx, frames, n);
	return n;
}

/* Frames under way to the receiver that has seen the fewest. */
static uint64_t in_flight(const struct flood *f)
{
	uint64_t least = f->sent;

	for (unsigned i = 1; i < f->s->n_fronts; i++)
		least = f->next[i] < least ? f->next[i] : least;
	return f->sent - least;
}

static unsigned receive_all(struct flood *f)
{
	unsigned n = 0;

	for (unsigned i = 1; i < f->s->n_fronts; i++)
		n += receive(f, i);
	return n;
}

static uint64_t total(const struct flood *f)
{
	uint64_t sum = 0;

	for (unsigned i = 1; i < f->s->n_fronts; i++)
		sum += f->received[i];
	return sum;
}

static double thread_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Sends while fewer frames than the window are under way, until `end`, then (end 0) only receives what comes.
 */
static uint64_t exchange(struct flood *f, uint64_t end)
{
	const struct options *o = f->s->o;
	uint64_t patience = (uint64_t)(PATIENCE_S * host_tsc_hz()), now = host_tsc(), last = now;

	while (end ? now < end : in_flight(f) > 0 && now - last < patience) {
		bool open = end && (!o->window || in_flight(f) + BURST <= o->window);

		if (receive_all(f) > 0)
			last = now;
		else if (end && now - last > patience)
			break; /* a switch that loses floods keeps the window full: what came is the figure */
		if (open && front_tx_room(f->tx, BURST) == BURST)
			write_frames(f);
		if (atomic_load_explicit(f->s->stop, memory_order_relaxed))
			break;
		now = host_tsc();
	}
	return now;
}

static void run_flood(void *arg, double seconds, struct generator_result *result)
{
	struct flood *f = arg;
	uint64_t start = host_tsc(), end = start + (uint64_t)(seconds * host_tsc_hz()), sent = f->sent,
		 before = total(f), wrong = f->wrong, received;
	double ran = thread_seconds(), took;

	end = exchange(f, end);
	took = (double)(end - start) / host_tsc_hz();
	ran = thread_seconds() - ran;
	received = total(f) - before;
	exchange(f, 0);
	*result = (struct generator_result){.seconds = took,
		.sent = (f->sent - sent) * (f->s->n_fronts - 1),
		.received = received,
		.wrong = f->wrong - wrong,
		.share_pct = took > 0 ? 100 * ran / took : 0};
	result->lost = result->sent - (total(f) - before);
}

int flood_take(struct session *s)
{
	struct flood *f = aligned_alloc(_Alignof(struct flood), sizeof(*f));
	int rc = 0;

	if (!f)
		return -ENOMEM;
	for (unsigned i = 0; i < s->o->n_sizes && rc == 0; i++) {
		memset(f, 0, sizeof(*f));
		f->s = s;
		f->tx = front_tx_ring(s->fronts[0], 0);
		s->kind.size = s->o->sizes[i];
		traffic_init(&f->traffic, s->kind.size == TRAFFIC_IMIX ? TRAFFIC_MIN : s->kind.size);
		traffic_fill(&f->traffic, f->tx, 0, 0);
		for (unsigned k = 0; k < s->o->trials && rc == 0 && !atomic_load(s->stop); k++) {
			struct generator_result warm_up;
			struct trial t;

			if (s->o->warm_up > 0)
				run_flood(f, s->o->warm_up, &warm_up);
			measure_trial(s, run_flood, f, &t);
			/* The switch counts what it received, not what it delivered. */
			t.value[METRIC_CYCLES] /= s->n_fronts - 1;
			t.value[METRIC_BUSY] /= s->n_fronts - 1;
			rc = report_add(s->report, &t);
		}
	}
	free(f);
	return rc;
}
