#include "bench/traffic/exchange.h"

#include <errno.h>

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

static unsigned receive_both(void *arg)
{
	return receive(arg, 0) + receive(arg, 1);
}

void exchange_run(struct exchange *x, double seconds, struct generator_result *result)
{
	struct account_run run = account_begin(x->from, seconds);

	while (account_goes_on(&run, x->stop))
		account_tick(&run, x->from,
			receive(x, 0) + transmit(x, 0, EXCHANGE_BURST) + receive(x, 1) +
				transmit(x, 1, EXCHANGE_BURST));
	account_finish(&run, x->from, receive_both, x, result);
}

void exchange_sweep(struct exchange *x, unsigned from, uint32_t first, uint32_t count, double seconds,
	struct generator_result *result)
{
	struct account_run run = account_begin(x->from, seconds);

	x->in_turn = true;
	x->next[from] = first;
	x->end[from] = first + count;
	while (account_goes_on(&run, x->stop) &&
		(x->next[from] < x->end[from] || account_in_flight(x->from) > 0))
		account_tick(&run, x->from, receive(x, 0) + receive(x, 1) + transmit_in_turn(x, from));
	x->in_turn = false;
	account_finish(&run, x->from, receive_both, x, result);
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
	account_drain(x->from, ACCOUNT_LEARN_PATIENCE_S, receive_both, x);
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
