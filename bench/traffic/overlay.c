#include "bench/traffic/overlay.h"

#include <netinet/in.h>

static const uint8_t bench_mac[6] = {0x02, 0x5b, 0xff, 0, 0, 2};

enum { SWITCH_IP = 0xc0000201, BENCH_IP = 0xc0000202, NEXT = 0x100 /* from one overlay to the next */ };

static void fill_ip(uint8_t *outer, uint32_t to, uint32_t from)
{
	static const uint8_t ip[10] = {0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, IPPROTO_UDP}; /* do not fragment */

	outer[12] = 0x08;
	memcpy(outer + 14, ip, sizeof(ip));
	memcpy(outer + 26, &from, 4);
	memcpy(outer + 30, &to, 4);
}

static void fill_ip6(uint8_t *outer, uint32_t to, uint32_t from)
{
	outer[12] = 0x86;
	outer[13] = 0xdd;
	outer[14] = 0x60;
	outer[20] = IPPROTO_UDP;
	outer[21] = 64;
	memcpy(outer + 22, sum_prefix, sizeof(sum_prefix));
	memcpy(outer + 34, &from, 4);
	memcpy(outer + 38, sum_prefix, sizeof(sum_prefix));
	memcpy(outer + 50, &to, 4);
}

static void fill(const struct overlay *o, unsigned n, uint8_t *outer, const uint8_t to[6],
	const uint8_t from[6], uint32_t to_ip, uint32_t from_ip)
{
	uint32_t vni = htonl((OVERLAY_VNI + n) << 8);
	uint16_t port = htons(OVERLAY_PORT);
	uint8_t *udp = outer + o->outer - 16;

	memset(outer, 0, o->outer);
	memcpy(outer, to, 6);
	memcpy(outer + 6, from, 6);
	(o->kind == OVERLAY_IPV4 ? fill_ip : fill_ip6)(
		outer, htonl(to_ip + n * NEXT), htonl(from_ip + n * NEXT));
	memcpy(udp + 2, &port, 2);
	udp[8] = 0x08; /* the VNI is valid */
	memcpy(udp + 12, &vni, 4);
}

void overlay_init(struct overlay *o, enum overlay_kind kind, unsigned n, const uint8_t mac[6])
{
	uint8_t its_mac[6];

	memcpy(its_mac, mac, sizeof(its_mac));
	its_mac[5] = (uint8_t)(its_mac[5] + 2 * n);
	o->kind = kind;
	o->outer = kind == OVERLAY_IPV4 ? OVERLAY_OUTER : OVERLAY_OUTER6;
	fill(o, n, o->mine, its_mac, bench_mac, SWITCH_IP, BENCH_IP);
	fill(o, n, o->theirs, bench_mac, its_mac, BENCH_IP, SWITCH_IP);
	o->sum = kind == OVERLAY_IPV4
			 ? overlay_ip_sum(o->mine + 14)
			 : sum_bytes(o->mine + 22, OVERLAY_OUTER6 - 22) + (uint32_t)htons(IPPROTO_UDP);
}

bool overlay_host(uint32_t ip, uint8_t mac[6])
{
	memcpy(mac, bench_mac, 6);
	return (ntohl(ip) & ~(uint32_t)0xff00) == (BENCH_IP & ~(uint32_t)0xff00);
}

bool overlay_udp_intact(const struct overlay *o, const uint8_t *outer, uint32_t len)
{
	unsigned udp = o->outer - 16, addresses = o->kind == OVERLAY_IPV4 ? 8 : 32;

	if (outer[udp + 6] == 0 && outer[udp + 7] == 0)
		return true;
	return sum_packet(outer + udp - addresses, addresses, IPPROTO_UDP, outer + udp, len - udp) == 0xffff;
}
