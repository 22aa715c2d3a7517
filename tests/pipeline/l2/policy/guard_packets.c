#include "tests/pipeline/l2/policy/guard_packets.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>

#include "tests/pipeline/l2/policy/guard_write.h"

const mac_t GUARD_MAC_VIRTUAL = {0, 0, 0x5e, 0, 1, 1}, GUARD_MAC_NESTED = {2, 0, 0, 0, 1, 1};
static const mac_t MAC_ALL6 = {0x33, 0x33, 0, 0, 0, 1};

size_t guard_write_udp(
	uint8_t *buf, const uint8_t *src, const char *from, uint16_t from_port, uint16_t to_port)
{
	struct packet p = {.dst = MAC_B,
		.src = src,
		.from = ip4(from),
		.to = ip4("255.255.255.255"),
		.proto = 17,
		.from_port = from_port,
		.to_port = to_port,
		.payload = 120};

	return packet_ip4(buf, &p);
}

size_t guard_write_arp(uint8_t *buf, const uint8_t *src, const uint8_t *sender, uint16_t op, const char *from,
	const char *to)
{
	size_t len = packet_arp(buf, MAC_BROADCAST, src, op, ip4(from), ip4(to));

	memcpy(buf + 22, sender, 6);
	return len;
}

size_t guard_write_rarp(uint8_t *buf, const uint8_t *sender, const uint8_t *target, uint16_t op)
{
	size_t len = guard_write_arp(buf, MAC_A, sender, op, "0.0.0.0", "0.0.0.0");

	buf[12] = 0x80;
	buf[13] = 0x35;
	memcpy(buf + 32, target, 6);
	return len;
}

size_t guard_write_ip6(uint8_t *buf, const uint8_t *src, const char *from, const char *to, uint8_t next,
	const void *payload, size_t len)
{
	memcpy(buf, MAC_ALL6, 6);
	memcpy(buf + 6, src, 6);
	buf[12] = 0x86;
	buf[13] = 0xdd;
	memset(buf + 14, 0, 40);
	buf[14] = 0x60;
	buf[18] = (uint8_t)(len >> 8);
	buf[19] = (uint8_t)len;
	buf[20] = next;
	buf[21] = 255;
	inet_pton(AF_INET6, from, buf + 22);
	inet_pton(AF_INET6, to, buf + 38);
	memcpy(buf + 54, payload, len);
	return 54 + len;
}

size_t guard_write_nd(
	uint8_t *buf, const char *from, uint8_t type, const char *target, uint8_t option, const uint8_t *mac)
{
	uint8_t message[32] = {type};
	size_t len = type == 133 ? 8 : 24;

	if (type != 133)
		inet_pton(AF_INET6, target, message + 8);
	if (mac) {
		message[len] = option;
		message[len + 1] = 1;
		memcpy(message + len + 2, mac, 6);
		len += 8;
	}
	return guard_write_ip6(buf, MAC_A, from, GUARD_NODES, 58, message, len);
}

const struct guard_row *guard_packets_row(unsigned i)
{
	if (i < guard_honest_count)
		return &guard_honest[i];
	i -= guard_honest_count;
	if (i < guard_lies_count)
		return &guard_lies[i];
	i -= guard_lies_count;
	return i < guard_servers_count ? &guard_servers[i] : NULL;
}

unsigned guard_packets_rows(void)
{
	return guard_honest_count + guard_lies_count + guard_servers_count;
}
