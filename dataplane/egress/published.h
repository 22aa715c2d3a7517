/* published.h: ports of uplinks' addresses that lead to a guest or a vip. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "addr/ip.h"

struct dp;
struct published;

struct published_to {
	struct ip_addr to;
	uint16_t to_port; /* network byte order, as the ports below */
	uint16_t net;
	bool vip;
};

/** Worker. Where `port` of `address` leads; NULL: nowhere. */
const struct published_to *published_find(
	struct dp *dp, struct ip_addr address, uint16_t port, uint8_t proto);

/** Worker. Is the port one that no connection from inside may have: published, or a tunnel's? */
bool published_has(struct dp *dp, struct ip_addr address, uint16_t port, uint8_t proto);
