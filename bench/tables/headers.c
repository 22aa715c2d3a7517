/*
 * headers.c: what is done to the headers of a frame, beside DPDK's library for it: parsing and the flow hash
 * (rte_net_get_ptype with rte_softrss_be), checksums (rte_raw_cksum), VXLAN encapsulation (a header made
 * field by field with rte_ipv4_cksum). One thread, frames in random order from pools of several sizes; cycles
 * by TSC, median of several rounds in turns.
 *
 *   bench-headers [FRAMES ...]
 */
#include <err.h>
#include <rte_cycles.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_net.h>
#include <rte_thash.h>
#include <rte_udp.h>
#include <rte_vxlan.h>

#include "bench/tables/rounds.h"
#include "dataplane/frame/csum.h"
#include "dataplane/frame/parse.h"
#include "dataplane/overlay/vxlan.h"

enum { ROUND = 1 << 12, LEN = 60, LONGEST = 1480, ROOM = LONGEST + 64 };

struct pool {
	struct frame *frame;
	uint8_t (*raw)[64]; /* the same frames for the library, which reads them in an mbuf */
	uint32_t *order;    /* [ROUND] */
	uint32_t count;
};

static uint64_t sink; /* keeps the results alive */
static struct rte_mbuf *mbuf;
static uint8_t key_be[40];

static void write_frame(uint8_t *data, uint32_t n)
{
	static const uint8_t start[] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, LEN - ETH_LEN,
		0, 0, 0x40, 0, 64, IPPROTO_UDP, 0, 0, 10, 0, 0, 0, 10, 1, 0, 0, 0x10, 0, 0, 53, 0,
		LEN - ETH_LEN - 20};

	memcpy(data, start, sizeof(start));
	store_ip4(data + 26, __builtin_bswap32(0x0a000000 + n / 1024));
	store16(data + 34, (uint16_t)(1024 + n % 1024));
}

static struct pool pool_new(uint32_t count)
{
	struct pool p = {.count = count};
	uint32_t random = 1;

	p.frame = aligned_alloc(64, (size_t)count * sizeof(*p.frame));
	p.raw = aligned_alloc(64, (size_t)count * sizeof(*p.raw));
	p.order = calloc(ROUND, sizeof(*p.order));
	if (!p.frame || !p.raw || !p.order)
		errx(1, "no memory for %u frames", count);
	for (uint32_t n = 0; n < count; n++) {
		memset(&p.frame[n], 0, sizeof(p.frame[n]));
		frame_init(&p.frame[n]);
		p.frame[n].len = p.frame[n].hdr_len = LEN;
		write_frame(frame_data(&p.frame[n]), n);
		write_frame(p.raw[n], n);
	}
	for (uint32_t i = 0; i < ROUND; i++)
		p.order[i] = rounds_random(&random, count);
	return p;
}

static void pool_free(struct pool *p)
{
	free(p->frame);
	free(p->raw);
	free(p->order);
}

/* Each measured function does a burst of 32: first asks for what it will read, as the switch does. */
typedef void burst_fn(struct pool *p, const uint32_t *which);

static void prefetch_frames(struct pool *p, const uint32_t *which)
{
	for (unsigned i = 0; i < BURST; i++) {
		__builtin_prefetch(&p->frame[which[i]]);
		__builtin_prefetch(frame_data(&p->frame[which[i]]));
	}
}

static void prefetch_raw(struct pool *p, const uint32_t *which)
{
	for (unsigned i = 0; i < BURST; i++)
		__builtin_prefetch(p->raw[which[i]]);
}

static void parse_ours(struct pool *p, const uint32_t *which)
{
	prefetch_frames(p, which);
	for (unsigned i = 0; i < BURST; i++) {
		struct frame *f = &p->frame[which[i]];

		f->parsed = false;
		f->hash = 0;
		sink += flow_hash(f);
	}
}

static void parse_theirs(struct pool *p, const uint32_t *which)
{
	struct rte_net_hdr_lens lens;

	prefetch_raw(p, which);
	for (unsigned i = 0; i < BURST; i++) {
		uint32_t tuple[3];

		mbuf->buf_addr = p->raw[which[i]];
		mbuf->data_off = 0;
		mbuf->data_len = mbuf->pkt_len = LEN;
		sink += rte_net_get_ptype(mbuf, &lens, RTE_PTYPE_ALL_MASK);
		memcpy(tuple, p->raw[which[i]] + lens.l2_len + 12, sizeof(tuple));
		sink += rte_softrss_be(tuple, 3, key_be);
	}
}

static void encap_ours(struct pool *p, const uint32_t *which)
{
	static struct vtep vtep = {.remote = {.b = {[10] = 0xff, 0xff, 192, 0, 2, 2}}, .vni = 100};

	if (!vtep.ready)
		vxlan_prepare(&vtep, p->raw[0], p->raw[0] + 6, ip_from4(0x010200c0), VXLAN_PORT);
	prefetch_frames(p, which);
	for (unsigned i = 0; i < BURST; i++) {
		struct frame *f = &p->frame[which[i]];

		vxlan_encap(f, &vtep);
		sink += frame_data(f)[0];
		vxlan_unencap(f, &vtep);
	}
}

