/*
 * guard_write.h: what the rows of guard_packets.h are made with. Every writer returns the frame's length.
 */
#pragma once

#include "tests/pipeline/l2/policy/guard_packets.h"

#define GUARD_LINK_A "fe80::ff:fe00:a"
#define GUARD_LINK_B "fe80::ff:fe00:b"
#define GUARD_OTHER_LINK "fe80::1234"
#define GUARD_NODES "ff02::1"

size_t guard_write_udp(
	uint8_t *buf, const uint8_t *src, const char *from, uint16_t from_port, uint16_t to_port);
size_t guard_write_arp(uint8_t *buf, const uint8_t *src, const uint8_t *sender, uint16_t op, const char *from,
	const char *to);
size_t guard_write_rarp(uint8_t *buf, const uint8_t *sender, const uint8_t *target, uint16_t op);
size_t guard_write_ip6(uint8_t *buf, const uint8_t *src, const char *from, const char *to, uint8_t next,
	const void *payload, size_t len);
/** Neighbour discovery with one option of a link-layer address, none when `mac` is NULL. */
size_t guard_write_nd(
	uint8_t *buf, const char *from, uint8_t type, const char *target, uint8_t option, const uint8_t *mac);

/* Each part of the rows, in its file. */
extern const struct guard_row guard_honest[], guard_lies[], guard_servers[];
extern const unsigned guard_honest_count, guard_lies_count, guard_servers_count;

size_t guard_packets_with_options(uint8_t *buf);
size_t guard_packets_own_solicit(uint8_t *buf);
