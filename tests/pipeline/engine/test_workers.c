/*
 * Two workers in threads of their own run the real loop and pipeline over one dataplane, while this thread,
 * as control, adds and deletes ports, networks and services, moves queues from one worker to the other,
 * flushes, ages, walks and counts. Guests send numbered frames to each other, talk through a vip, and claim
 * each other's addresses. Whatever happens, nobody gets a frame that is not for it, a flow keeps its order,
 * and the books balance.
 */
#include <endian.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/core/private.h"
#include "dataplane/core/rcu.h"
#include "dataplane/engine/balance.h"
#include "dataplane/engine/loop.h"
#include "dataplane/l2/policy/rate.h"
#include "dataplane/lb/service.h"
#include "dataplane/ports.h"
#include "tests/pipeline/harness.h"
#include "tests/pipeline/packets.h"
#include "tests/unit/unit.h"

enum {
	WORKERS = 2,
	GUESTS = 4, /* 0 is the client, the others are backends */
	BATCH = 8,  /* frames a poll */
	CLIENT_PORTS = 64,
	ROAMERS = 200, /* addresses that every guest claims */
	ROUNDS = 60,   /* of changes */
	FRAME = 128,
	SYN = 2,
	ACK = 16,
};

/* What follows the Ethernet header of a numbered frame. */
struct number {
	uint32_t magic, from, to, pad;
	uint64_t value;
};

#define MAGIC UINT32_C(0x51f10e5d)

struct guest {
	struct port *port;
	uint8_t mac[6];
	uint32_t ip;
	unsigned index;
	/* its queue's worker only */
	uint64_t step, sent[GUESTS];
	uint8_t out[BATCH][2048];
	/* last[i] is written by the worker of guest i */
	uint64_t last[GUESTS];
	_Atomic(uint64_t) numbered, translated, late, stray, wrong_sum;
};

static const mac_t PASSER_BY = {2, 0xdd, 0, 0, 0, 1};

static struct dp *dp;
static uint16_t net;
static uint32_t vip;
static uint32_t service = DP_SERVICE_NONE, second_service;
static struct guest guest[GUESTS], passer_by, *opening;
static _Atomic(bool) quiet;

static int guest_open(struct port *port, struct dp_err *err)
{
	port->priv = opening;
	opening->port = port;
	atomic_store(&port->up, true);
	return 0;
}

static void guest_close(struct port *port) {}

static size_t make_numbered(struct guest *g, uint8_t *buf, unsigned to)
{
	struct number n = {MAGIC, g->index, to, 0, ++g->sent[to]};
	size_t len = packet_eth(buf, guest[to].mac, g->mac, FRAME - 14);

	memcpy(buf + 14, &n, sizeof(n));
	return len;
}

static size_t make_roamer(uint8_t *buf, uint64_t step)
{
	uint8_t mac[6] = {2, 0xee, 0, 0, 0, (uint8_t)(step % ROAMERS)};

	return packet_eth(buf, MAC_BROADCAST, mac, 46);
}

/* To the passer-by, who may be gone when it gets there. */
static size_t make_farewell(const struct guest *g, uint8_t *buf)
{
	return packet_eth(buf, PASSER_BY, g->mac, 46);
}

/* The client's word to the vip, or a backend's answer to one of the client's ports. */
static size_t make_service(const struct guest *g, uint8_t *buf, uint64_t step)
{
	uint16_t client_port = (uint16_t)(1000 + step % CLIENT_PORTS);
	uint8_t flags = step % 512 < CLIENT_PORTS ? SYN : ACK;
	bool client = g->index == 0;

	return packet_ip4(buf, &(struct packet){
				       .dst = client ? dp_router_mac : guest[0].mac,
				       .src = g->mac,
				       .from = g->ip,
				       .to = client ? vip : guest[0].ip,
				       .proto = 6,
				       .from_port = client ? client_port : 8080,
				       .to_port = client ? 80 : client_port,
				       .tcp_flags = client ? flags : ACK,
				       .payload = 40,
			       });
}

static void lend(struct burst *b, const uint8_t *data, size_t len)
{
	struct frame *f = &b->frame[b->count++];

	frame_init(f);
	f->len = (uint32_t)len;
	f->hdr_len = HDR_COPY < len ? HDR_COPY : (uint16_t)len;
	memcpy(frame_data(f), data, f->hdr_len);
	f->span = &b->span[b->nspan];
	if (frame_tail(f)) {
		b->span[b->nspan++] = (struct span){data + f->hdr_len, frame_tail(f)};
		f->nspan = 1;
	}
	b->bytes += f->len;
}

