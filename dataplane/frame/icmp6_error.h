/*
 * icmp6_error.h: what icmp_error.h is for IPv4: an ICMPv6 error about a TCP, UDP or SCTP packet or a ping, and the packet that it
 * quotes (RFC 4443). Reads and writes the private copy only. The sender of the error may have invented the quotation: it says
 * which connection to look for, and nothing else. Worker.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "addr/ip.h"
#include "dataplane/frame/burst.h"
#include "dataplane/frame/nat.h"

/* What is quoted. Ports in network byte order, offsets from the frame's first byte. */
struct icmp6_error {
	struct ip_addr src, dst;
	uint16_t src_port, dst_port; /* of a ping: its id, and 0 */
	uint8_t proto;
	uint8_t ip_off, l4_off;
	bool has_csum; /* the quotation reaches to the TCP or UDP checksum */
};

/**
 * Is the frame, which is IPv6 with l3_off set and ICMPv6 at l4_off, such an error: unreachable, packet too big, time
 * exceeded, parameter problem? False also when the quotation is cut off before the ports, or has extension headers (a
 * fragment is one such). Makes more of the frame private; its offsets stay right.
 */
bool icmp6_error_read(struct frame *f, struct icmp6_error *e);

/**
 * Undoes in the quotation what nat_rewrite6() did to the packet that the error is about, and does the same to the error
 * itself, as icmp_error_rewrite() does. All checksums are updated from the difference (RFC 1624, equation 3).
 */
void icmp6_error_rewrite(struct frame *f, const struct icmp6_error *e, enum nat_end end, const uint8_t mac[6],
	const struct ip_addr *ip, uint16_t port);