static void outer_theirs(uint8_t *outer, const uint8_t *inner, uint32_t hash)
{
	struct rte_ether_hdr *eth = (struct rte_ether_hdr *)outer;
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(eth + 1);
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(ip + 1);
	struct rte_vxlan_hdr *vxlan = (struct rte_vxlan_hdr *)(udp + 1);

	memcpy(eth, inner, 12);
	eth->ether_type = htons(RTE_ETHER_TYPE_IPV4);
	*ip = (struct rte_ipv4_hdr){.version_ihl = 0x45,
		.total_length = htons(LEN + VXLAN_OUTER - ETH_LEN),
		.fragment_offset = htons(RTE_IPV4_HDR_DF_FLAG),
		.time_to_live = 64,
		.next_proto_id = IPPROTO_UDP,
		.src_addr = 0x010200c0,
		.dst_addr = 0x020200c0};
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	*udp = (struct rte_udp_hdr){.src_port = htons((uint16_t)(49152 + (hash & 16383))),
		.dst_port = htons(VXLAN_PORT),
		.dgram_len = htons(LEN + VXLAN_OUTER - ETH_LEN - 20)};
	*vxlan = (struct rte_vxlan_hdr){.vx_flags = htonl(0x08000000), .vx_vni = htonl(100 << 8)};
}

static void encap_theirs(struct pool *p, const uint32_t *which)
{
	static uint8_t outer[BURST][64];

	prefetch_raw(p, which);
	for (unsigned i = 0; i < BURST; i++) {
		uint32_t tuple[3];

		memcpy(tuple, p->raw[which[i]] + 26, sizeof(tuple));
		outer_theirs(outer[i], p->raw[which[i]], rte_softrss_be(tuple, 3, key_be));
		sink += outer[i][0];
	}
}

static double round_of(struct pool *p, burst_fn *fn)
{
	uint64_t start = rte_rdtsc();

	for (uint32_t i = 0; i < ROUND; i += BURST)
		fn(p, p->order + i);
	return (double)(rte_rdtsc() - start) / ROUND;
}

static void compare(struct pool *p, const char *name, burst_fn *ours, burst_fn *theirs)
{
	static double a[ROUNDS], b[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		a[i] = round_of(p, ours);
		b[i] = round_of(p, theirs);
	}
	printf("%-22s ", name);
	rounds_print(p->count, a, b);
}

static void compare_checksums(void)
{
	static const uint32_t length[] = {20, 64, 576, LONGEST};
	static double a[ROUNDS], b[ROUNDS];
	uint8_t *data = calloc(1, ROOM);
	enum { TIMES = 256 };

	if (!data)
		errx(1, "no memory");
	for (uint32_t i = 0; i < ROOM; i++)
		data[i] = (uint8_t)(i * 7);
	for (unsigned k = 0; k < sizeof(length) / sizeof(length[0]); k++) {
		for (int i = 0; i < ROUNDS; i++) {
			uint64_t start = rte_rdtsc(), middle;

			for (int n = 0; n < TIMES; n++)
				sink += csum_fold(csum_add(0, data + n % 8 * 8, length[k]));
			middle = rte_rdtsc();
			for (int n = 0; n < TIMES; n++)
				sink += rte_raw_cksum(data + n % 8 * 8, length[k]);
			a[i] = (double)(middle - start) / TIMES;
			b[i] = (double)(rte_rdtsc() - middle) / TIMES;
		}
		printf("%-22s ", "checksum, bytes:");
		rounds_print(length[k], a, b);
	}
	free(data);
}

int main(int argc, char **argv)
{
	static const uint32_t usual[] = {1000, 100000, 1000000};
	uint32_t count[16], n = 0;

	rounds_start(argv[0], "64");
	mbuf = calloc(1, sizeof(*mbuf));
	for (unsigned i = 0; i < sizeof(key_be); i++)
		key_be[i] = (uint8_t)(i * 37 + 11);
	for (int i = 1; i < argc && n < 16; i++)
		count[n++] = (uint32_t)strtoul(argv[i], NULL, 10);
	if (n == 0)
		for (; n < sizeof(usual) / sizeof(usual[0]); n++)
			count[n] = usual[n];
	printf("cycles each               frames    Sluice      DPDK  ratio\n");
	for (uint32_t i = 0; i < n; i++) {
		struct pool p = pool_new(count[i]);

		compare(&p, "parse and flow hash", parse_ours, parse_theirs);
		compare(&p, "VXLAN encapsulation", encap_ours, encap_theirs);
		pool_free(&p);
	}
	compare_checksums();
	free(mbuf);
	rte_eal_cleanup();
	return sink == 0; /* never */
}
