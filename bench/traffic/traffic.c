#include "bench/traffic/traffic.h"

#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>

enum {
	ETHER_BYTES = 14,
	UDP_AT = 34,	 /* IPv4 */
	MARK_AT = 10,	 /* from the UDP header on */
	PATTERN_AT = 22, /* the same */
	ADDRESSES6_AT = 22,
	ADDRESSES6 = 32,
	UDP6_AT = UDP_AT + TRAFFIC_LONGER6,
	NEAR = 0x0a000000, /* the hosts of pair 0 */
	FAR = 0x0affffff,
};

/* What changes from frame to frame is as pair 0 has it, number 0. */
static unsigned fill_ip(uint8_t *at, unsigned length, unsigned from)
{
	struct iphdr ip = {.version = 4,
		.ihl = 5,
		.tot_len = htons((uint16_t)length),
		.frag_off = htons(IP_DF),
		.ttl = 64,
		.protocol = IPPROTO_UDP,
		.saddr = htonl(from ? FAR : NEAR),
		.daddr = htonl(from ? NEAR : FAR)};

	ip.check = (uint16_t)~sum_fold(sum_bytes((const uint8_t *)&ip, sizeof(ip)));
	memcpy(at, &ip, sizeof(ip));
	return sizeof(ip);
}

static unsigned fill_ip6(uint8_t *at, unsigned length, unsigned from)
{
	uint32_t source = htonl(from ? FAR : NEAR), destination = htonl(from ? NEAR : FAR);
	struct ip6_hdr ip = {.ip6_flow = htonl(6U << 28),
		.ip6_plen = htons((uint16_t)(length - sizeof(ip))),
		.ip6_nxt = IPPROTO_UDP,
		.ip6_hlim = 64};

	memcpy(&ip.ip6_src, sum_prefix, sizeof(sum_prefix));
	memcpy(&ip.ip6_dst, sum_prefix, sizeof(sum_prefix));
	memcpy(&ip.ip6_src.s6_addr[12], &source, sizeof(source));
	memcpy(&ip.ip6_dst.s6_addr[12], &destination, sizeof(destination));
	memcpy(at, &ip, sizeof(ip));
	return sizeof(ip);
}

static uint16_t udp6_sum(const uint8_t *frame, unsigned length)
{
	return sum_packet(frame + ADDRESSES6_AT, ADDRESSES6, IPPROTO_UDP, frame + UDP6_AT, length - UDP6_AT);
}

static void fill_template(struct traffic_frame *t, unsigned from)
{
	static const uint8_t mac[6] = {0x02, 0x5b};
	uint8_t *frame = t->whole[from], *at = frame + ETHER_BYTES;
	struct udphdr udp = {.source = htons(4000), .dest = htons(4000)};
	uint16_t type = htons(t->ipv6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP);
	uint32_t mark = TRAFFIC_MARK + from;

	memcpy(frame, mac, 6);
	memcpy(frame + 6, mac, 6);
	frame[2] = !from;
	frame[8] = (uint8_t)from;
	memcpy(frame + 12, &type, sizeof(type));
	at += (t->ipv6 ? fill_ip6 : fill_ip)(at, t->length - ETHER_BYTES, from);
	udp.len = htons((uint16_t)(frame + t->length - at));
	memcpy(at, &udp, sizeof(udp));
	memcpy(at + MARK_AT, &mark, sizeof(mark));
	for (unsigned i = (unsigned)(at - frame) + PATTERN_AT; i < t->length; i++)
		frame[i] = (uint8_t)(i * 7 + i / 256 + from);
	t->udp_sum[from] = t->ipv6 ? udp6_sum(frame, t->length) : 0;
	t->frame_sum[from] = 2U * sum_bytes(mac, 2) +
			     sum_bytes(frame + ETHER_BYTES - 2, t->length - ETHER_BYTES + 2) +
			     sum_udp(t->udp_sum[from]);
}

static void add_size(struct traffic *t, unsigned size)
{
	struct traffic_frame *frame = &t->size[t->n_sizes++];

	frame->length = size - TRAFFIC_FCS;
	frame->ipv6 = t->longer > 0;
	fill_template(frame, 0);
	fill_template(frame, 1);
}

void traffic_init(struct traffic *t, unsigned size, bool ipv6)
{
	static const uint8_t imix[TRAFFIC_MIX] = {0, 1, 0, 0, 1, 0, 2, 0, 1, 0, 1, 0};

	memset(t, 0, sizeof(*t));
	memcpy(t->mix, imix, sizeof(imix));
	t->longer = ipv6 ? TRAFFIC_LONGER6 : 0;
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

/* Of an IP header what is before the addresses' last four bytes. */
static bool ip_intact(const struct traffic_frame *f, const uint8_t *frame, const uint8_t *sent)
{
	if (!f->ipv6)
		return memcmp(frame + 12, sent + 12, 14) == 0;
	return memcmp(frame + 12, sent + 12, 22) == 0 && memcmp(frame + 38, sent + 38, 12) == 0 &&
	       udp6_sum(frame, f->length) == 0xffff;
}

bool traffic_intact(const struct traffic *t, const uint8_t *frame, uint32_t len, unsigned from)
{
	const struct traffic_frame *f = t->size;
	unsigned udp = UDP_AT + t->longer, checked = t->longer ? 6 : 8, pattern = udp + PATTERN_AT;
	const uint8_t *sent;

	while (f < t->size + t->n_sizes - 1 && f->length != len)
		f++;
	sent = f->whole[from];
	return f->length == len && ip_intact(f, frame, sent) &&
	       memcmp(frame + udp, sent + udp, checked) == 0 &&
	       memcmp(frame + udp + MARK_AT, sent + udp + MARK_AT, 4) == 0 &&
	       memcmp(frame + pattern, sent + pattern, f->length - pattern) == 0;
}
