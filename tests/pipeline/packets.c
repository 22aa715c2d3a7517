#include "tests/pipeline/packets.h"

#include <arpa/inet.h>
#include <string.h>

const mac_t MAC_A = {2, 0, 0, 0, 0, 0xa}, MAC_B = {2, 0, 0, 0, 0, 0xb}, MAC_C = {2, 0, 0, 0, 0, 0xc},
	    MAC_BROADCAST = {255, 255, 255, 255, 255, 255};

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

uint32_t ip4(const char *text)
{
	return inet_addr(text);
}

static size_t put_eth(uint8_t *buf, const mac_t dst, const mac_t src, unsigned type)
{
	memcpy(buf, dst, 6);
	memcpy(buf + 6, src, 6);
	put16(buf + 12, type);
	return 14;
}

static void put_pattern(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)i;
}

size_t packet_eth(uint8_t *buf, const mac_t dst, const mac_t src, size_t payload)
{
	size_t at = put_eth(buf, dst, src, 0x88b5);

	put_pattern(buf + at, payload);
	return at + payload;
}

size_t packet_arp(
	uint8_t *buf, const mac_t dst, const mac_t src, uint16_t op, uint32_t sender_ip, uint32_t target_ip)
{
	static const uint8_t start[6] = {0, 1, 8, 0, 6, 4};
	uint8_t *arp = buf + put_eth(buf, dst, src, 0x0806);

	memset(arp, 0, 28);
	memcpy(arp, start, 6);
	put16(arp + 6, op);
	memcpy(arp + 8, src, 6);
	memcpy(arp + 14, &sender_ip, 4);
	memcpy(arp + 24, &target_ip, 4);
	return 42;
}

static unsigned sum_bytes(unsigned sum, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i + 1 < n; i += 2)
		sum += get16(p + i);
	if (n & 1)
		sum += (unsigned)p[n - 1] << 8;
	return sum;
}

static unsigned fold(unsigned sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* One's complement sum of an L4 packet, its own checksum field included, with the pseudo header unless ICMP.
 */
static unsigned l4_sum(const uint8_t *ip, size_t l4_len)
{
	unsigned sum = 0;

	if (ip[9] != 1)
		sum = sum_bytes(ip[9] + (unsigned)l4_len, ip + 12, 8);
	return fold(sum_bytes(sum, ip + 20, l4_len));
}

static size_t put_l4(uint8_t *l4, const struct packet *p)
{
	size_t len = p->proto == 6 ? 20 : 8;

	memset(l4, 0, len);
	put_pattern(l4 + len, p->payload);
	if (p->proto == 1) {
		l4[0] = 8;
		put16(l4 + 4, p->from_port);
		put16(l4 + 6, p->to_port);
		return len + p->payload;
	}
	put16(l4, p->from_port);
	put16(l4 + 2, p->to_port);
	if (p->proto == 6) {
		l4[12] = 5 << 4;
		l4[13] = p->tcp_flags;
	} else {
		put16(l4 + 4, (unsigned)(len + p->payload));
	}
	return len + p->payload;
}

static size_t csum_at(uint8_t proto)
{
	return proto == 6 ? 16 : proto == 17 ? 6 : 2;
}

static unsigned l4_sum6(const uint8_t *buf, size_t len, size_t l4, uint8_t proto)
{
	unsigned sum = sum_bytes(proto + (unsigned)(len - l4), buf + 22, 32);

	return fold(sum_bytes(sum, buf + l4, len - l4));
}

void packet6_checksum(uint8_t *buf, size_t len, size_t l4, uint8_t proto)
{
	put16(buf + l4 + csum_at(proto), 0);
	put16(buf + l4 + csum_at(proto), ~l4_sum6(buf, len, l4, proto) & 0xffff);
}

size_t packet6_write(uint8_t *buf, const struct packet *p, const uint8_t *from, const uint8_t *to,
	uint8_t first, const uint8_t *exts, size_t len)
{
	uint8_t *ip = buf + put_eth(buf, p->dst, p->src, 0x86dd), *l4 = ip + 40 + len;
	struct packet as = *p;
	size_t l4_len;

	as.proto = p->proto == 58 ? 1 : p->proto;
	l4_len = put_l4(l4, &as);
	memset(ip, 0, 40);
	ip[0] = 0x60;
	put16(ip + 4, (unsigned)(len + l4_len));
	ip[6] = len ? first : p->proto;
	ip[7] = 64;
	memcpy(ip + 8, from, 16);
	memcpy(ip + 24, to, 16);
	if (len)
		memcpy(ip + 40, exts, len);
	if (p->proto == 58)
		l4[0] = 128;
	packet6_checksum(buf, 54 + len + l4_len, 54 + len, p->proto);
	return 54 + len + l4_len;
}

int packet6_checksum_right(const uint8_t *buf, size_t len, size_t l4)
{
	uint8_t proto = l4 == 54 ? buf[20] : buf[l4 - 8]; /* the last extension header has eight bytes */

	return 14 + 40 + get16(buf + 18) == len && l4_sum6(buf, len, l4, proto) == 0xffff;
}

size_t packet_ip4(uint8_t *buf, const struct packet *p)
{
	uint8_t *ip = buf + put_eth(buf, p->dst, p->src, 0x0800), *l4 = ip + 20;
	size_t l4_len = put_l4(l4, p);

	memset(ip, 0, 20);
	ip[0] = 0x45;
	put16(ip + 2, (unsigned)(20 + l4_len));
	ip[8] = 64;
	ip[9] = p->proto;
	memcpy(ip + 12, &p->from, 4);
	memcpy(ip + 16, &p->to, 4);
	put16(ip + 10, ~fold(sum_bytes(0, ip, 20)) & 0xffff);
	put16(l4 + csum_at(p->proto), ~l4_sum(ip, l4_len) & 0xffff);
	return 34 + l4_len;
}

int packet_checksums_right(const uint8_t *buf, size_t len)
{
	const uint8_t *ip = buf + 14;
	size_t l4_len = get16(ip + 2) - 20;

	if (34 + l4_len > len || fold(sum_bytes(0, ip, 20)) != 0xffff)
		return 0;
	if (ip[9] == 17 && get16(ip + 26) == 0)
		return 1;
	return l4_sum(ip, l4_len) == 0xffff;
}
