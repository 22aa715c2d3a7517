/*
 * egress_rig.h: two guests, a (10.0.0.1) and b (10.0.0.2), in a network whose way out is an uplink, 192.0.2.1, with a next
 * hop at 192.0.2.254. Outside is 203.0.113.9.
 */
#pragma once

#include "dataplane/egress/slice.h"
#include "tests/pipeline/harness.h"
#include "tests/pipeline/packets.h"

enum { SYN = 2, ACK = 16, RST = 4, FIN = 1, TCP = 6, UDP = 17, ICMP = 1 };
enum { CONNS = 1024 }; /* room for connections, of all guests */

static const struct offload EGRESS_PLAIN;
extern const mac_t EGRESS_UP, EGRESS_HOP; /* of the uplink and of its next hop */

extern struct egress_rig {
	struct dp *dp;
	struct test_port a, b, uplink;
	uint16_t net;
} rig;

/* cmocka fixtures: the dataplane; the network with its guests and the uplink, with nothing left at the end */
int egress_open_all(void **state);
int egress_close_all(void **state);
int egress_setup(void **state);
int egress_teardown(void **state);
#define EGRESS_TEST(name) cmocka_unit_test_setup_teardown(name, egress_setup, egress_teardown)

/** Two bytes of a frame, most significant first. */
uint16_t egress_field(const struct received *r, unsigned at);
/** A packet of the guest behind `tp` to 203.0.113.9:80. */
void egress_leave(struct test_port *tp, const uint8_t *mac, const char *from, uint8_t proto, uint16_t port,
	uint8_t flags);
/** One from there to that port of the uplink's. */
void egress_answer(uint8_t proto, uint16_t port, uint8_t flags);
/** An error that quotes n bytes of what went out, from a router outside. Returns its length. */
size_t egress_error(uint8_t *buf, const uint8_t *quote, size_t n);
