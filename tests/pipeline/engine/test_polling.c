/*
 * Which queues a worker looks at: each of the busy ones every turn, the quiet ones of many now and then, none
 * of them never; and a quiet one that gets a frame is busy again. Queues are spread over two workers, and one
 * that moves is looked at by its new worker alone.
 */
#include <errno.h>
#include <rte_cycles.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "dataplane/core/private.h"
#include "dataplane/engine/balance.h"
#include "dataplane/engine/polling.h"
#include "dataplane/ports.h"
#include "tests/pipeline/harness.h"
#include "tests/pipeline/packets.h"
#include "tests/unit/unit.h"

enum { WORKERS = 2, MANY = 80, FEW = 8 };

struct queue {
	struct port *port;
	uint16_t net;
	unsigned looks, frames;	     /* frames: that it still has to give */
	const struct worker *looker; /* who looked last */
	int fd;			     /* readable while it has frames; used by fd_ops only */
};

static struct dp *dp;
static struct queue queue[MANY], *opening;

static int queue_open(struct port *port, struct dp_err *err)
{
	port->priv = opening;
	port->nqueue = 1;
	opening->port = port;
	atomic_store(&port->up, true);
	return 0;
}

static void queue_close(struct port *port) {}

static uint16_t queue_rx(struct port *port, struct worker *w, struct burst *b)
{
	struct queue *q = port->priv;
	struct frame *f = &b->frame[0];
	size_t len;

	q->looks++;
	q->looker = w;
	if (!q->frames)
		return 0;
	q->frames--;
	frame_init(f);
	len = packet_eth(frame_data(f), MAC_BROADCAST, (mac_t){2, 1, 1, 1, 1, 1}, 46);
	f->len = (uint32_t)len;
	f->hdr_len = (uint16_t)len;
	b->count = 1;
	b->bytes = (uint32_t)len;
	return 1;
}

static uint16_t queue_tx(struct port *port, struct worker *w, struct frame *const *frames, uint16_t n)
{
	return n;
}

static const struct port_ops queue_ops = {
	.name = "queue", .open = queue_open, .close = queue_close, .rx = queue_rx, .tx = queue_tx};

static int queue_fd(struct port *port, uint16_t number)
{
	return ((struct queue *)port->priv)->fd;
}

static const struct port_ops fd_ops = {.name = "queue by fd",
	.by_fd = true,
	.open = queue_open,
	.close = queue_close,
	.rx = queue_rx,
	.tx = queue_tx,
	.rx_fd = queue_fd};

/* A port alone in a network, so that what it sends goes nowhere. */
static void make_port(unsigned i, const struct port_ops *ops)
{
	struct dp_port spec = {.type = DP_NULL, .mtu = 1500, .mac = {2, 0, 0, 0, 0, (uint8_t)i}};
	struct dp_err err;
	uint16_t id;

	queue[i] = (struct queue){.net = harness_network(dp, NULL), .fd = queue[i].fd};
	spec.net = queue[i].net;
	opening = &queue[i];
	assert_int_equal(port_add(dp, &spec, ops, &id, &err), 0);
}

static void make_ports(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		make_port(i, &queue_ops);
}

static void turn(void)
{
	for (unsigned i = 0; i < WORKERS; i++)
		polling_turn(dp->worker[i], rte_rdtsc());
}

/* Turns for `ms`, in each of which queue 0 has a frame. Returns how many. */
static unsigned turns(unsigned ms)
{
	uint64_t end = rte_rdtsc() + rte_get_tsc_hz() / 1000 * ms;
	unsigned n = 0;

	for (; rte_rdtsc() < end; n++) {
		queue[0].frames = 1;
		turn();
	}
	return n;
}

static void forget_looks(void)
{
	for (unsigned i = 0; i < MANY; i++)
		queue[i].looks = 0;
}

static int open_switch(void **state)
{
	dp = harness_open_workers(WORKERS);
	for (int i = 0; i < WORKERS; i++)
		dp->worker[i]->core = 10 + i; /* names; nothing runs there */
	return 0;
}

static int close_switch(void **state)
{
	harness_close(dp);
	return 0;
}

static int remove_ports(void **state)
{
	for (unsigned i = 0; i < MANY; i++) {
		if (!queue[i].port)
			continue;
		assert_int_equal(dp_port_del(dp, queue[i].port->id), 0);
		assert_int_equal(dp_network_del(dp, queue[i].net), 0);
		queue[i].port = NULL;
	}
	harness_tick(dp);
	return 0;
}

