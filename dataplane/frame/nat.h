/*
 * nat.h: rewrites one end of a packet: MAC, address and port, with the checksums. Worker.
 */
#pragma once

#include <stdint.h>

#include "addr/ip.h"
#include "dataplane/frame/burst.h"

enum nat_end {
	NAT_SOURCE,
	NAT_DESTINATION,
};

/**
 * Gives one end of the IPv4 packet the address `ip` and `port` (network byte order) and the frame `mac` at the
 * same end, and brings the IP and TCP or UDP checksums up to date from the difference (RFC 1624, equation 3),
 * so that a packet that was corrupted stays so. Where the frame asks for its checksum (NEEDS_CSUM) the field
 * holds the sum of the pseudo header, which has the address but not the port. A UDP checksum of 0, "none",
 * stays; one that comes out as 0 is sent as 0xffff (RFC 768). f->l3_off and l4_off are set and 20 bytes from
 * l4_off (UDP: 8, SCTP: 12) are private; ip_proto is TCP, UDP or SCTP. A frame is rewritten once at most.
 */
void nat_rewrite(struct frame *f, enum nat_end end, const uint8_t mac[6], uint32_t ip, uint16_t port);

/**
 * The same for IPv6. l4_off is that of TCP or UDP behind any extension headers that change nothing of the pseudo header.
 * What the address was is kept in the room before the frame's header, until an outer header is written there.
 */
void nat_rewrite6(
	struct frame *f, enum nat_end end, const uint8_t mac[6], const struct ip_addr *ip, uint16_t port);

/** The same for what has no ports, a later fragment: MAC, address and the IP checksum. nat_undo() does not know of it. */
void nat_rewrite_address(struct frame *f, enum nat_end end, const uint8_t mac[6], uint32_t ip);
void nat_rewrite_address6(struct frame *f, enum nat_end end, const uint8_t mac[6], const struct ip_addr *ip);

/** The same for a ping, whose id stands in for the port: at l4_off is an ICMP echo request or reply. nat_undo() does not know of
 * it. */
void nat_rewrite_echo(struct frame *f, enum nat_end end, const uint8_t mac[6], uint32_t ip, uint16_t id);
/** The same of ICMPv6, whose checksum covers the addresses. */
void nat_rewrite_echo6(
	struct frame *f, enum nat_end end, const uint8_t mac[6], const struct ip_addr *ip, uint16_t id);

/** Makes the frame what its sender sent, where it was rewritten. */
void nat_undo(struct frame *f);