static uint16_t guest_rx(struct port *port, struct worker *w, struct burst *b)
{
	struct guest *g = port->priv;

	if (g == &passer_by || atomic_load_explicit(&quiet, memory_order_relaxed))
		return 0;
	for (unsigned i = 0; i < BATCH; i++) {
		uint8_t *buf = g->out[i];
		uint64_t step = g->step++;
		size_t len;

		if (step % 64 == 0)
			len = make_roamer(buf, step / 64);
		else if (i == 0)
			len = make_farewell(g, buf);
		else if (i < BATCH / 2)
			len = make_service(g, buf, step);
		else
			len = make_numbered(g, buf, (g->index + 1 + (unsigned)step % (GUESTS - 1)) % GUESTS);
		lend(b, buf, len);
	}
	return b->count;
}

static void take_numbered(struct guest *g, const uint8_t *data)
{
	struct number n;

	memcpy(&n, data + 14, sizeof(n));
	if (n.magic != MAGIC)
		return; /* a roamer's */
	if (n.from >= GUESTS || n.to != g->index) {
		atomic_fetch_add(&g->stray, 1);
		return;
	}
	if (n.value <= g->last[n.from])
		atomic_fetch_add(&g->late, 1);
	g->last[n.from] = n.value;
	atomic_fetch_add(&g->numbered, 1);
}

static void take_service(struct guest *g, const uint8_t *data, size_t len)
{
	uint32_t from, to;

	memcpy(&from, data + 26, 4);
	memcpy(&to, data + 30, 4);
	if (to != g->ip)
		atomic_fetch_add(&g->stray, 1);
	if (!packet_checksums_right(data, len))
		atomic_fetch_add(&g->wrong_sum, 1);
	if (g->index ? from == guest[0].ip : from == vip)
		atomic_fetch_add(&g->translated, 1);
}

static uint16_t guest_tx(struct port *port, struct worker *w, struct frame *const *frames, uint16_t n)
{
	struct guest *g = port->priv;
	uint8_t data[2048];

	for (uint16_t i = 0; i < n && g != &passer_by; i++) {
		if (frames[i]->len > sizeof(data))
			abort();
		frame_copy(frames[i], data);
		if (data[12] == 8 && data[13] == 0)
			take_service(g, data, frames[i]->len);
		else if (frames[i]->len == FRAME)
			take_numbered(g, data);
	}
	return n;
}

static const struct port_ops guest_ops = {
	.name = "guest",
	.open = guest_open,
	.close = guest_close,
	.rx = guest_rx,
	.tx = guest_tx,
};

static void attach(struct guest *g, uint16_t to, uint8_t last_byte)
{
	struct dp_port spec = {.type = DP_NULL, .net = to, .mtu = 1500, .nips = 1};
	struct dp_err err;
	uint16_t id;

	memcpy(g->mac, (uint8_t[]){2, 0, 0, 0, 0, last_byte}, 6);
	g->ip = htobe32(0x0a000000u + last_byte);
	memcpy(spec.mac, g->mac, 6);
	spec.ips[0] = ip_from4(g->ip);
	opening = g;
	assert_int_equal(port_add(dp, &spec, &guest_ops, &id, &err), 0);
}

static void put_service(uint32_t *id, uint16_t port, unsigned round)
{
	struct dp_backend backend[GUESTS - 1];
	struct dp_service spec = {net, ip_from4(vip), port, DP_TCP, backend, GUESTS - 1};
	struct dp_err err;

	for (unsigned i = 0; i < GUESTS - 1; i++)
		backend[i] = (struct dp_backend){ip_from4(guest[i + 1].ip), 8080, 1, (round + i) % 7 == 0};
	assert_int_equal(dp_service_put(dp, &spec, id, &err), 0);
}

struct listed {
	unsigned count;
	uint64_t key[2048];
};

