#include "bench/traffic/traffic.h"

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

static void fill_template(struct traffic_frame *t, unsigned from)
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

static void add_size(struct traffic *t, unsigned size)
{
	struct traffic_frame *frame = &t->size[t->n_sizes++];

	frame->length = size - TRAFFIC_FCS;
	fill_template(frame, 0);
	fill_template(frame, 1);
}

void traffic_init(struct traffic *t, unsigned size)
{
	static const uint8_t imix[TRAFFIC_MIX] = {0, 1, 0, 0, 1, 0, 2, 0, 1, 0, 1, 0};

	memset(t, 0, sizeof(*t));
	memcpy(t->mix, imix, sizeof(imix));
	if (size != TRAFFIC_IMIX) {
		add_size(t, size);
		return;
	}
	add_size(t, 64);
	add_size(t, 570);
	add_size(t, 1518);
}

void traffic_fill(const struct traffic *t, struct front_ring *ring, uint32_t outer, unsigned from)
{
	for (uint16_t i = 0; i < ring->size; i++) {
		const struct traffic_frame *frame = traffic_of_slot(t, i);

		memcpy(front_ring_buffer(ring, i) + FRONT_HEADROOM + outer, frame->whole[from],
			frame->length);
		*front_ring_length(ring, i) = FRONT_HDR + outer + frame->length;
	}
}

unsigned traffic_longest(unsigned size)
{
	return size == TRAFFIC_IMIX ? 1518 : size;
}

bool traffic_intact(const struct traffic *t, const uint8_t *frame, uint32_t len, unsigned from)
{
	const struct traffic_frame *f = t->size;
	const uint8_t *sent;

	while (f < t->size + t->n_sizes - 1 && f->length != len)
		f++;
	sent = f->whole[from];
	return f->length == len && memcmp(frame + 12, sent + 12, 14) == 0 &&
	       memcmp(frame + 34, sent + 34, 14) == 0 &&
	       memcmp(frame + PATTERN_AT, sent + PATTERN_AT, f->length - PATTERN_AT) == 0;
}
