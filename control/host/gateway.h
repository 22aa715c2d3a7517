/*
 * gateway.h: the host's side of a network's gateway port. A TAP holds the gateway's addresses, with the router
 * MAC, in the host's own namespace (mode host) or in a private namespace of that network: its kernel answers
 * ARP and ping, and sockets are opened there for traffic that starts inside the network. Control thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/host/addr.h"

#define GATEWAY_HOST UINT64_C(1)

struct gateway {
	int netns; /* the private namespace; -1: the host's */
	uint64_t
		netns_id; /* where its sockets are: GATEWAY_HOST, or a number that no other gateway ever had */
	char ifname[16];
};

struct gateway_spec {
	const char *network; /* its name, for the interface's */
	bool host;	     /* in the host's namespace */
	struct ip_prefix address,
		address6; /* the gateway's own, with the subnet's prefix length; none: none */
	const uint8_t *mac;
	uint16_t mtu;
};

/**
 * Makes the interface and sets it up. *fd gets its TAP descriptor, the caller's from then on: the interface
 * is gone when that is closed. Returns 0 or -errno, with nothing left behind.
 */
int gateway_open(struct gateway *gw, const struct gateway_spec *spec, int *fd);

/** Lets go of the private namespace. */
void gateway_close(struct gateway *gw);

int gateway_set_mtu(const struct gateway *gw, uint16_t mtu);

/**
 * The interface of network `network` in the host's namespace: sl- and the name, which above 12 bytes is cut
 * to seven, a dash and four digits of its hash (with `attempt`, when a name is taken).
 */
void gateway_ifname(const char *network, unsigned attempt, char ifname[16]);
