/* packets.h: frames for tests. Every writer returns the bytes written; buffers have room for 2048. */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef uint8_t mac_t[6];

extern const mac_t MAC_A, MAC_B, MAC_C, MAC_BROADCAST;

/** "10.0.0.1" in network byte order. */
uint32_t ip4(const char *text);

/** Ethernet header and `payload` bytes 0, 1, 2, ... of an ethertype that nobody knows. */
size_t packet_eth(uint8_t *buf, const mac_t dst, const mac_t src, size_t payload);

/** ARP; op 1 asks for target_ip, op 2 answers. */
size_t packet_arp(
	uint8_t *buf, const mac_t dst, const mac_t src, uint16_t op, uint32_t sender_ip, uint32_t target_ip);

struct packet {
	const uint8_t *dst, *src; /* MACs */
	uint32_t from, to;	  /* IPs */
	uint8_t proto;		  /* 6, 17, 1 (ICMP echo request, ports as id and sequence) */
	uint16_t from_port, to_port;
	uint8_t tcp_flags;
	size_t payload;
};

/** IPv4 with right checksums. */
size_t packet_ip4(uint8_t *buf, const struct packet *p);

/** IPv6 with a right checksum; `exts` bytes of extension headers, the first of type `first` (0 bytes: none), come before
 * the rest. from and to: 16 bytes each; those of `p` are not looked at. proto 58: an ICMPv6 echo request. */
size_t packet6_write(uint8_t *buf, const struct packet *p, const uint8_t *from, const uint8_t *to,
	uint8_t first, const uint8_t *exts, size_t len);

/** Is the TCP, UDP or ICMPv6 checksum of an IPv6 frame right, whose L4 header begins at `l4`? */
int packet6_checksum_right(const uint8_t *buf, size_t len, size_t l4);
/** Makes it so. */
void packet6_checksum(uint8_t *buf, size_t len, size_t l4, uint8_t proto);

/** Are the IPv4 header's and the TCP, UDP or ICMP checksum of a frame right? UDP without a checksum is. */
int packet_checksums_right(const uint8_t *buf, size_t len);
