#include "bench/traffic/overlay.h"

#include <netinet/in.h>

static const uint8_t bench_mac[6] = {0x02, 0x5b, 0xff, 0, 0, 2};

enum { SWITCH_IP = 0xc0000201, BENCH_IP = 0xc0000202 };

static void fill(uint8_t *outer, const uint8_t to[6], const uint8_t from[6], uint32_t to_ip, uint32_t from_ip)
{
	static const uint8_t ip[10] = {0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, IPPROTO_UDP}; /* do not fragment */
	uint32_t vni = htonl(OVERLAY_VNI << 8);
	uint16_t port = htons(OVERLAY_PORT);

	memset(outer, 0, OVERLAY_OUTER);
	memcpy(outer, to, 6);
	memcpy(outer + 6, from, 6);
	outer[12] = 0x08;
	memcpy(outer + 14, ip, sizeof(ip));
	from_ip = htonl(from_ip);
	to_ip = htonl(to_ip);
	memcpy(outer + 26, &from_ip, 4);
	memcpy(outer + 30, &to_ip, 4);
	memcpy(outer + 36, &port, 2);
	outer[42] = 0x08; /* the VNI is valid */
	memcpy(outer + 46, &vni, 4);
}

void overlay_init(struct overlay *o, const uint8_t mac[6])
{
	fill(o->mine, mac, bench_mac, SWITCH_IP, BENCH_IP);
	o->sum = overlay_ip_sum(o->mine + 14);
	fill(o->theirs, bench_mac, mac, BENCH_IP, SWITCH_IP);
}

bool overlay_host(uint32_t ip, uint8_t mac[6])
{
	memcpy(mac, bench_mac, 6);
	return ip == htonl(BENCH_IP);
}

bool overlay_udp_intact(const uint8_t *outer, uint32_t len)
{
	uint32_t sum = IPPROTO_UDP + (len - 34);

	if (outer[40] == 0 && outer[41] == 0)
		return true;
	for (unsigned i = 26; i < len; i++)
		sum += i % 2 ? outer[i] : (uint32_t)outer[i] << 8;
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)(sum + (sum >> 16)) == 0xffff;
}
