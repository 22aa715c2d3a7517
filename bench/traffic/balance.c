#include "bench/traffic/balance.h"

#include <netinet/in.h>

enum { IP_AT = 14, UDP_AT = 34, VIP = 0x0aff0001, BACKENDS = 0x0afe0001 };

/* Of the UDP packet and its pseudo header: 0xffff when its checksum is right. */
static uint16_t udp_sum(const struct balance *b, const uint8_t *frame)
{
	unsigned udp = UDP_AT + b->longer, addresses = b->longer ? 32 : 8;

	return sum_packet(frame + udp - addresses, addresses, IPPROTO_UDP, frame + udp, b->length - udp);
}

static void put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void fill_ip(const struct balance *b, uint8_t *frame)
{
	static const uint8_t ip[10] = {0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, IPPROTO_UDP};

	frame[12] = 0x08;
	memcpy(frame + IP_AT, ip, sizeof(ip));
	put16(frame + IP_AT + 2, b->length - IP_AT);
}

static void fill_ip6(const struct balance *b, uint8_t *frame)
{
	frame[12] = 0x86;
	frame[13] = 0xdd;
	frame[IP_AT] = 0x60;
	put16(frame + IP_AT + 4, b->length - IP_AT - 40);
	frame[IP_AT + 6] = IPPROTO_UDP;
	frame[IP_AT + 7] = 64;
	memcpy(frame + b->source - SUM_PREFIX_BYTES, sum_prefix, SUM_PREFIX_BYTES);
	memcpy(frame + b->destination - SUM_PREFIX_BYTES, sum_prefix, SUM_PREFIX_BYTES);
}

/* What differs from frame to frame stays 0 and so out of the sums. */
static void fill_template(struct balance *b, unsigned from, uint16_t port)
{
	uint8_t *frame = b->whole[from];
	uint32_t mark = BALANCE_MARK + from, vip = htonl(VIP);
	unsigned udp = UDP_AT + b->longer;

	memset(frame, 0, b->length);
	frame[0] = frame[6] = 0x02;
	frame[1] = frame[7] = 0x5b;
	frame[8] = (uint8_t)from;
	(b->longer ? fill_ip6 : fill_ip)(b, frame);
	put16(frame + udp + 4, b->length - udp);
	if (from == BALANCE_CLIENTS) {
		memcpy(frame, b->router, 6);
		memcpy(frame + b->destination, &vip, 4);
		put16(frame + udp + 2, port);
	}
	memcpy(frame + udp + 10, &mark, sizeof(mark));
	for (unsigned i = BALANCE_HEAD + b->longer; i < b->length; i++)
		frame[i] = (uint8_t)(i * 7 + i / 256 + from);
	b->ip_sum[from] = sum_fold(sum_bytes(frame + IP_AT, 20));
	b->udp_sum[from] = udp_sum(b, frame);
}

void balance_init(struct balance *b, unsigned size, bool ipv6, const uint8_t router[6], uint16_t port)
{
	memset(b, 0, sizeof(*b));
	b->length = size - TRAFFIC_FCS;
	b->longer = ipv6 ? TRAFFIC_LONGER6 : 0;
	b->source = ipv6 ? 34 : 26;
	b->destination = ipv6 ? 50 : 30;
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

/* Of an IP header what the switch may not change. */
static bool ip_intact(const struct balance *b, const uint8_t *frame, const uint8_t *sent)
{
	if (b->longer)
		return memcmp(frame + 12, sent + 12, 9) == 0 &&
		       memcmp(frame + 22, sent + 22, SUM_PREFIX_BYTES) == 0 &&
		       memcmp(frame + 38, sent + 38, SUM_PREFIX_BYTES) == 0;
	return memcmp(frame + 12, sent + 12, 10) == 0 && frame[23] == sent[23] &&
	       sum_fold(sum_bytes(frame + IP_AT, 20)) == 0xffff;
}

bool balance_intact(const struct balance *b, const uint8_t *frame, unsigned from)
{
	const uint8_t *sent = b->whole[from];
	unsigned udp = UDP_AT + b->longer, head = BALANCE_HEAD + b->longer;

	return ip_intact(b, frame, sent) && memcmp(frame + udp + 4, sent + udp + 4, 2) == 0 &&
	       (frame[udp + 6] || frame[udp + 7]) && udp_sum(b, frame) == 0xffff &&
	       memcmp(frame + head, sent + head, b->length - head) == 0;
}
