/*
 * stages.c: what each stage of the pipeline costs by itself: bursts of 32 frames between two ports whose
 * rings are not there (frames come from memory, and go nowhere), so nothing but the stages is measured.
 * Cycles a packet by TSC; the least of many rounds, for on a shared machine anything more is somebody else's.
 *
 *   bench-stages [PAIRS ...]      MAC pairs in random order (1 10000 100000)
 *
 * Six ways: between two ports of a network, between two with security full, which have one MAC and one
 * address each, both again with UDP over IPv6 in a network that has a gateway of it, into a VXLAN tunnel, and out of one.
 */
#include <err.h>
#include <rte_cycles.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/tables/nothing.h"
#include "dataplane/core/dp.h"
#include "dataplane/engine/pipeline.h"
#include "dataplane/frame/parse.h"
#include "dataplane/frame/reply.h"
#include "dataplane/l2/neigh.h"
#include "dataplane/overlay/vxlan.h"
#include "dataplane/ports.h"
#include "dataplane/start.h"

enum { FRAME = 64, ROUNDS = 200, BURSTS = 256, STAGES = 16, VNI = 100, WAYS = 6 };

enum way { SWITCH, GUARDED, SWITCH6, GUARDED6, ENCAP, DECAP };
static const char *const ways[] = {"switch", "guarded", "switch6", "guarded6", "encap", "decap"};

static bool is_guarded(enum way way)
{
	return way == GUARDED || way == GUARDED6;
}

static bool is_ip6(enum way way)
{
	return way == SWITCH6 || way == GUARDED6;
}

/* fd00::N */
static struct ip_addr ip6_of(uint8_t n)
{
	return (struct ip_addr){.b = {0xfd, [15] = n}};
}

static const uint8_t remote_mac[6] = {2, 9, 0, 0, 0, 2};

/* A tunnel over the uplink port[1], whose other end has answered already. */
static void start_tunnel(struct dp *dp, uint16_t net, struct port *port[2])
{
	uint32_t remote = htonl(0xc0000202);
	uint8_t answer[ARP_FRAME_LEN];
	struct dp_err err = {""};
	uint16_t id;

	if (dp_vtep_add(dp, net, ip_from4(remote), &id, &err))
		errx(1, "%s", err.text);
	reply_write_arp_request(answer, remote_mac, remote, port[1]->address);
	neigh_input(dp, NET_NONE, port[1]->id, answer, sizeof(answer));
}

static struct dp *start(enum way way, struct port *port[2], uint32_t pairs)
{
	const struct dp_config config = nothing_config(pairs * 2 + 1024, 1024);
	struct dp_network net = {
		.mode = way <= GUARDED6 ? DP_BRIDGE : DP_OVERLAY, .vni = VNI, .mtu = 1500, .age_s = 300};
	struct dp_port spec = {.type = DP_NULL, .mtu = 1500};
	struct dp_err err = {""};
	struct dp *dp;
	uint16_t id, net_id;

	if (is_ip6(way)) {
		net.subnet6 = (struct ip_prefix){ip6_of(0), 64};
		net.gateway6 = ip6_of(1);
	}
	if (dp_prepare(&config, &dp, &err) || dp_network_add(dp, &net, &spec.net, &err))
		errx(1, "%s", err.text);
	net_id = spec.net;
	for (int i = 0; i < 2; i++) {
		if (is_guarded(way))
			spec = (struct dp_port){.type = DP_NULL,
				.net = net_id,
				.mtu = 1500,
				.mac = {2, (uint8_t)i},
				.ips = {is_ip6(way) ? ip6_of((uint8_t)(2 + i))
						    : ip_from4(htonl(0x0a000001 + (uint32_t)i))},
				.nips = 1,
				.security = DP_SECURITY_FULL};
		if (i == 1 && way > GUARDED6)
			spec = (struct dp_port){.type = DP_NULL,
				.net = DP_NET_NONE,
				.mtu = 9000,
				.mac = {2, 9, 0, 0, 0, 1},
				.address = {ip_from4(htonl(0xc0000201)), IP_PREFIX4 + 24},
				.vxlan_port = VXLAN_PORT};
		if (port_add(dp, &spec, &nothing, &id, &err))
			errx(1, "%s", err.text);
		port[i] = dp_get_port(dp, id);
	}
	if (way > GUARDED6)
		start_tunnel(dp, net_id, port);
	dp->worker[0]->now_s = 1;
	return dp;
}

