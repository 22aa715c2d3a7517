/* icmp.h: ICMP between guests and the world outside: errors about packets that were translated, and those that the
 * switch sends itself as a router. Worker. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/core/worker.h"
#include "dataplane/frame/burst.h"
#include "dataplane/frame/csum.h"
#include "dataplane/frame/offload.h"
#include "dataplane/frame/parse.h"

/* Offsets in and parts of the headers of IP and TCP. */
enum {
	TCP_LEN = 20,
	TCP_FLAGS = 13,
	IP4_TTL = 8,
	IP4_CSUM = 10,
	IP4_SOURCE = 12,
	IP4_DF = 0x4000,
	IP6_HOPS = 7,
	IP6_SOURCE = 8,
	IP6_LEN = 40,
};

/* The packet at l3_off, of the family that f->ethertype says. */

static inline bool icmp_is6(const struct frame *f)
{
	return f->ethertype == ETHERTYPE_IP6;
}

/** Its source address, or of `end` 1 its destination. */
static inline struct ip_addr icmp_address(struct frame *f, unsigned end)
{
	const uint8_t *ip = frame_data(f) + f->l3_off;

	return icmp_is6(f) ? ip_from6(ip + IP6_SOURCE + (size_t)16 * end)
			   : ip_from4(load_ip4(ip + IP4_SOURCE + (size_t)4 * end));
}

/** Where it ends, from the frame's first byte. */
static inline uint32_t icmp_packet_end(struct frame *f)
{
	const uint8_t *ip = frame_data(f) + f->l3_off;

	return f->l3_off + (icmp_is6(f) ? IP6_LEN + (uint32_t)load16(ip + 4) : load16(ip + 2));
}

/** How many more routers may pass it on, this one included. */
static inline uint8_t icmp_hops(struct frame *f)
{
	return frame_data(f)[f->l3_off + (icmp_is6(f) ? IP6_HOPS : IP4_TTL)];
}

/** What a router does to the header of each packet (RFC 1812, 5.3.1). */
static inline void icmp_hop_less(struct frame *f)
{
	uint8_t *ip = frame_data(f) + f->l3_off;
	uint16_t old = csum_load(ip + IP4_TTL);

	if (icmp_is6(f)) {
		ip[IP6_HOPS]--;
		return;
	}
	ip[IP4_TTL]--;
	csum_update(ip + IP4_CSUM, csum_change16(old, csum_load(ip + IP4_TTL)));
}

/** Is it too long for `mtu`, and not to be sent in fragments? */
static inline bool icmp_is_too_long(struct frame *f, uint16_t mtu)
{
	return offload_wire_len(f) > mtu + (uint32_t)ETH_LEN &&
	       (icmp_is6(f) || (load16(frame_data(f) + f->l3_off + 6) & IP4_DF));
}

enum { ICMP_ECHO_REPLY = 0, ICMP_ECHO = 8, ICMP6_ERRORS = 128, ICMP6_ECHO = 128, ICMP6_ECHO_REPLY = 129 };

/* Why a packet is not passed on. */
enum egress_problem {
	PROBLEM_NO_ROUTE,
	PROBLEM_HOPS,
	PROBLEM_TOO_LONG,
	PROBLEMS,
};

/* What the switch answers a packet that it does not pass on, and from where. */
struct egress_answer {
	enum egress_problem problem;
	uint32_t info; /* the MTU, of PROBLEM_TOO_LONG */
	struct ip_addr source;
	const uint8_t *mac;
	uint8_t reason; /* enum drop_reason */
};

/** Drops the packet, and answers its sender where that may be done. */
void icmp_refuse(struct burst *b, struct frame *f, const struct egress_answer *answer);

/**
 * An error that a guest sends, about a packet that came to it from outside: it becomes one from the uplink's address.
 * Returns that address; none: about no connection that there is.
 */
struct ip_addr icmp_from_guest(struct worker *w, struct frame *f);

/** An error from outside about a packet of a guest's: it goes to the guest, whose network is *net. False: about none. */
bool icmp_from_outside(struct worker *w, struct frame *f, uint16_t *net);
