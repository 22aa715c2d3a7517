#include "tests/pipeline/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/core/exchange.h"
#include "dataplane/core/private.h"
#include "dataplane/engine/inject.h"
#include "dataplane/engine/pipeline.h"
#include "dataplane/frame/offload.h"
#include "dataplane/lb/service.h"
#include "dataplane/ports.h"
#include "dataplane/start.h"

enum { TEST_TIMERS = 16 };

/* The loop keeps what it is asked to watch, for harness_tick() to call. */
static struct {
	void (*fn)(void *arg, unsigned events);
	void *fd_arg;
	struct timer {
		void (*fn)(void *arg);
		void *arg;
	} timer[TEST_TIMERS];
} loop;

static void *fd_add(void *ctx, int fd, unsigned events, void (*fn)(void *arg, unsigned events), void *arg)
{
	loop.fn = fn;
	loop.fd_arg = arg;
	return &loop;
}

static void *timer_add(void *ctx, unsigned ms, void (*fn)(void *arg), void *arg)
{
	for (struct timer *timer = loop.timer; timer < loop.timer + TEST_TIMERS; timer++)
		if (!timer->fn) {
			*timer = (struct timer){fn, arg};
			return timer;
		}
	abort();
}

static void fd_del(void *ctx, void *handle) {}

static void timer_del(void *ctx, void *handle)
{
	*(struct timer *)handle = (struct timer){0};
}

static int test_open(struct port *port, struct dp_err *err)
{
	atomic_store(&port->up, true);
	return 0;
}

static void test_close(struct port *port) {}

static uint16_t test_rx(struct port *port, struct worker *w, struct burst *b)
{
	return 0; /* harness_send() puts frames in itself */
}

static uint16_t test_tx(struct port *port, struct worker *w, struct frame *const *frames, uint16_t n)
{
	struct test_port *tp = port->priv;
	uint16_t i;

	for (i = 0; i < n && tp->count < tp->room; i++) {
		struct received *r = &tp->got[tp->count];
		uint8_t *whole;

		if (tp->old_kernel && frames[i]->off.gso_type == VIRTIO_NET_HDR_GSO_UDP_L4) {
			atomic_fetch_and(&port->offloads, ~(uint32_t)PORT_USO);
			return i;
		}
		whole = malloc(frames[i]->len);
		tp->count++;
		r->len = frames[i]->len;
		r->off = frames[i]->off;
		frame_copy(frames[i], whole);
		memcpy(r->data, whole, r->len < sizeof(r->data) ? r->len : sizeof(r->data));
		free(whole);
	}
	return i;
}

static const struct port_ops test_ops = {
	.name = "test",
	.open = test_open,
	.close = test_close,
	.rx = test_rx,
	.tx = test_tx,
};

static uint32_t conns = 1024;

void harness_conns(uint32_t n)
{
	conns = n;
}

struct dp *harness_open_workers(unsigned n)
{
	static const int cores[HARNESS_WORKERS_MAX]; /* all on one core: no thread of theirs runs */
	struct dp_config config = {
		.main_core = -1,
		.cores = cores,
		.ncores = n,
		.memory_mb = 64,
		.hugepages = DP_HUGE_OFF,
		.idle = DP_IDLE_POLL,
		.fdb_size = 1024,
		.conn_size = conns,
		.backends = 16384,
		.loop = {NULL, fd_add, fd_del, timer_add, timer_del},
	};
	struct dp_err err;
	struct dp *dp;

	if (dp_prepare(&config, &dp, &err)) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
	dp->worker[0]->now_s = 1;
	return dp;
}

struct dp *harness_open(void)
{
	return harness_open_workers(1);
}

void harness_close(struct dp *dp)
{
	dp_close(dp);
}

uint16_t harness_network(struct dp *dp, const struct dp_network *edit)
{
	struct dp_network spec = {.mode = DP_BRIDGE, .age_s = 300};
	struct dp_err err;
	uint16_t id;

	if (edit)
		spec = *edit;
	if (!spec.mtu)
		spec.mtu = 1500;
	if (dp_network_add(dp, &spec, &id, &err)) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
	return id;
}

void harness_port(struct dp *dp, struct test_port *tp, uint16_t net, const struct dp_port *edit)
{
	struct dp_port spec = {.type = DP_NULL};
	struct dp_err err;
	uint16_t id;

	if (edit)
		spec = *edit;
	spec.net = net;
	if (!spec.mtu)
		spec.mtu = 1500;
	if (port_add(dp, &spec, &test_ops, &id, &err)) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
	memset(tp, 0, sizeof(*tp));
	tp->port = dp_get_port(dp, id);
	tp->room = TEST_FRAMES;
	tp->port->priv = tp;
}

void harness_begin(struct dp *dp, struct test_port *tp)
{
	struct burst *b = &dp->worker[0]->burst;

	b->in = tp->port;
	b->queue = 0;
	b->count = 0;
	b->nspan = 0;
	b->bytes = 0;
}

bool harness_add(struct dp *dp, const void *data, size_t len, struct offload off, size_t span)
{
	struct burst *b = &dp->worker[0]->burst;
	size_t head = port_hdr_copy(b->in) < len ? port_hdr_copy(b->in) : len, step = span ? span : len;
	struct frame *f;

	if (!burst_has_room(b))
		return false;
	f = burst_begin(b);
	memcpy(frame_data(f), data, head);
	f->hdr_len = (uint16_t)head;
	f->len = (uint32_t)len;
	f->off = off;
	for (size_t at = head; at < len; at += step)
		if (!burst_lend(
			    b, f, (const uint8_t *)data + at, (uint32_t)(len - at < step ? len - at : step)))
			return false;
	burst_keep(b, f);
	return true;
}

void harness_run(struct dp *dp)
{
	struct worker *w = dp->worker[0];
	struct burst *b = &w->burst;

	w->turn++;
	stat_add(&w->port_stats[b->in->id].rx_packets, b->count);
	stat_add(&w->port_stats[b->in->id].rx_bytes, b->bytes);
	pipeline_run(w, b);
	if (w->late)
		service_send_late(w, pipeline_resume);
}

void harness_send(
	struct dp *dp, struct test_port *tp, const void *data, size_t len, struct offload off, size_t span)
{
	harness_begin(dp, tp);
	if (!harness_add(dp, data, len, off, span))
		abort(); /* more spans than a frame may have */
	harness_run(dp);
}

struct sum {
	const char *reason;
	uint64_t packets;
};

static void add_drop(void *arg, const struct dp_drop *drop)
{
	struct sum *sum = arg;

	if (strcmp(drop->reason, sum->reason) == 0)
		sum->packets += drop->packets;
}

uint64_t harness_drops(struct dp *dp, const char *reason)
{
	struct sum sum = {reason, 0};

	dp_drop_walk(dp, add_drop, &sum);
	return sum.packets;
}

int64_t harness_balance(struct dp *dp, uint16_t net)
{
	struct dp_net_info info;

	if (dp_network_info(dp, net, &info))
		return INT64_MIN;
	return (int64_t)(info.rx + info.generated + info.copies - info.tx - info.drops - info.consumed);
}

void harness_control(void)
{
	loop.fn(loop.fd_arg, DP_READ);
	for (unsigned i = 0; i < TEST_TIMERS; i++)
		if (loop.timer[i].fn)
			loop.timer[i].fn(loop.timer[i].arg);
}

void harness_tick(struct dp *dp)
{
	inject_send(dp->worker[0]);
	harness_control();
	inject_send(dp->worker[0]);
}
