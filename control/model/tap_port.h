/*
 * tap_port.h: the host's side of a TAP port: the interface in its container's namespace and its set-up there.
 * Control thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/api/api.h"
#include "control/host/addr.h"
#include "control/host/tap.h"

/* How the interface is to be. */
struct tap_port {
	bool contained; /* in a namespace that `netns` names, not the host's own */
	const char *ifname;
	const uint8_t *mac; /* [6]; NULL: the kernel's choice */
	uint16_t mtu;
	bool configure; /* addresses, up and default route, too */
	const struct ip_addr *ips;
	unsigned nips;
	uint8_t prefix, prefix6;	  /* bits of the subnets: of IPv4 out of 32 */
	struct ip_addr gateway, gateway6; /* of IPv4 and IPv6; none: none */
	unsigned queues;
};

/**
 * Makes the interface in `netns` (-1: the host's) and sets it up; `fds` gets a descriptor a queue. `scratch_netns` is
 * the namespace in which it is made. Returns 0, or -1 with `err` naming the field, and nothing left behind.
 */
int tap_port_open(const struct tap_port *tap, int netns, int scratch_netns, int fds[TAP_QUEUES_MAX],
	struct api_err *err);

/** Brings the interface from `old` to `now`: MAC, MTU, addresses. What is the same in both is not touched. As above. */
int tap_port_change(const struct tap_port *old, const struct tap_port *now, int netns, struct api_err *err);
