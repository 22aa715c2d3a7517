/*
 * stages.c: what each stage of the pipeline costs by itself: bursts of 32 frames between two ports whose
 * rings are not there (frames come from memory, and go nowhere), so nothing but the stages is measured.
 * Cycles a packet by TSC; the least of many rounds, for on a shared machine anything more is somebody else's.
 *
 *   bench-stages [PAIRS ...]      MAC pairs in random order (1 10000 100000)
 */
#include <err.h>
#include <rte_cycles.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/pipeline.h"
#include "dataplane/private.h"

enum { FRAME = 64, ROUNDS = 200, BURSTS = 256, STAGES = 16 };

static void *fd_add(void *ctx, int fd, unsigned events, void (*fn)(void *arg, unsigned what), void *arg)
{
	return ctx;
}

static void *timer_add(void *ctx, unsigned ms, void (*fn)(void *arg), void *arg)
{
	return ctx;
}

static void del(void *ctx, void *handle) {}

static int nowhere_open(struct port *port, struct dp_err *err)
{
	atomic_store(&port->up, true);
	return 0;
}

static void nowhere_close(struct port *port) {}

static uint16_t nowhere_rx(struct port *port, struct worker *w, struct burst *b)
{
	return 0;
}

static uint16_t nowhere_tx(struct port *port, struct worker *w, struct frame *const *frames, uint16_t n)
{
	return n;
}

static const struct port_ops nowhere = {
	.name = "nowhere", .open = nowhere_open, .close = nowhere_close, .rx = nowhere_rx, .tx = nowhere_tx};

static struct dp *start(struct port *port[2], uint32_t pairs)
{
	static const int cores[] = {0};
	static int here;
	struct dp_config config = {.main_core = -1,
		.cores = cores,
		.ncores = 1,
		.memory_mb = 64,
		.hugepages = DP_HUGE_OFF,
		.fdb_size = pairs * 2 + 1024,
		.conn_size = 1024,
		.loop = {&here, fd_add, del, timer_add, del}};
	struct dp_network net = {.mode = DP_BRIDGE, .mtu = 1500, .age_s = 300};
	struct dp_port spec = {.type = DP_NULL, .mtu = 1500};
	struct dp_err err = {""};
	struct dp *dp;
	uint16_t id;

	if (dp_prepare(&config, &dp, &err) || dp_network_add(dp, &net, &spec.net, &err))
		errx(1, "%s", err.text);
	for (int i = 0; i < 2; i++) {
		if (port_add(dp, &spec, &nowhere, &id, &err))
			errx(1, "%s", err.text);
		port[i] = dp_get_port(dp, id);
	}
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

static void fill(struct burst *b, struct port *in, unsigned side, uint32_t pairs, uint32_t *random)
{
	static const uint8_t ip_start[] = {8, 0, 0x45, 0, 0, 0x32, 0, 0, 0, 0, 64, 17};

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
		memset(data, 0, FRAME);
		put_mac(data, !side, n);
		put_mac(data + 6, side, n);
		memcpy(data + 12, ip_start, sizeof(ip_start));
		f->hdr_len = FRAME;
		f->len = FRAME;
	}
}

static void measure(uint32_t pairs)
{
	uint64_t best[STAGES], total = 0;
	struct port *port[2];
	struct dp *dp = start(port, pairs);
	struct worker *w = dp->worker[0];
	uint32_t random = 1;

	memset(best, 0xff, sizeof(best));
	for (uint32_t n = 0; n < pairs; n++)
		for (unsigned side = 0; side < 2; side++) { /* learn them all first */
			w->flood_left = 2048;
			fill(&w->burst, port[side], side, 1, &random);
			for (unsigned i = 0; i < BURST_MAX; i++)
				put_mac(frame_data(&w->burst.frame[i]) + 6, side, n);
			w->burst.count = 1;
			pipeline_run(w, &w->burst);
		}
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t cycles[STAGES] = {0};

		for (unsigned i = 0; i < BURSTS; i++) {
			fill(&w->burst, port[i & 1], i & 1, pairs, &random);
			pipeline_run_timed(w, &w->burst, cycles);
		}
		for (unsigned s = 0; s < pipeline_len; s++)
			best[s] = cycles[s] < best[s] ? cycles[s] : best[s];
	}
	printf("%8u", pairs);
	for (unsigned s = 0; s < pipeline_len; s++) {
		printf(" %10.1f", (double)best[s] / (BURSTS * BURST_MAX));
		total += best[s];
	}
	printf(" %8.1f\n", (double)total / (BURSTS * BURST_MAX));
	exit(0); /* DPDK starts once a process: each figure has one of its own */
}

int main(int argc, char **argv)
{
	if (argc == 2)
		measure((uint32_t)strtoul(argv[1], NULL, 10));
	printf("   pairs");
	for (unsigned s = 0; s < pipeline_len; s++)
		printf(" %10s", pipeline[s].name);
	printf("    total\n");
	fflush(stdout);
	for (int i = 0; i < (argc > 1 ? argc - 1 : 3); i++) {
		static const char *const usual[] = {"1", "10000", "100000"};
		char command[4096];

		snprintf(command, sizeof(command), "%s %s", argv[0], argc > 1 ? argv[i + 1] : usual[i]);
		if (system(command))
			return 1;
	}
	return 0;
}
