/*
 * refuse.h: tells a client that nobody serves what it asks a vip for, so that it fails at once and does not wait: a
 * SYN is answered by a reset (RFC 9293, 3.10.7.1), a datagram by ICMP "port unreachable" (RFC 1122, 4.1.3.1; RFC 4443, 3.1). What
 * goes on is dropped in silence: the connection's backend may come back.
 */
#pragma once

#include "dataplane/lb/item.h"

struct port;

/**
 * Worker. Drops the packet, from port `in`, for `reason`. Where a service of its vip wants it, it becomes the answer that
 * says so, with verdict V_REFUSE; but not when the packet deserves none, or when the port has had its ICMP errors of
 * this second (port_may_answer()). TCP or UDP, with l4_off set and that header private.
 */
void service_refuse_item(struct port *in, const struct item *it, enum drop_reason reason);

/** Worker. The TCP packet, whose flags these are, becomes the reset that whoever sent it believes (RFC 9293, 3.10.7.1). As
 * above; the caller sets the verdict. */
void refuse_reset(struct frame *f, uint8_t flags);

struct tcp_numbers {
	uint32_t seq, acked; /* host byte order */
	uint8_t flags;
};

enum { REFUSE_TCP_MAX = 60 };

/**
 * Any thread. Writes a TCP segment without data, with its checksums, into ip[REFUSE_TCP_MAX], and returns its length. Both
 * addresses are of one family. `ports` are as `to` would write them: its own, the other's.
 */
uint16_t refuse_write_tcp(uint8_t *ip, struct ip_addr to, struct ip_addr from, const uint8_t ports[4],
	const struct tcp_numbers *n);
