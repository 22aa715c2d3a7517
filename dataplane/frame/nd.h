/*
 * nd.h: neighbour discovery of IPv6 (RFC 4861), as far as the switch speaks it: it asks who has an address, reads the
 * answers, and answers for its own addresses. What it reads lies in an untagged frame without extension headers, for so
 * do all hosts send it; others are not answered.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "addr/ip.h"
#include "dataplane/frame/burst.h"

enum {
	ND_SOLICIT = 135,
	ND_ADVERT = 136,
	ND_LEN = 24, /* of both, before their options: type, code, checksum, flags, target */
	ND_TARGET = 8,
	ND_FRAME_LEN = 86, /* of those that the switch sends: Ethernet, IPv6, message, one option */
};

/** Worker. May the frame be an ICMPv6 message, untagged and without extension headers? Needs no parsing. */
static inline bool nd_maybe(const struct frame *f)
{
	enum { TYPE = 12, NEXT_HEADER = 20, IP6 = 0xdd86, ICMP6 = 58 };
	const uint8_t *data = f->hdr + f->hdr_off;
	uint16_t type;

	memcpy(&type, data + TYPE, sizeof(type));
	return type == IP6 && f->hdr_len > NEXT_HEADER && data[NEXT_HEADER] == ICMP6;
}

/**
 * Worker. The ICMPv6 header of a solicitation or advertisement (`type`) that a receiver takes (RFC 4861, 7.1), but for
 * its checksum; NULL when it is none. May move the header (frame_data() anew).
 */
const uint8_t *nd_message(struct frame *f, uint8_t type);

/** Worker. The sender of what nd_message() found. None: it has no address yet, and asks whether one is free. */
struct ip_addr nd_source(const struct frame *f);

/**
 * Worker. Turns a solicitation into the answer that `mac` has the address asked for, to whoever asked; verdict V_REPLY.
 * `router`: who has it forwards.
 */
void nd_answer(struct frame *f, const uint8_t mac[6], bool router);

/**
 * Any thread. Writes the question who has `target` into buf[ND_FRAME_LEN], from `mac` and `source`; NULL: its link-local
 * address, for one from nowhere would tell a guest that is just taking the address that it is taken.
 */
void nd_write_solicit(
	uint8_t *buf, const uint8_t mac[6], const struct ip_addr *source, struct ip_addr target);

/** Any thread. Who says in the frame data[len], a whole advertisement, that it has which address? False: it is none. */
bool nd_read_advert(const uint8_t *data, uint16_t len, struct ip_addr *target, uint8_t mac[6]);