static void test_quiet_queues_of_many_are_looked_at_now_and_then(void **state)
{
	unsigned n, looks = 0;

	make_ports(MANY);
	turns(20); /* they become quiet */
	forget_looks();
	n = turns(20);
	assert_int_equal(queue[0].looks, n);
	for (unsigned i = 1; i < MANY; i++) {
		assert_true(queue[i].looks > 0);
		looks += queue[i].looks;
	}
#ifndef __SANITIZE_THREAD__ /* with which a turn may be as long as such a queue is left alone */
	assert_true(looks < n * (MANY - 1) / 2);
#endif
}

static void test_a_frame_makes_a_quiet_queue_busy(void **state)
{
	unsigned n = 0;

	make_ports(MANY);
	turns(20);
	queue[MANY / 2].frames = 1;
	while (queue[MANY / 2].frames > 0)
		turns(1);
	forget_looks();
	for (; n < 5; n++)
		turn();
	/* every turn: it had a frame within the millisecond, as long as nobody takes the core away for longer
	 */
	assert_true(queue[MANY / 2].looks >= 1);
}

static void test_each_of_few_queues_is_looked_at_every_turn(void **state)
{
	unsigned n;

	make_ports(FEW);
	turns(10);
	forget_looks();
	n = turns(5);
	for (unsigned i = 0; i < FEW; i++)
		assert_int_equal(queue[i].looks, n);
}

static void test_all_are_looked_at_when_nothing_is_busy(void **state)
{
	make_ports(MANY);
	turns(20);
	forget_looks();
	queue[0].frames = 0;
	/* each turn looks at no fewer than 32 */
	for (unsigned n = 0; n < 3; n++)
		turn();
	for (unsigned i = 0; i < MANY; i++)
		assert_true(queue[i].looks > 0);
}

static void test_a_new_port_is_looked_at_at_once(void **state)
{
	make_ports(MANY - 1);
	turns(20);
	make_port(MANY - 1, &queue_ops);
	turn();
	assert_int_equal(queue[MANY - 1].looks, 1);
}

static void test_queues_are_spread(void **state)
{
	unsigned of_first = 0;

	make_ports(MANY);
	turn();
	for (unsigned i = 0; i < MANY; i++) {
		assert_ptr_equal(queue[i].looker, dp->worker[balance_worker(dp, queue[i].port->id, 0)]);
		of_first += queue[i].looker == dp->worker[0];
	}
	assert_int_equal(of_first, MANY / 2);
}

static void test_a_moved_queue_is_looked_at_by_its_new_worker_alone(void **state)
{
	unsigned from;

	make_ports(FEW);
	turn();
	from = balance_worker(dp, queue[3].port->id, 0);
	assert_int_equal(balance_move(dp, queue[3].port, 0, !from), 0);
	forget_looks();
	polling_turn(dp->worker[from], rte_rdtsc());
	assert_int_equal(queue[3].looks, 0);
	polling_turn(dp->worker[!from], rte_rdtsc());
	assert_int_equal(queue[3].looks, 1);
	/* a port that comes later leaves it there */
	make_port(FEW, &queue_ops);
	turn();
	assert_ptr_equal(queue[3].looker, dp->worker[!from]);
}

static void test_a_queue_by_fd_moves_too(void **state)
{
	uint64_t one = 1;
	unsigned from;

	queue[0].fd = eventfd(0, EFD_NONBLOCK);
	assert_int_equal(write(queue[0].fd, &one, sizeof(one)), sizeof(one));
	make_port(0, &fd_ops);
	turn();
	assert_int_equal(queue[0].looks, 1);
	from = balance_worker(dp, queue[0].port->id, 0);
	assert_int_equal(balance_move(dp, queue[0].port, 0, !from), 0);
	turn();
	assert_int_equal(queue[0].looks, 2);
	assert_ptr_equal(queue[0].looker, dp->worker[!from]);
	close(queue[0].fd);
}

/* Makes port i, pinned to `core`. */
static int make_pinned(unsigned i, int core, struct dp_err *err)
{
	struct dp_port spec = {.type = DP_NULL, .mtu = 1500, .pinned = true, .core = core};
	uint16_t id;
	int rc;

	queue[i] = (struct queue){.net = harness_network(dp, NULL)};
	spec.net = queue[i].net;
	opening = &queue[i];
	rc = port_add(dp, &spec, &queue_ops, &id, err);
	if (rc)
		dp_network_del(dp, spec.net);
	return rc;
}

static void pin(unsigned i, bool pinned, int core, int want)
{
	struct dp_port spec = queue[i].port->spec;
	struct dp_err err;

	spec.pinned = pinned;
	spec.core = core;
	assert_int_equal(dp_port_set(dp, queue[i].port->id, &spec, &err), want);
}

