/*
 * guard_packets.h: each kind of honest packet of port a (MAC_A, GUARD_OWN and 10.0.0.15) and each kind of lie, and what
 * becomes of it by the port's security. Every writer returns the frame's length.
 */
#pragma once

#include "tests/pipeline/packets.h"

#define GUARD_OWN "10.0.0.5"
#define GUARD_OTHER "10.0.0.6"
#define GUARD_GATEWAY "10.0.0.1"

extern const mac_t GUARD_MAC_VIRTUAL, GUARD_MAC_NESTED; /* that a may send from besides its own */

/* What a port that is off, mac and full may send: NULL passes, else the reason. */
struct guard_row {
	const char *what;
	size_t (*make)(uint8_t *buf);
	const char *off, *mac, *full;
};

/** The i-th of them, NULL beyond the last. */
const struct guard_row *guard_packets_row(unsigned i);
unsigned guard_packets_rows(void);

size_t guard_packets_own_udp(uint8_t *buf);
size_t guard_packets_no_ip(uint8_t *buf);
size_t guard_packets_own_arp(uint8_t *buf);
size_t guard_packets_dhcp_discover(uint8_t *buf);
size_t guard_packets_link_local(uint8_t *buf);
size_t guard_packets_other_ip(uint8_t *buf);
size_t guard_packets_other_mac(uint8_t *buf);
size_t guard_packets_dhcp_answer(uint8_t *buf);
size_t guard_packets_late_option(uint8_t *buf);
size_t guard_packets_redirect(uint8_t *buf);
