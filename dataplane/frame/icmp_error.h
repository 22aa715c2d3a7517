/*
 * icmp_error.h: an ICMP error about a TCP, UDP or SCTP packet or a ping over IPv4, and the packet that it quotes (RFC 792,
 * 1812 4.3.2). Reads and writes the private copy only. The sender of the error may have invented the
 * quotation: it says which connection to look for, and nothing else. Worker.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/frame/burst.h"
#include "dataplane/frame/nat.h"

/* What is quoted. Addresses and ports in network byte order, offsets from the frame's first byte. */
struct icmp_error {
	uint32_t src, dst;
	uint16_t src_port, dst_port; /* of a ping: its id, and 0 */
	uint8_t proto;
	uint8_t ip_off, l4_off;
	bool has_csum; /* the quotation reaches to the TCP or UDP checksum */
};

/**
 * Is the frame, which is IPv4 with l3_off set and of protocol ICMP, such an error: destination unreachable
 * ("fragmentation needed" is one), time exceeded, parameter problem? False also when the quotation is cut off before
 * the ports, or is of a later fragment. Makes more of the frame private; its offsets stay right.
 */
bool icmp_error_read(struct frame *f, struct icmp_error *e);

/**
 * Undoes in the quotation what nat_rewrite() (of a ping: nat_rewrite_echo()) did to the packet that the error is about, and does the same to
 * the error itself: `end` of the error gets `mac` and `ip`, and the other end of the quoted packet `ip` and
 * `port`. All checksums are updated from the difference (RFC 1624, equation 3), as RFC 5508, section 4
 * demands.
 */
void icmp_error_rewrite(struct frame *f, const struct icmp_error *e, enum nat_end end, const uint8_t mac[6],
	uint32_t ip, uint16_t port);