/* Who looked last at each of the first n queues: worker 1 at `own`, worker 0 at all others; n: at none. */
static void expect_own_worker(unsigned own, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		queue[i].looker = NULL;
	turn();
	for (unsigned i = 0; i < n; i++)
		assert_ptr_equal(queue[i].looker, dp->worker[i == own]);
}

static void test_a_worker_of_its_own(void **state)
{
	struct dp_err err = {""};

	make_ports(FEW);
	assert_int_equal(make_pinned(FEW, 11, &err), 0);
	expect_own_worker(FEW, FEW + 1);
	/* nor does one that comes later go there */
	make_port(FEW + 1, &queue_ops);
	expect_own_worker(FEW, FEW + 2);
	/* the worker is anybody's again, and then another port's */
	pin(FEW, false, 0, 0);
	pin(2, true, 11, 0);
	expect_own_worker(2, FEW + 2);
}

static void test_ports_may_share_a_worker_of_their_own(void **state)
{
	struct dp_err err = {""};

	assert_int_equal(make_pinned(0, 11, &err), 0);
	make_port(1, &queue_ops);
	assert_int_equal(make_pinned(2, 11, &err), 0);
	turn();
	assert_ptr_equal(queue[0].looker, dp->worker[1]);
	assert_ptr_equal(queue[1].looker, dp->worker[0]);
	assert_ptr_equal(queue[2].looker, dp->worker[1]);
}

static void test_some_worker_is_left_for_the_others(void **state)
{
	struct dp_err err = {""};

	make_port(0, &queue_ops);
	assert_int_equal(make_pinned(1, 11, &err), 0);
	assert_int_equal(make_pinned(2, 10, &err), -EBUSY);
	assert_string_equal(err.text, "core: no worker would be left for ports without a core of their own");
	queue[2].port = NULL;
	pin(0, true, 10, -EBUSY);
	pin(0, true, 12, -EINVAL);
	expect_own_worker(1, 2);
	pin(1, true, 10, 0); /* it may change sides */
	turn();
	assert_ptr_equal(queue[0].looker, dp->worker[1]);
	assert_ptr_equal(queue[1].looker, dp->worker[0]);
}

static void test_a_core_without_a_worker_is_refused(void **state)
{
	struct dp_err err = {""};

	assert_int_equal(make_pinned(0, 12, &err), -EINVAL);
	assert_string_equal(err.text, "core: no worker runs on CPU 12; they run on 10, 11");
	queue[0].port = NULL;
}

static void test_a_queue_by_fd_leaves_a_reserved_worker(void **state)
{
	struct dp_err err = {""};
	uint64_t one = 1;

	for (unsigned i = 0; i < 2; i++) {
		queue[i].fd = eventfd(0, EFD_NONBLOCK);
		assert_int_equal(write(queue[i].fd, &one, sizeof(one)), sizeof(one));
		make_port(i, &fd_ops);
	}
	assert_int_equal(make_pinned(2, 11, &err), 0);
	expect_own_worker(2, 3);
	pin(0, true, 11, 0);
	pin(2, false, 0, 0);
	expect_own_worker(0, 3);
	for (unsigned i = 0; i < 2; i++)
		close(queue[i].fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_quiet_queues_of_many_are_looked_at_now_and_then, remove_ports),
		cmocka_unit_test_teardown(test_a_frame_makes_a_quiet_queue_busy, remove_ports),
		cmocka_unit_test_teardown(test_each_of_few_queues_is_looked_at_every_turn, remove_ports),
		cmocka_unit_test_teardown(test_all_are_looked_at_when_nothing_is_busy, remove_ports),
		cmocka_unit_test_teardown(test_a_new_port_is_looked_at_at_once, remove_ports),
		cmocka_unit_test_teardown(test_queues_are_spread, remove_ports),
		cmocka_unit_test_teardown(
			test_a_moved_queue_is_looked_at_by_its_new_worker_alone, remove_ports),
		cmocka_unit_test_teardown(test_a_queue_by_fd_moves_too, remove_ports),
		cmocka_unit_test_teardown(test_a_worker_of_its_own, remove_ports),
		cmocka_unit_test_teardown(test_ports_may_share_a_worker_of_their_own, remove_ports),
		cmocka_unit_test_teardown(test_some_worker_is_left_for_the_others, remove_ports),
		cmocka_unit_test_teardown(test_a_core_without_a_worker_is_refused, remove_ports),
		cmocka_unit_test_teardown(test_a_queue_by_fd_leaves_a_reserved_worker, remove_ports),
	};

	return cmocka_run_group_tests(tests, open_switch, close_switch);
}
