#include "bench/traffic/balance.h"

#include <netinet/in.h>

enum { IP_AT = 14, UDP_AT = 34, VIP = 0x0aff0001, BACKENDS = 0x0afe0001 };

static uint32_t sum_words(const uint8_t *at, unsigned bytes)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < bytes; i += 2) {
		uint16_t word = at[i];

		word |= (uint16_t)((i + 1 < bytes ? at[i + 1] : 0) << 8);
		sum += word;
	}
	return sum;
}

/* Of the UDP packet and its pseudo header: 0xffff when its checksum is right. */
static uint16_t udp_sum(const uint8_t *frame, unsigned len)
{
	unsigned udp_len = len - UDP_AT;
	uint32_t sum = sum_words(frame + 26, 8) + htons(IPPROTO_UDP) + htons((uint16_t)udp_len);

	return balance_fold(sum + sum_words(frame + UDP_AT, udp_len));
}

static void put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* What differs from frame to frame stays 0 and so out of the sums. */
static void fill_template(struct balance *b, unsigned from, uint16_t port)
{
	static const uint8_t ip[10] = {0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, IPPROTO_UDP};
	uint8_t *frame = b->whole[from];
	uint32_t mark = BALANCE_MARK + from, vip = htonl(VIP);

	memset(frame, 0, b->length);
	frame[0] = frame[6] = 0x02;
	frame[1] = frame[7] = 0x5b;
	frame[8] = (uint8_t)from;
	frame[12] = 0x08;
	memcpy(frame + IP_AT, ip, sizeof(ip));
	put16(frame + IP_AT + 2, b->length - IP_AT);
	put16(frame + UDP_AT + 4, b->length - UDP_AT);
	if (from == BALANCE_CLIENTS) {
		memcpy(frame, b->router, 6);
		memcpy(frame + 30, &vip, 4);
		put16(frame + 36, port);
	}
	memcpy(frame + 44, &mark, sizeof(mark));
	for (unsigned i = BALANCE_HEAD; i < b->length; i++)
		frame[i] = (uint8_t)(i * 7 + i / 256 + from);
	b->ip_sum[from] = balance_fold(sum_words(frame + IP_AT, 20));
	b->udp_sum[from] = udp_sum(frame, b->length);
}

void balance_init(struct balance *b, unsigned size, const uint8_t router[6], uint16_t port)
{
	memset(b, 0, sizeof(*b));
	b->length = size - TRAFFIC_FCS;
	memcpy(b->router, router, 6);
	fill_template(b, BALANCE_CLIENTS, port);
	fill_template(b, BALANCE_SERVERS, port);
}

void balance_fill(const struct balance *b, struct front_ring *ring, unsigned from)
{
	for (uint16_t i = 0; i < ring->size; i++) {
		memcpy(front_ring_buffer(ring, i) + FRONT_HEADROOM, b->whole[from], b->length);
		*front_ring_length(ring, i) = FRONT_HDR + b->length;
	}
}

bool balance_host(uint32_t ip, uint8_t mac[6])
{
	uint32_t backend = ntohl(ip) - BACKENDS, end = htonl(1 << 24 | backend);

	mac[0] = 0x02;
	mac[1] = 0x5b;
	memcpy(mac + 2, &end, sizeof(end));
	return backend < BALANCE_HOSTS;
}

bool balance_intact(const struct balance *b, const uint8_t *frame, unsigned from)
{
	const uint8_t *sent = b->whole[from];

	return memcmp(frame + 12, sent + 12, 10) == 0 && frame[23] == sent[23] &&
	       memcmp(frame + 38, sent + 38, 2) == 0 &&
	       balance_fold(sum_words(frame + IP_AT, 20)) == 0xffff && (frame[40] || frame[41]) &&
	       udp_sum(frame, b->length) == 0xffff &&
	       memcmp(frame + BALANCE_HEAD, sent + BALANCE_HEAD, b->length - BALANCE_HEAD) == 0;
}
