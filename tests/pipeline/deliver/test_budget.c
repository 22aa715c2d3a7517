/*
 * A port that costs its worker more than its frames are worth waits, and its neighbours do not; alone it does not wait.
 * What a delivery costs is the receiver's, what a fault in a sender's memory costs the sender's. Ports here burn
 * time as they are told to; nothing is said of how long anything takes, only of who gets how many turns.
 */
#include <rte_cycles.h>
#include <rte_pause.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/core/private.h"
#include "dataplane/deliver/budget.h"
#include "dataplane/engine/loop.h"
#include "dataplane/ports.h"
#include "tests/pipeline/harness.h"
#include "tests/pipeline/packets.h"
#include "tests/unit/unit.h"

enum { TAIL = 600 };

/* Two ports of a network each send to the other; an end sends as often as it is looked at while `talks` is set. */
struct end {
	struct port *port;
	mac_t mac;
	const mac_t *peer;
	bool talks;
	unsigned rx_us;		  /* that a look costs */
	unsigned stop_us;	  /* for which a look is stopped in the kernel */
	bool page;		  /* which happens in a page fault */
	unsigned tx_us;		  /* that a frame to it costs */
	bool faults;		  /* whoever is first to read its payload burns FAULT_US */
	unsigned looks, got, own; /* own: frames whose payload lay in the worker's memory */
	uint64_t waited;	  /* what throttled() counts from */
	uint8_t payload[TAIL];
};

enum { FAULT_US = 1000 };

static struct dp *dp;
static struct worker *w;
static struct end honest[2], bad[2], *opening;
static uint16_t net[2];

static void burn(unsigned us)
{
	uint64_t end = rte_rdtsc() + rte_get_tsc_hz() / 1000000 * us;

	while (us && rte_rdtsc() < end)
		rte_pause();
}

/* One page fault. */
static void fault(void)
{
	volatile uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(page != MAP_FAILED);
	page[0] = 1;
	assert_int_equal(munmap((void *)page, 4096), 0);
}

static int end_open(struct port *port, struct dp_err *err)
{
	port->priv = opening;
	opening->port = port;
	atomic_store(&port->up, true);
	return 0;
}

static void end_close(struct port *port) {}

static uint16_t end_rx(struct port *port, struct worker *worker, struct burst *b)
{
	struct end *e = port->priv;
	struct frame *f;

	if (!e->talks)
		return 0;
	e->looks++;
	burn(e->rx_us);
	if (e->stop_us)
		usleep(e->stop_us);
	if (e->page)
		fault();
	f = burst_begin(b);
	f->hdr_len = (uint16_t)packet_eth(frame_data(f), *e->peer, e->mac, HDR_COPY - 14);
	f->len = f->hdr_len + TAIL;
	burst_lend(b, f, e->payload, TAIL);
	burst_keep(b, f);
	return 1;
}

static bool in_scratch(const struct worker *worker, const uint8_t *ptr)
{
	return ptr >= worker->scratch && ptr < worker->scratch + SCRATCH_BYTES;
}

static uint16_t end_tx(struct port *port, struct worker *worker, struct frame *const *frames, uint16_t n)
{
	struct end *e = port->priv;

	for (unsigned i = 0; i < n; i++) {
		const struct end *from = worker->burst.in->priv;
		uint8_t whole[HDR_COPY + TAIL];

		frame_copy(frames[i], whole);
		assert_int_equal(frames[i]->len, HDR_COPY + TAIL);
		assert_memory_equal(whole + HDR_COPY, from->payload, TAIL);
		burn(e->tx_us);
		if (in_scratch(worker, frames[i]->span->ptr)) {
			e->own++;
		} else if (from->faults) {
			fault();
			burn(FAULT_US);
		}
		e->got++;
	}
	return n;
}

static const struct port_ops end_ops = {.name = "end",
	.guest_memory = true,
	.open = end_open,
	.close = end_close,
	.rx = end_rx,
	.tx = end_tx};

static void make_end(struct end *e, uint16_t network, uint8_t number, const struct end *peer)
{
	struct dp_port spec = {.type = DP_NULL, .net = network, .mtu = 1500};
	struct dp_err err;
	uint16_t id;

	*e = (struct end){.mac = {2, 0, 0, 0, 0, number}, .peer = &peer->mac, .talks = true};
	memset(e->payload, number, TAIL);
	memcpy(spec.mac, e->mac, 6);
	opening = e;
	assert_int_equal(port_add(dp, &spec, &end_ops, &id, &err), 0);
}

/* Turns for `ms`. Returns how many. */
static unsigned turns(unsigned ms)
{
	uint64_t end = rte_rdtsc() + rte_get_tsc_hz() / 1000 * ms;
	unsigned n = 0;

	for (; rte_rdtsc() < end; n++)
		worker_turn(w);
	return n;
}

