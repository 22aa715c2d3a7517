/*
 * service_rig.h: a client, two backends and services on a vip. Client a (10.0.0.5) and backends b (10.0.0.11)
 * and c (10.0.0.12) are guests of one network; the vip is 10.0.0.100. A second network has the same addresses,
 * and no service.
 */
#pragma once

#include <endian.h>

#include "dataplane/lb/conn.h"
#include "dataplane/lb/lb.h"
#include "dataplane/lb/service.h"
#include "tests/pipeline/harness.h"
#include "tests/pipeline/packets.h"

enum { TCP = 6, UDP = 17, FIN = 1, SYN = 2, RST = 4, ACK = 16, NEEDS_CSUM = 1 };

#define IP_A htobe32(UINT32_C(0x0a000005))
#define IP_B htobe32(UINT32_C(0x0a00000b))
#define IP_C htobe32(UINT32_C(0x0a00000c))
#define IP_VIP htobe32(UINT32_C(0x0a000064))

/* The same hosts by IPv6, fd00::5 and so on. */
#define RIG_IP6(n) ((struct ip_addr){.b = {0xfd, [15] = (n)}})
#define IP6_A RIG_IP6(5)
#define IP6_B RIG_IP6(0x0b)
#define IP6_C RIG_IP6(0x0c)
#define IP6_VIP RIG_IP6(0x64)

static const struct offload RIG_PLAIN;

extern struct service_rig {
	struct dp *dp;
	uint16_t net, other_net;
	struct test_port a, b, c, other_a, other_b, other_c;
	uint32_t tcp_service,
		udp_service; /* the vip's ports 80 and 53, towards ports 8080 and 5353 of b and c */
} rig;

/* cmocka fixtures: the dataplane with its guests; both services, with no connections left at the end */
int rig_group_setup(void **state);
int rig_group_teardown(void **state);
/** With `n` workers, of which the first one has all the packets. */
int rig_group_setup_workers(unsigned n);
int rig_setup(void **state);
int rig_teardown(void **state);
#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

/** So much time goes by that no fragment waits for its first one any more. */
void rig_give_up_waiting(void);

/** dp_service_put() on the vip; says why it was refused. */
int rig_put(uint16_t in, uint16_t port, enum dp_protocol protocol, const struct dp_backend *backends,
	size_t n, uint32_t *id);
/** Gives the TCP service these weights; a negative one is a dead backend's. */
void rig_weigh(int weight_b, int weight_c);

/** Write a packet from a to its vip, and an answer of b or c; return its length. */
size_t rig_to_vip(uint8_t *buf, uint8_t proto, uint16_t client_port, uint8_t tcp_flags, size_t payload);
size_t rig_from_backend(
	uint8_t *buf, uint8_t proto, bool is_b, uint16_t client_port, uint8_t tcp_flags, size_t payload);
/** The same, sent. */
void rig_client_says(uint8_t proto, uint16_t client_port, uint8_t tcp_flags);
void rig_backend_says(uint8_t proto, bool is_b, uint16_t client_port, uint8_t tcp_flags);

/** The backend that the last packet reached, by its port; NULL when it was dropped. Forgets the packet. */
struct test_port *rig_reached(void);
/** Sends a TCP packet to the vip; which backend did it reach? */
struct test_port *rig_client_reaches(uint16_t client_port, uint8_t tcp_flags);
/** Opens a connection from client_port all the way. */
struct test_port *rig_open_connection(uint16_t client_port);

/** Two bytes of a frame, most significant first. */
uint16_t rig_field16(const struct received *r, size_t at);
void rig_assert_ip(const struct received *r, size_t at, uint32_t ip);
