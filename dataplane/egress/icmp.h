/* icmp.h: ICMP between guests and the world outside: errors about packets that were translated, and those that the
 * switch sends itself as a router. Worker. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/core/worker.h"
#include "dataplane/frame/burst.h"
#include "dataplane/frame/csum.h"

/* Offsets in and parts of the headers of IPv4 and TCP. */
enum { TCP_LEN = 20, TCP_FLAGS = 13, IP4_TTL = 8, IP4_CSUM = 10, IP4_DF = 0x4000 };

/** What a router does to the IPv4 header of each packet (RFC 1812, 5.3.1). */
static inline void icmp_hop_less(uint8_t *ip)
{
	uint16_t old = csum_load(ip + IP4_TTL);

	ip[IP4_TTL]--;
	csum_update(ip + IP4_CSUM, csum_change16(old, csum_load(ip + IP4_TTL)));
}

enum {
	ICMP_ECHO_REPLY = 0,
	ICMP_UNREACHABLE = 3,
	ICMP_ECHO = 8,
	ICMP_TIME_EXCEEDED = 11,
	ICMP_FRAGMENTATION_NEEDED = 4, /* code of ICMP_UNREACHABLE */
};

/* What the switch answers a packet that it does not pass on, and from where. */
struct egress_answer {
	uint8_t type, code;
	uint32_t info, source;
	const uint8_t *mac;
	uint8_t reason; /* enum drop_reason */
};

/** Drops the packet, and answers its sender where that may be done. */
void icmp_refuse(struct burst *b, struct frame *f, const struct egress_answer *answer);

/**
 * An error that a guest sends, about a packet that came to it from outside: it becomes one from the uplink's address.
 * Returns that address, network byte order; 0: about no connection that there is.
 */
uint32_t icmp_from_guest(struct worker *w, struct frame *f);

/** An error from outside about a packet of a guest's: it goes to the guest, whose network is *net. False: about none. */
bool icmp_from_outside(struct worker *w, struct frame *f, uint16_t *net);
