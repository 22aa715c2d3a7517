/*
 * forwarding.h: what the host's kernel forwards from and to a network of mode `host`, by nftables. Each network has one
 * table, called like its gateway's interface, which no two networks of a host share; it is replaced as a whole.
 * Control thread.
 */
#pragma once

#include <stddef.h>

#include "control/host/addr.h"
#include "control/host/ruleset.h"

enum egress {
	EGRESS_HOST, /* as the host has it */
	EGRESS_NONE, /* nothing is forwarded, in or out */
	EGRESS_MASQUERADE, /* out under the host's address, answers back in; nothing else in, nor to other networks */
	EGRESS_COUNT,
};

/* A port of the host's that leads into the network, whatever its egress. */
struct forwarding_port {
	const char *protocol; /* "tcp", "udp", "sctp" */
	uint32_t address;     /* the host's, network byte order; 0: any of its own */
	uint16_t port;
	uint32_t to; /* network byte order */
	uint16_t to_port;
};

struct forwarding {
	const char *ifname;		  /* of the gateway */
	struct ip_prefix subnet, subnet6; /* the network's; their address is none where it has none */
	enum egress egress;
	const struct forwarding_port *ports;
	size_t nport;
};

enum { FORWARDING_WHY = RULESET_WHY };

/**
 * Puts these rules in the place of those that the network had; without ports and with EGRESS_HOST it has none. Ports and
 * EGRESS_MASQUERADE have the host forward packets of IPv4, while forwarding of IPv6, which changes what a host believes of
 * routers, is left to its owner; *began gets whether it did not before. Returns 0, or -1 with nothing
 * changed and the reason in `why`.
 */
int forwarding_set(const struct forwarding *forwarding, bool *began, char why[FORWARDING_WHY]);

/** Has the host forward packets of IPv4; *began as above. -1, and why. */
int forwarding_begin(bool *began, char why[FORWARDING_WHY]);

/** Takes the rules of the network behind this interface away. */
void forwarding_clear(const char *ifname);

/** Takes away the tables of interfaces that are gone: a daemon that was killed has left them. */
void forwarding_sweep(void);
