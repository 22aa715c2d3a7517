/*
 * icmp_answer.h: the ICMP errors that the switch sends, each made of the packet that it is about: IPv4 (RFC 792, 1812
 * 4.3.2) and IPv6 (RFC 4443). They work on the private copy and leave the payload where it lies. Worker.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/frame/burst.h"

/* What the error says, in the family of the packet. */
struct icmp_answer {
	uint8_t type, code;
	uint32_t info;	    /* the message's second word, host byte order: an MTU, or 0 */
	uint8_t mac[6];	    /* where the error comes from */
	uint8_t source[16]; /* the same by address; IPv4: the first four */
	uint32_t longest;   /* bytes of IP that the way back carries */
};

/**
 * May an error be sent about this packet? Not when there is no one sender to tell, when it was for more than one host,
 * when it is an ICMP error itself or not a datagram's first fragment, as far as the private bytes tell (RFC 1122,
 * 3.2.2; RFC 4443, 2.4 e). f is parsed and l3_off is set.
 */
bool icmp_answer_may(struct frame *f);

/**
 * Turns the packet into the error, for whoever sent it. It quotes as much of the packet as fits into `longest`, and
 * into what such an error may have: 576 bytes of IPv4, 1280 of IPv6.
 */
void icmp_answer(struct frame *f, const struct icmp_answer *answer);
