/*
 * service.c: the whole service stage, packets of services in bursts of 32: requests and answers of
 * established connections in random order; then new connections, a SYN each, while there is room and when
 * each takes the place of another. One thread; cycles by TSC, median of several rounds.
 *
 *   bench-service [CONNECTIONS [TABLE SIZE]]
 */
#include "dataplane/lb/service.h"

#include <err.h>
#include <rte_cycles.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/tables/nothing.h"
#include "bench/tables/rounds.h"
#include "dataplane/core/dp.h"
#include "dataplane/frame/parse.h"
#include "dataplane/ports.h"
#include "dataplane/start.h"

enum { PACKETS = 1 << 12, BACKENDS = 100, TCP = 6, SYN = 2, ACK = 16, LEN = 60 };

static struct dp *dp;
static struct port *port;
static uint32_t service;

static uint32_t backend_ip(uint32_t n)
{
	return __builtin_bswap32(0x0a000001 + n);
}

/* The switch with a network, a port that has all the backends' addresses, and a service. */
static void start(uint32_t conns)
{
	const struct dp_config config = nothing_config(1024, conns);
	const struct dp_network network = {.mode = DP_BRIDGE, .mtu = 1500};
	struct dp_backend backend[BACKENDS];
	struct dp_err dp_err;
	uint16_t net, id;

	if (dp_prepare(&config, &dp, &dp_err) || dp_network_add(dp, &network, &net, &dp_err))
		errx(1, "%s", dp_err.text);
	for (unsigned i = 0; i < BACKENDS; i++)
		backend[i] = (struct dp_backend){ip_from4(backend_ip(i)), 8080, 1, false};
	for (unsigned i = 0; i < BACKENDS; i += DP_IPS_MAX) {
		struct dp_port spec = {
			.type = DP_NULL, .net = net, .mac = {2, 0, 0, 0, 0, (uint8_t)i}, .mtu = 1500};

		for (unsigned k = i; k < BACKENDS && k < i + DP_IPS_MAX; k++)
			spec.ips[spec.nips++] = ip_from4(backend_ip(k));
		if (port_add(dp, &spec, &nothing, &id, &dp_err))
			errx(1, "%s", dp_err.text);
	}
	port = dp_get_port(dp, id);
	service = DP_SERVICE_NONE;
	if (dp_service_put(dp,
		    &(struct dp_service){net, ip_from4(backend_ip(1000)), 80, DP_TCP, backend, BACKENDS},
		    &service, &dp_err))
		errx(1, "%s", dp_err.text);
	dp->worker[0]->now_s = 1;
}

/* What a packet of connection n has: addresses and ports; the answer's follow from what the stage made of it.
 */
struct flow {
	uint32_t src, dst;
	uint16_t src_port, dst_port;
};

static struct flow request(uint32_t n)
{
	return (struct flow){__builtin_bswap32(0x0b000000 + n / 16), backend_ip(1000),
		__builtin_bswap16((uint16_t)(1024 + n % 16)), __builtin_bswap16(80)};
}

static void put_frame(struct frame *f, const struct flow *flow, bool answer, uint8_t flags)
{
	static const uint8_t start_of_ip[12] = {0x45, 0, 0, LEN - 14, 0, 0, 0, 0, 64, TCP, 0, 0};
	uint8_t *data = frame_data(f);

	memcpy(data, answer ? (const uint8_t[6]){2, 1} : dp_router_mac, 6);
	memcpy(data + 14, start_of_ip, sizeof(start_of_ip));
	memcpy(data + 26, &flow->src, 4);
	memcpy(data + 30, &flow->dst, 4);
	memcpy(data + 34, &flow->src_port, 2);
	memcpy(data + 36, &flow->dst_port, 2);
	data[47] = flags;
	f->verdict = V_NONE;
}

static void ready_burst(struct burst *b)
{
	b->in = port;
	b->count = BURST;
	for (unsigned i = 0; i < BURST; i++) {
		struct frame *f = &b->frame[i];

		frame_init(f);
		f->len = f->hdr_len = LEN;
		f->net = port->net;
		f->ethertype = ETHERTYPE_IP4;
		f->ip_proto = TCP;
		f->l3_off = 14;
		f->l4_off = 34;
		f->parsed = true;
	}
}

