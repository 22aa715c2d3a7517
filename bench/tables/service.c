/*
 * service.c: the whole service stage, packets of services in bursts of 32: requests and answers of established connections
 * in random order, first without payload, then each with some ("turns"); then new connections, a SYN each, while there is
 * room and when each takes the place of another. Of a service of each policy, in turns. One thread; cycles by TSC, median of
 * several rounds.
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

enum { PACKETS = 1 << 9, BACKENDS = 100, TCP = 6, SYN = 2, ACK = 16, LEN = 60 };

static struct dp *dp;
static struct port *port;

enum { MAGLEV, LEAST, POLICIES };
static const char *const policy_name[] = {"maglev", "least"};

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
	for (unsigned policy = 0; policy < POLICIES; policy++) {
		const struct dp_service spec = {net, ip_from4(backend_ip(1000)), (uint16_t)(80 + policy),
			DP_TCP, backend, BACKENDS, .least = policy == LEAST};
		uint32_t service = DP_SERVICE_NONE;

		if (dp_service_put(dp, &spec, &service, &dp_err))
			errx(1, "%s", dp_err.text);
	}
	dp->worker[0]->now_s = 1;
}

/* What a packet of connection n has: addresses and ports; the answer's follow from what the stage made of it.
 */
struct flow {
	uint32_t src, dst;
	uint16_t src_port, dst_port;
};

static struct flow request(uint32_t n, unsigned policy)
{
	return (struct flow){__builtin_bswap32(0x0b000000 + n / 16), backend_ip(1000),
		__builtin_bswap16((uint16_t)(1024 + n % 16 + 16 * policy)),
		__builtin_bswap16((uint16_t)(80 + policy))};
}

static void put_frame(struct frame *f, const struct flow *flow, bool answer, uint8_t flags)
{
	static const uint8_t start_of_ip[12] = {0x45, 0, 0, 40, 0, 0, 0, 0, 64, TCP, 0, 0};
	uint8_t *data = frame_data(f);

	memcpy(data, answer ? (const uint8_t[6]){2, 1} : dp_router_mac, 6);
	memcpy(data + 14, start_of_ip, sizeof(start_of_ip));
	memcpy(data + 26, &flow->src, 4);
	memcpy(data + 30, &flow->dst, 4);
	memcpy(data + 34, &flow->src_port, 2);
	memcpy(data + 36, &flow->dst_port, 2);
	data[46] = 5 << 4;
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
static struct flow open_connection(struct worker *w, uint32_t n, unsigned policy)
{
	struct flow out = request(n, policy), answer;
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

/* Of one policy: answers of its connections, the next one to be opened, cycles of each round. */
struct part {
	struct flow *answer;
	uint32_t next;
	double old[ROUNDS], turns[ROUNDS], fresh[ROUNDS], full[ROUNDS];
};

/* Established connections, half of the packets answers, with so many bytes for the program. The time to make the packets is taken off. */
static double established_round(
	struct worker *w, const struct part *part, uint32_t n, unsigned policy, uint8_t payload)
{
	static uint32_t random = 1;
	struct burst *b = &w->burst;
	uint64_t cycles = 0, start;

	for (unsigned i = 0; i < PACKETS; i += BURST) {
		for (unsigned j = 0; j < BURST; j++) {
			uint32_t k = rounds_random(&random, n);
			struct flow out = request(k, policy);

			put_frame(&b->frame[j], j & 1 ? &part->answer[k] : &out, j & 1, ACK);
			frame_data(&b->frame[j])[17] += payload;
		}
		start = rte_rdtsc();
		service_stage(w, b);
		cycles += rte_rdtsc() - start;
	}
	return (double)cycles / PACKETS;
}

static double new_round(struct worker *w, uint32_t *next, unsigned policy)
{
	struct burst *b = &w->burst;
	uint64_t cycles = 0, start;

	for (unsigned i = 0; i < PACKETS; i += BURST) {
		for (unsigned j = 0; j < BURST; j++) {
			struct flow out = request((*next)++, policy);

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

static void measure_established(struct worker *w, struct part *part, uint32_t n)
{
	for (unsigned i = 0; i < POLICIES; i++)
		for (uint32_t k = 0; k < n; k++)
			part[i].answer[k] = open_connection(w, k, i);
	for (int r = 0; r < ROUNDS; r++) {
		for (unsigned i = 0; i < POLICIES; i++) {
			part[i].old[r] = established_round(w, &part[i], n, i, 0);
			part[i].turns[r] = established_round(w, &part[i], n, i, 6);
		}
	}
}

/* New connections while `room` is left in the table, then in the full one. */
static void measure_new(struct worker *w, struct part *part, uint32_t room)
{
	uint32_t used = 0;

	for (int r = 0; r < ROUNDS; r++) {
		bool fits = used + POLICIES * PACKETS <= room;

		for (unsigned i = 0; i < POLICIES; i++)
			part[i].fresh[r] = fits ? new_round(w, &part[i].next, i)
						: part[i].fresh[r % (room / (POLICIES * PACKETS))];
		used += fits ? POLICIES * PACKETS : 0;
	}
	for (; used < room; used += PACKETS)
		new_round(w, &part[MAGLEV].next, MAGLEV);
	for (int r = 0; r < ROUNDS; r++)
		for (unsigned i = 0; i < POLICIES; i++)
			part[i].full[r] = new_round(w, &part[i].next, i);
}

static void print_part(struct part *part, unsigned policy, uint32_t n)
{
	qsort(part->fresh, ROUNDS, sizeof(part->fresh[0]), rounds_compare);
	qsort(part->full, ROUNDS, sizeof(part->full[0]), rounds_compare);
	printf("%-7s %9u  %11.1f %7.1f  %6.1f (%4.2f)   %6.1f (%4.2f)\n", policy_name[policy], n,
		rounds_median(part->old), rounds_median(part->turns), part->fresh[ROUNDS / 2],
		mega(part->fresh), part->full[ROUNDS / 2], mega(part->full));
}

static void measure(uint32_t n, uint32_t size)
{
	struct part part[POLICIES] = {0};
	struct worker *w = dp->worker[0];

	for (unsigned i = 0; i < POLICIES; i++) {
		part[i].answer = calloc(n, sizeof(*part[i].answer));
		part[i].next = n;
		if (!part[i].answer)
			errx(1, "no memory");
	}
	lb_touch(dp);
	ready_burst(&w->burst);
	measure_established(w, part, n);
	measure_new(w, part, size - POLICIES * n);
	for (unsigned i = 0; i < POLICIES; i++) {
		print_part(&part[i], i, n);
		free(part[i].answer);
	}
	printf("of new connections a second, least makes %.2f of maglev's; established %.2f of its cycles\n",
		part[MAGLEV].fresh[ROUNDS / 2] / part[LEAST].fresh[ROUNDS / 2],
		rounds_median(part[LEAST].old) / rounds_median(part[MAGLEV].old));
}

int main(int argc, char **argv)
{
	uint32_t n = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 10000;
	uint32_t size = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : n < 100000 ? 524288 : n * 4;

	if (!n || size < POLICIES * (n + PACKETS))
		errx(2, "the table has to have room for %d connections more of each policy", PACKETS);
	start(size); /* one size a process: DPDK starts once */
	printf("cycles a packet (and millions a second)\n"
	       "policy      conns  established   turns     new             in full table\n");
	measure(n, size);
	dp_close(dp);
	return 0;
}