static bool list(void *arg, const struct dp_fdb_entry *entry)
{
	struct listed *listed = arg;
	uint64_t key = (uint64_t)entry->net << 48;

	for (int i = 0; i < 6; i++)
		key |= (uint64_t)entry->mac[i] << (8 * i);
	listed->key[listed->count++] = key;
	return listed->count < 2048;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* How many keys the fdb lists, none of them twice. */
static unsigned fdb_count(void)
{
	static struct listed listed;

	listed.count = 0;
	dp_fdb_walk(dp, list, &listed);
	qsort(listed.key, listed.count, sizeof(listed.key[0]), compare);
	for (unsigned i = 1; i < listed.count; i++)
		assert_true(listed.key[i - 1] < listed.key[i]);
	return listed.count;
}

static void ignore_drop(void *arg, const struct dp_drop *drop) {}

static bool ignore_conn(void *arg, const struct dp_conn *conn)
{
	return true;
}

static void look(void)
{
	struct dp_worker_info worker;
	struct dp_port_info port;
	struct dp_net_info info;

	assert_int_equal(dp_network_info(dp, net, &info), 0);
	assert_int_equal(dp_port_info(dp, guest[0].port->id, &port), 0);
	assert_int_equal(dp_worker_info(dp, 1, &worker), 0);
	dp_drop_walk(dp, ignore_drop, NULL);
	dp_conn_walk_part(dp, &(uint64_t){0}, ignore_conn, NULL);
	fdb_count();
}

/* Each guest's queue goes to and fro. */
static void move_a_queue(unsigned round)
{
	struct port *port = guest[round % GUESTS].port;
	unsigned to = !balance_worker(dp, port->id, 0);

	assert_int_equal(balance_move(dp, port, 0, to), 0);
	assert_int_equal(balance_worker(dp, port->id, 0), to);
}

/* Limits come, change and go, some of them tight. */
static void bound_a_guest(unsigned round)
{
	struct dp_rate rate = {.bits = UINT64_C(1) << (24 + round % 16), .packets = 1u << (14 + round % 12)};
	struct dp_port spec = {.storm_pps = round % 3 * 1000};

	if (round % 2)
		spec.in = rate;
	if (round % 5)
		spec.out = rate;
	rate_set(guest[round % GUESTS].port, &spec);
}

static void change(unsigned round)
{
	struct dp_port spec = {.net = net, .mtu = (uint16_t)(1400 + round % 100)};
	struct dp_fdb_entry entry = {.net = net, .vtep = OUT_NONE};
	struct dp_err err;
	uint16_t other = harness_network(dp, NULL);

	put_service(&service, 80, round);
	put_service(&second_service, 81, round);
	attach(&passer_by, round % 2 ? net : other, 0xee);
	entry.port = passer_by.port->id;
	entry.net = passer_by.port->net;
	memcpy(entry.mac, PASSER_BY, 6);
	dp_fdb_add(dp, &entry); /* its frames are on their way when it goes */
	assert_int_equal(dp_port_set(dp, passer_by.port->id, &spec, &err), 0);
	move_a_queue(round);
	bound_a_guest(round);
	look();
	harness_control();
	assert_int_equal(dp_port_del(dp, passer_by.port->id), 0);
	assert_int_equal(dp_service_del(dp, second_service), 0);
	second_service = DP_SERVICE_NONE;
	assert_int_equal(dp_network_del(dp, other), 0);
	if (round % 8 == 0)
		dp_fdb_flush(dp, other);
}

static void *run(void *worker)
{
	worker_main(worker);
	return NULL;
}

static void set_up(void)
{
	struct dp_network spec = {.mode = DP_BRIDGE, .subnet = ip4("10.0.0.0"), .prefix = 24};
	uint8_t buf[2048];

	dp = harness_open_workers(WORKERS);
	vip = ip4("10.0.0.100");
	second_service = DP_SERVICE_NONE;
	net = harness_network(dp, &spec);
	for (unsigned i = 0; i < GUESTS; i++) {
		guest[i].index = i;
		attach(&guest[i], net, (uint8_t)(5 + i));
	}
	put_service(&service, 80, 1);
	/* everybody is known, so that no flow moves from flooded to forwarded under way */
	for (unsigned i = 0; i < GUESTS; i++) {
		struct test_port source = {.port = guest[i].port};
		size_t len = packet_eth(buf, MAC_BROADCAST, guest[i].mac, 46);

		harness_send(dp, &source, buf, len, (struct offload){0}, 0);
	}
}

/*
 * Control waits only for workers that run already: on a busy machine it could be through with its changes
 * before either has had a first turn.
 */
static void wait_for_traffic(void)
{
	for (unsigned i = 0; i < GUESTS; i++)
		while (!atomic_load(&guest[i].numbered) || !atomic_load(&guest[i].translated))
			usleep(1000);
}

static void test_two_workers_and_control(void **state)
{
	pthread_t thread[WORKERS];

	set_up();
	for (unsigned i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, run, dp->worker[i]), 0);
	wait_for_traffic();
	for (unsigned round = 0; round < ROUNDS; round++)
		change(round);
	atomic_store(&quiet, true);
	rcu_wait(dp);
	rcu_wait(dp);
	for (unsigned i = 0; i < WORKERS; i++)
		atomic_store(&dp->worker[i]->stop, true);
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(thread[i], NULL);

	for (unsigned i = 0; i < GUESTS; i++) {
		assert_int_equal(atomic_load(&guest[i].late), 0);
		assert_int_equal(atomic_load(&guest[i].stray), 0);
		assert_int_equal(atomic_load(&guest[i].wrong_sum), 0);
	}
	assert_in_range(fdb_count(), GUESTS + 1, GUESTS + ROAMERS);
	assert_int_equal(harness_balance(dp, net), 0);
	assert_int_equal(dp_service_del(dp, service), 0);
	harness_close(dp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_two_workers_and_control)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
