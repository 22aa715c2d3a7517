/*
 * gro.c: merging a burst of 32 TCP segments, beside the library's rte_gro_reassemble_burst(), which neither looks at
 * checksums nor makes one packet's headers right: it chains buffers. Cycles a segment by TSC, medians; connections take turns.
 * `partial`: senders leave the checksum to others, as containers do; `summed`: each is made and has to be looked at, which
 * rte_gro does not.
 */
#include <linux/virtio_net.h>
#include <rte_cycles.h>
#include <rte_gro.h>
#include <rte_mbuf.h>
#include <string.h>

#include "bench/tables/rounds.h"
#include "dataplane/frame/csum.h"
#include "dataplane/frame/parse.h"
#include "dataplane/frame/tcp_gro.h"

enum { N = 32, L4 = 34, HEADERS = 66, PAYLOAD = 1448, LEN = HEADERS + PAYLOAD };

static uint8_t data[N][LEN];
static struct burst burst;
static struct tcp_gro gro;

static void make(unsigned i, unsigned flows, bool partial)
{
	uint8_t *d = data[i], *ip = d + 14, *tcp = d + L4;
	uint64_t sum;

	memset(d, 0, HEADERS);
	for (unsigned k = HEADERS; k < LEN; k++)
		d[k] = (uint8_t)(k * 31 + i);
	store16(d + 12, ETHERTYPE_IP4);
	ip[0] = 0x45;
	store16(ip + 2, LEN - 14);
	store16(ip + 4, (uint16_t)(i / flows));
	ip[8] = 64;
	ip[9] = IPPROTO_TCP;
	store32(ip + 12, 0x0a000001);
	store32(ip + 16, 0x0a000002);
	csum_store(ip + 10, (uint16_t)~csum_fold(csum_add(0, ip, 20)));
	store16(tcp, (uint16_t)(1000 + i % flows));
	store16(tcp + 2, 80);
	store32(tcp + 4, i / flows * PAYLOAD);
	tcp[12] = (HEADERS - L4) / 4 << 4;
	tcp[13] = 0x10;
	store16(tcp + 14, 500);
	memset(tcp + 20, 1, 12);
	sum = csum_add(0, ip + 12, 8) + __builtin_bswap16(LEN - L4) + __builtin_bswap16(IPPROTO_TCP);
	csum_store(tcp + 16, csum_fold(sum));
	if (!partial)
		csum_store(
			tcp + 16, csum_field(csum_add(sum, tcp, 16) + csum_add(0, tcp + 18, LEN - L4 - 18)));
}

static double ours(unsigned flows, bool partial)
{
	struct frame *list[N];
	uint64_t start;
	unsigned left;

	burst.count = burst.nspan = gro.used = 0;
	for (unsigned i = 0; i < N; i++) {
		struct frame *f = list[i] = burst_begin(&burst);

		memcpy(frame_data(f), data[i], HDR_COPY);
		f->len = LEN;
		f->hdr_len = HDR_COPY;
		if (partial)
			f->off = (struct offload){
				.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = L4, .csum_offset = 16};
		burst_lend(&burst, f, data[i] + HDR_COPY, LEN - HDR_COPY);
		burst_keep(&burst, f);
	}
	start = rte_rdtsc();
	left = tcp_gro_merge(&gro, list, N, true, true);
	start = rte_rdtsc() - start;
	if (left != flows)
		errx(1, "%u frames of %u connections", left, flows);
	return (double)start / N;
}

static double theirs(struct rte_mempool *pool, unsigned flows)
{
	struct rte_gro_param param = {
		.gro_types = RTE_GRO_TCP_IPV4, .max_flow_num = 64, .max_item_per_flow = 64};
	struct rte_mbuf *list[N];
	unsigned left;
	uint64_t start;

	for (unsigned i = 0; i < N; i++) {
		struct rte_mbuf *m = list[i] = rte_pktmbuf_alloc(pool);

		if (!m)
			errx(1, "no buffers");
		memcpy(rte_pktmbuf_append(m, LEN), data[i], LEN);
		m->packet_type = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4 | RTE_PTYPE_L4_TCP;
		m->l2_len = 14;
		m->l3_len = 20;
		m->l4_len = HEADERS - L4;
	}
	start = rte_rdtsc();
	left = rte_gro_reassemble_burst(list, N, &param);
	start = rte_rdtsc() - start;
	for (unsigned i = 0; i < left; i++)
		rte_pktmbuf_free(list[i]);
	if (left != flows)
		errx(1, "rte_gro: %u frames of %u connections", left, flows);
	return (double)start / N;
}

int main(int argc, char **argv)
{
	static const unsigned flows[] = {1, 2, 8};
	double partial[ROUNDS], summed[ROUNDS], library[ROUNDS];
	struct rte_mempool *pool;

	rounds_start(argv[0], "64");
	pool = rte_pktmbuf_pool_create("gro", 1023, 64, 0, 2048, SOCKET_ID_ANY);
	if (!pool)
		errx(1, "no buffers");
	printf("connections   partial    summed   rte_gro   cycles a segment\n");
	for (unsigned k = 0; k < sizeof(flows) / sizeof(flows[0]); k++) {
		for (unsigned r = 0; r < ROUNDS; r++) {
			for (unsigned kind = 0; kind < 2; kind++) {
				for (unsigned i = 0; i < N; i++)
					make(i, flows[k], kind == 0);
				(kind ? summed : partial)[r] = ours(flows[k], kind == 0);
			}
			library[r] = theirs(pool, flows[k]);
		}
		printf("%11u  %8.1f  %8.1f  %8.1f\n", flows[k], rounds_median(partial), rounds_median(summed),
			rounds_median(library));
	}
	return 0;
}
