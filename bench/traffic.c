#include "bench/traffic.h"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>

enum { ETHER_BYTES = 14, PATTERN_AT = 56 };

static uint16_t ip_checksum(const struct iphdr *ip)
{
	const uint16_t *words = (const uint16_t *)ip;
	uint32_t sum = 0;

	for (unsigned i = 0; i < sizeof(*ip) / 2; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void fill_template(struct traffic *t, unsigned from)
{
	static const uint8_t mac[6] = {0x02, 0x5b};
	uint8_t *frame = t->whole[from];
	struct iphdr ip = {.version = 4,
		.ihl = 5,
		.tot_len = htons((uint16_t)(t->length - ETHER_BYTES)),
		.frag_off = htons(IP_DF),
		.ttl = 64,
		.protocol = IPPROTO_UDP,
		.saddr = htonl(from ? 0x0affffff : 0x0a000000),
		.daddr = htonl(from ? 0x0a000000 : 0x0affffff)};
	struct udphdr udp = {.source = htons(4000),
		.dest = htons(4000),
		.len = htons((uint16_t)(t->length - ETHER_BYTES - sizeof(ip)))};
	uint32_t mark = TRAFFIC_MARK + from;

	ip.check = ip_checksum(&ip);
	memcpy(frame, mac, 6);
	memcpy(frame + 6, mac, 6);
	frame[2] = !from;
	frame[8] = (uint8_t)from;
	frame[12] = 0x08;
	memcpy(frame + ETHER_BYTES, &ip, sizeof(ip));
	memcpy(frame + ETHER_BYTES + sizeof(ip), &udp, sizeof(udp));
	memcpy(frame + 44, &mark, sizeof(mark));
	for (unsigned i = PATTERN_AT; i < t->length; i++)
		frame[i] = (uint8_t)(i * 7 + i / 256 + from);
}

void traffic_init(struct traffic *t, unsigned size, unsigned pairs)
{
	memset(t, 0, sizeof(*t));
	t->length = size - TRAFFIC_FCS;
	t->pairs = pairs;
	t->random = 0x2545f491;
	fill_template(t, 0);
	fill_template(t, 1);
}

void traffic_fill(const struct traffic *t, uint8_t *frame, unsigned from)
{
	memcpy(frame, t->whole[from], t->length);
}

bool traffic_intact(const struct traffic *t, const uint8_t *frame, unsigned from)
{
	const uint8_t *sent = t->whole[from];

	return memcmp(frame + 12, sent + 12, 14) == 0 && memcmp(frame + 34, sent + 34, 14) == 0 &&
	       memcmp(frame + PATTERN_AT, sent + PATTERN_AT, t->length - PATTERN_AT) == 0;
}