/* Host n of a side: sides differ in the second byte. */
static void put_mac(uint8_t *mac, unsigned side, uint32_t n)
{
	uint8_t m[6] = {
		2, (uint8_t)side, (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};

	memcpy(mac, m, 6);
}

/* What the other end of the tunnel puts before a frame. */
static void put_outer(const struct port *uplink, uint8_t *outer)
{
	struct vtep vtep = {.remote = uplink->spec.address.address, .vni = VNI};

	vxlan_prepare(&vtep, uplink->mac, remote_mac, ip_from4(htonl(0xc0000202)), VXLAN_PORT);
	memcpy(outer, vtep.outer, VXLAN_OUTER);
	store16(outer + 14 + 2, FRAME + VXLAN_OUTER - 14);
}

static void fill(
	enum way way, struct burst *b, struct port *in, unsigned side, uint32_t pairs, uint32_t *random)
{
	unsigned outer = in->is_uplink ? VXLAN_OUTER : 0;
	static const uint8_t ip_start[] = {8, 0, 0x45, 0, 0, 0x32, 0, 0, 0, 0, 64, 17},
			     ip6_start[] = {0x86, 0xdd, 0x60, 0, 0, 0, 0, 10, 17, 64};
	bool six = is_ip6(way);

	b->in = in;
	b->count = BURST_MAX;
	b->nspan = 0;
	for (unsigned i = 0; i < BURST_MAX; i++) {
		struct frame *f = &b->frame[i];
		uint8_t *data;
		uint32_t n;

		*random = *random * 1664525 + 1013904223;
		n = (uint32_t)((uint64_t)*random * pairs >> 32);
		frame_init(f);
		data = frame_data(f);
		if (outer)
			put_outer(in, data);
		data += outer;
		memset(data, 0, FRAME);
		put_mac(data, !side, n);
		put_mac(data + 6, side, n);
		if (six) {
			memcpy(data + 12, ip6_start, sizeof(ip6_start));
			memcpy(data + 22, in->spec.ips[0].b, 16);
		} else {
			memcpy(data + 12, ip_start, sizeof(ip_start));
			memcpy(data + 26, &in->spec.ips[0].w[3], in->spec.nips ? 4 : 0);
		}
		f->hdr_len = (uint16_t)(outer + FRAME);
		f->len = outer + FRAME;
	}
}

static void measure(enum way way, uint32_t pairs)
{
	uint64_t best[STAGES], total = 0;
	struct port *port[2];
	struct dp *dp = start(way, port, pairs);
	struct worker *w = dp->worker[0];
	uint32_t random = 1;

	memset(best, 0xff, sizeof(best));
	for (uint32_t n = 0; n < pairs; n++)
		for (unsigned side = 0; side < 2; side++) { /* learn them all first */
			w->turn++;
			fill(way, &w->burst, port[side], side, 1, &random);
			for (unsigned i = 0; i < BURST_MAX; i++)
				put_mac(frame_data(&w->burst.frame[i]) +
						(port[side]->is_uplink ? VXLAN_OUTER : 0) + 6,
					side, n);
			w->burst.count = 1;
			pipeline_run(w, &w->burst);
		}
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t cycles[STAGES] = {0};

		for (unsigned i = 0; i < BURSTS; i++) {
			unsigned side = way <= GUARDED6 ? i & 1 : way == DECAP;

			fill(way, &w->burst, port[side], side, pairs, &random);
			pipeline_run_timed(w, &w->burst, cycles);
		}
		for (unsigned s = 0; s < pipeline_len; s++)
			best[s] = cycles[s] < best[s] ? cycles[s] : best[s];
	}
	printf("%8s %8u", ways[way], pairs);
	for (unsigned s = 0; s < pipeline_len; s++) {
		printf(" %10.1f", (double)best[s] / (BURSTS * BURST_MAX));
		total += best[s];
	}
	printf(" %8.1f\n", (double)total / (BURSTS * BURST_MAX));
	exit(0); /* DPDK starts once a process: each figure has one of its own */
}

int main(int argc, char **argv)
{
	for (enum way way = SWITCH; argc == 3 && way <= DECAP; way++)
		if (strcmp(argv[1], ways[way]) == 0)
			measure(way, (uint32_t)strtoul(argv[2], NULL, 10));
	printf("%8s    pairs", "");
	for (unsigned s = 0; s < pipeline_len; s++)
		printf(" %10s", pipeline[s].name);
	printf("    total\n");
	fflush(stdout);
	for (int i = 0; i < WAYS * (argc > 1 ? argc - 1 : 3); i++) {
		static const char *const usual[] = {"1", "10000", "100000"};
		char command[4096];

		snprintf(command, sizeof(command), "%s %s %s", argv[0], ways[i % WAYS],
			is_guarded((enum way)(i % WAYS)) ? "1"
			: argc > 1			 ? argv[i / WAYS + 1]
							 : usual[i / WAYS]);
		if (system(command))
			return 1;
	}
	return 0;
}