static uint64_t waits(const struct end *e)
{
	struct dp_port_info info;

	assert_int_equal(dp_port_info(dp, e->port->id, &info), 0);
	return info.throttled;
}

static void forget(struct end *e)
{
	e->looks = e->got = e->own = 0;
	e->waited = waits(e);
}

static uint64_t throttled(const struct end *e)
{
	return waits(e) - e->waited;
}

static uint64_t budget_drops(const struct end *e)
{
	return w->port_stats[e->port->id].drop[DROP_BUDGET];
}

static int open_switch(void **state)
{
	dp = harness_open();
	w = dp->worker[0];
	budget_start(w);
	return 0;
}

static int close_switch(void **state)
{
	harness_close(dp);
	return 0;
}

static int setup(void **state)
{
	for (unsigned i = 0; i < 2; i++)
		net[i] = harness_network(dp, NULL);
	for (unsigned i = 0; i < 2; i++) {
		make_end(&honest[i], net[0], (uint8_t)(1 + i), &honest[!i]);
		make_end(&bad[i], net[1], (uint8_t)(3 + i), &bad[!i]);
	}
	bad[1].talks = false;
	turns(1); /* they know where the others are */
	for (unsigned i = 0; i < 2; i++) {
		forget(&honest[i]);
		forget(&bad[i]);
	}
	return 0;
}

static int teardown(void **state)
{
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(harness_balance(dp, net[i]), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(dp_port_del(dp, honest[i].port->id), 0);
		assert_int_equal(dp_port_del(dp, bad[i].port->id), 0);
	}
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(dp_network_del(dp, net[i]), 0);
	harness_tick(dp);
	return 0;
}

/* They have nothing to send, and had nothing lately. */
static void silence_honest(void)
{
	honest[0].talks = honest[1].talks = false;
	turns(BUDGET_OTHERS_S * 1000 + 50);
	forget(&bad[0]);
	forget(&bad[1]);
}

static void expect_honest_served(unsigned n)
{
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(honest[i].looks, n);
		assert_int_equal(honest[i].got, n);
		assert_int_equal(throttled(&honest[i]), 0);
	}
}

/* 8 ms at once, and one part in 128 of the time: of 500 ms about 12. */
static void a_source_that_costs_too_much_waits(void **state)
{
	unsigned n;

	bad[0].rx_us = 1000;
	n = turns(500);
	expect_honest_served(n);
	assert_in_range(bad[0].looks, 2, 40);
	assert_in_range(throttled(&bad[0]), 1, 40);
	assert_int_equal(bad[0].got + bad[1].got, bad[0].looks);
}

static void a_page_fault_that_takes_long_counts_whole(void **state)
{
	unsigned n;

	bad[0].stop_us = 9000;
	bad[0].page = true;
	n = turns(500);
	expect_honest_served(n);
	assert_in_range(bad[0].looks, 1, 4);
	assert_true(throttled(&bad[0]) > 0);
}

/* As when a hypervisor takes the core away or SIGSTOP stops the process: each port is looked at as often as others. */
static void a_stop_that_is_no_page_fault_is_not_the_ports(void **state)
{
	unsigned n;

#ifdef __SANITIZE_THREAD__ /* which has page faults of its own, at any moment */
	skip();
#endif
	bad[0].stop_us = 50;
	for (unsigned i = 0; i < 3; i++)
		worker_turn(w); /* whatever faults the first time has done so */
	for (unsigned i = 0; i < 2; i++) {
		forget(&honest[i]);
		forget(&bad[i]);
	}
	bad[0].stop_us = 20000;
	n = turns(200);
	expect_honest_served(n);
	assert_int_equal(bad[0].looks, n);
	assert_int_equal(throttled(&bad[0]), 0);
}

static void a_port_alone_on_its_worker_does_not_wait(void **state)
{
	unsigned n;

	silence_honest();
	bad[0].rx_us = 1000;
	n = turns(300);
	assert_int_equal(bad[0].looks, n);
	assert_int_equal(bad[1].got, n);
	assert_int_equal(throttled(&bad[0]), 0);
	/* somebody comes: it waits; and goes: it is looked at again, at the latest when those are forgotten */
	honest[0].talks = honest[1].talks = true;
	turns(300);
	assert_true(throttled(&bad[0]) > 0);
	honest[0].talks = honest[1].talks = false;
	forget(&bad[0]);
	for (unsigned i = 0; i < 3000 && !bad[0].looks; i++)
		turns(1);
	assert_true(bad[0].looks > 0);
}

