#include "bench/host/probe.h"

#include <limits.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/host/host.h"

enum { BATCHES = 9, TRIPS = 1000 };

/* Two placements were seen, at 55-75 and 325-350 ns; anything between belongs to the nearer of them. */
#define NEAR_BELOW_NS 160.0

/* A partner that has not answered by then is kept from its core, and there is nothing to measure. */
#define PATIENCE_S 0.5

enum { GAVE_UP = UINT_MAX };

struct game {
	alignas(128) atomic_uint turn;
	alignas(128) int server_core, returner_core;
	double best_ns;
};

/* Waits for `turn`; false when the other side gave up, or makes no move. */
static inline bool wait_turn(struct game *g, unsigned turn)
{
	uint64_t start = host_tsc(), patience = (uint64_t)(PATIENCE_S * host_tsc_hz());
	unsigned now;

	for (unsigned spins = 0; (now = atomic_load_explicit(&g->turn, memory_order_acquire)) != turn;
		spins++) {
		if (now == GAVE_UP)
			return false;
		if (spins % 1024 == 1023 && host_tsc() - start > patience) {
			atomic_store(&g->turn, GAVE_UP);
			return false;
		}
	}
	return true;
}

static void *return_balls(void *arg)
{
	struct game *g = arg;

	host_pin(g->returner_core);
	for (unsigned i = 0; i < BATCHES * TRIPS && wait_turn(g, 2 * i + 1); i++)
		atomic_store_explicit(&g->turn, 2 * i + 2, memory_order_release);
	return NULL;
}

static void *serve_balls(void *arg)
{
	struct game *g = arg;

	host_pin(g->server_core);
	for (unsigned i = 0, batch = 0; batch < BATCHES; batch++) {
		uint64_t start = host_tsc();

		for (unsigned trip = 0; trip < TRIPS; trip++, i++) {
			atomic_store_explicit(&g->turn, 2 * i + 1, memory_order_release);
			if (!wait_turn(g, 2 * i + 2))
				return NULL;
		}
		double ns = (double)(host_tsc() - start) / host_tsc_hz() * 1e9 / TRIPS;

		if (g->best_ns == 0 || ns < g->best_ns)
			g->best_ns = ns;
	}
	return NULL;
}

double probe_round_trip_ns(int a, int b)
{
	struct game game = {.server_core = a, .returner_core = b};
	pthread_t server, returner;

	host_tsc_hz();
	if (pthread_create(&server, NULL, serve_balls, &game) != 0)
		return 0;
	if (pthread_create(&returner, NULL, return_balls, &game) != 0)
		atomic_store(&game.turn, GAVE_UP);
	else
		pthread_join(returner, NULL);
	pthread_join(server, NULL);
	return game.best_ns;
}

const char *probe_state(double before_ns, double after_ns)
{
	if (before_ns == 0 || after_ns == 0)
		return "unknown";
	if ((before_ns < NEAR_BELOW_NS) != (after_ns < NEAR_BELOW_NS))
		return "mixed";
	return before_ns < NEAR_BELOW_NS ? "near" : "far";
}