/* Opens connection n; its answers' addresses. */
static struct flow open_connection(struct worker *w, uint32_t n)
{
	struct flow out = request(n), answer;
	struct burst *b = &w->burst;
	const uint8_t *data = frame_data(&b->frame[0]);

	b->count = 1;
	put_frame(&b->frame[0], &out, false, SYN);
	service_stage(w, b);
	if (b->frame[0].verdict != V_NONE)
		errx(1, "connection %u was dropped: %d", n, b->frame[0].reason);
	answer = (struct flow){.dst = out.src, .dst_port = out.src_port, .src_port = __builtin_bswap16(8080)};
	memcpy(&answer.src, data + 30, 4);
	put_frame(&b->frame[0], &answer, true, SYN | ACK);
	service_stage(w, b);
	put_frame(&b->frame[0], &out, false, ACK);
	service_stage(w, b);
	b->count = BURST;
	return answer;
}

/* Established connections, half of the packets answers. The time to make the packets is taken off. */
static double established_round(struct worker *w, const struct flow *answer, uint32_t n, uint32_t *random)
{
	struct burst *b = &w->burst;
	uint64_t cycles = 0, start;

	for (unsigned i = 0; i < PACKETS; i += BURST) {
		for (unsigned j = 0; j < BURST; j++) {
			uint32_t k = rounds_random(random, n);
			struct flow out = request(k);

			put_frame(&b->frame[j], j & 1 ? &answer[k] : &out, j & 1, ACK);
		}
		start = rte_rdtsc();
		service_stage(w, b);
		cycles += rte_rdtsc() - start;
	}
	return (double)cycles / PACKETS;
}

static double new_round(struct worker *w, uint32_t *next)
{
	struct burst *b = &w->burst;
	uint64_t cycles = 0, start;

	for (unsigned i = 0; i < PACKETS; i += BURST) {
		for (unsigned j = 0; j < BURST; j++) {
			struct flow out = request((*next)++);

			put_frame(&b->frame[j], &out, false, SYN);
		}
		start = rte_rdtsc();
		service_stage(w, b);
		cycles += rte_rdtsc() - start;
	}
	return (double)cycles / PACKETS;
}

/* Millions a second, at the median. */
static double mega(const double *sorted)
{
	return (double)rte_get_tsc_hz() / sorted[ROUNDS / 2] / 1e6;
}

static void measure(uint32_t n, uint32_t size)
{
	struct flow *answer = calloc(n, sizeof(*answer));
	struct worker *w = dp->worker[0];
	double old[ROUNDS], fresh[ROUNDS], full[ROUNDS];
	uint32_t random = 1, next = n, room = size - n;

	if (!answer)
		errx(1, "no memory");
	ready_burst(&w->burst);
	for (uint32_t i = 0; i < n; i++)
		answer[i] = open_connection(w, i);
	for (int r = 0; r < ROUNDS; r++)
		old[r] = established_round(w, answer, n, &random);
	for (int r = 0; r < ROUNDS; r++)
		fresh[r] = next - n + PACKETS <= room ? new_round(w, &next) : fresh[r % (room / PACKETS)];
	while (next - n < room)
		new_round(w, &next);
	for (int r = 0; r < ROUNDS; r++)
		full[r] = new_round(w, &next);
	qsort(fresh, ROUNDS, sizeof(fresh[0]), rounds_compare);
	qsort(full, ROUNDS, sizeof(full[0]), rounds_compare);
	printf("%9u  %11.1f  %6.1f (%4.2f)   %6.1f (%4.2f)\n", n, rounds_median(old), fresh[ROUNDS / 2],
		mega(fresh), full[ROUNDS / 2], mega(full));
	free(answer);
}

int main(int argc, char **argv)
{
	uint32_t n = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 10000;
	uint32_t size = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : n < 65536 ? 131072 : n * 2;

	if (!n || size < n + PACKETS)
		errx(2, "the table has to have room for %d connections more", PACKETS);
	start(size); /* one size a process: DPDK starts once */
	printf("cycles a packet (and millions a second)\n"
	       "    conns  established     new             in full table\n");
	measure(n, size);
	dp_close(dp);
	return 0;
}