static void a_receiver_that_costs_too_much_gets_nothing(void **state)
{
	unsigned n;

	bad[1].tx_us = 1000;
	n = turns(500);
	expect_honest_served(n);
	assert_int_equal(bad[0].looks, n); /* whoever sends to it is not held for that */
	assert_int_equal(throttled(&bad[0]), 0);
	assert_in_range(bad[1].got, 2, 40);
	assert_in_range(throttled(&bad[1]), 1, 40);
	assert_int_equal(budget_drops(&bad[1]), n - bad[1].got);
	assert_int_equal(harness_drops(dp, "budget"), n - bad[1].got);
}

static void a_slow_receiver_alone_with_its_sender_gets_all(void **state)
{
	unsigned n;

	silence_honest();
	bad[1].tx_us = 1000;
	n = turns(300);
	assert_int_equal(bad[1].got, n);
	assert_int_equal(harness_drops(dp, "budget"), 0);
}

/* A fault in the payload is met when it is copied for the receiver; from the second on it is met before. */
static void a_fault_in_a_payload_is_not_the_receivers(void **state)
{
	unsigned n;

	bad[0].faults = true;
	n = turns(300);
	expect_honest_served(n);
	assert_int_equal(bad[1].got, n);
	assert_int_equal(throttled(&bad[1]), 0);
	assert_int_equal(harness_drops(dp, "budget"), 0);
	/* the first turn, which makes the worker watch, and the first that it sees */
	assert_in_range(bad[1].got - bad[1].own, 0, 4);
}

/* Turns too long by 400 us, all at `now`, until the worker watches. */
static unsigned long_turns_until_it_watches(uint64_t now, unsigned most)
{
	const uint64_t us = rte_get_tsc_hz() / 1000000;
	unsigned n = 0;

	while (!w->watching && n < most) {
		budget_alarm(w, now, w->long_turn + 400 * us);
		n++;
	}
	return n;
}

/* A host that takes the core away for a moment now and then is no reason to time each look and delivery. */
static void long_turns_that_are_few_start_no_watch(void **state)
{
	const uint64_t second = rte_get_tsc_hz();
	uint64_t now =
		rte_rdtsc() + 100 * second; /* whatever was before is paid for, and no longer watched for */

	budget_alarm(w, now, w->long_turn); /* page faults until now are told of */
	now += 100 * second;
	budget_turn(w, now);
	assert_false(w->watching);
	for (unsigned i = 0; i < 20; i++, now += second)
		assert_int_equal(long_turns_until_it_watches(now, 9), 9);
	assert_false(w->watching);
	assert_in_range(long_turns_until_it_watches(now, 1000), 10, 999);
	budget_turn(w, now + second);
	assert_true(w->watching);
	budget_turn(w, now + (BUDGET_WATCH_S + 1) * second);
	assert_false(w->watching);
}

static void a_long_turn_after_page_faults_starts_it_at_once(void **state)
{
	const uint64_t now = rte_rdtsc() + 1000 * rte_get_tsc_hz();

	budget_alarm(w, now, w->long_turn);
	budget_turn(w, now + (BUDGET_WATCH_S + 1) * rte_get_tsc_hz());
	assert_false(w->watching);
	for (unsigned i = 0; i < BUDGET_FAULTS; i++)
		fault();
	budget_alarm(w, now, w->long_turn + 1);
	assert_true(w->watching);
}

static void a_frame_of_each_length_costs_what_it_may(void **state)
{
	const uint64_t us = rte_get_tsc_hz() / 1000000;
	struct port_ops kernel = {.kernel = true};
	struct port port = {.ops = &end_ops}, tap = {.ops = &kernel};

	assert_in_range(budget_allowance(&port, 1, 60) / us, 51, 52);
	assert_in_range(budget_allowance(&port, 32, 32 * 60) / us, 82, 85);
	assert_in_range(budget_allowance(&port, 4, 4 * 65536) / us, 310, 320);
	assert_in_range(budget_allowance(&tap, 16, 16 * 60) / us, 280, 290);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(a_source_that_costs_too_much_waits),
		T(a_page_fault_that_takes_long_counts_whole),
		T(a_stop_that_is_no_page_fault_is_not_the_ports),
		T(a_port_alone_on_its_worker_does_not_wait),
		T(a_receiver_that_costs_too_much_gets_nothing),
		T(a_slow_receiver_alone_with_its_sender_gets_all),
		T(a_fault_in_a_payload_is_not_the_receivers),
		T(a_frame_of_each_length_costs_what_it_may),
		T(long_turns_that_are_few_start_no_watch),
		T(a_long_turn_after_page_faults_starts_it_at_once),
	};

	return cmocka_run_group_tests(tests, open_switch, close_switch);
}
