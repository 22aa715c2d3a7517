/*
 * forwarding.h: what the host's kernel forwards from and to a network of mode `host`, by nftables. Each network has one
 * table, called like its gateway's interface, which no two networks of a host share; it is replaced as a whole.
 * Control thread.
 */
#pragma once

#include <net/if.h>
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
	const char *protocol;	/* "tcp", "udp", "sctp" */
	struct ip_addr address; /* the host's; 0.0.0.0 and "::": any of its own of that family */
	uint16_t port;
	struct ip_addr to; /* of the same family */
	uint16_t to_port;
};

struct forwarding {
	const char *ifname;		  /* of the gateway */
	struct ip_prefix subnet, subnet6; /* the network's; their address is none where it has none */
	enum egress egress;
	const struct forwarding_port *ports;
	size_t nport;
	const struct ip_addr
		*near; /* to these it goes under its own addresses, which they have a way back to */
	size_t nnear;
};

enum { FORWARDING_WHY = RULESET_WHY };

/* Families that the host forwards from now on. */
enum { FORWARDING_IP4 = 1, FORWARDING_IP6 = 2 };

/**
 * Puts these rules in the place of those that the network had; without ports and with EGRESS_HOST it has none.
 * EGRESS_MASQUERADE has the host forward packets of IPv4, ports have it forward those of their family. A host that
 * forwards IPv6 believes no router: interfaces that did before do so on. *began gets the families that it did not forward
 * before. Returns 0, or -1 with nothing changed and the reason in `why`.
 */
int forwarding_set(const struct forwarding *forwarding, unsigned *began, char why[FORWARDING_WHY]);

/** Has the host forward packets of IPv4; *began: it did not before. -1, and why. */
int forwarding_begin(bool *began, char why[FORWARDING_WHY]);

/* The interface whose rp_filter was changed, and what it was; "": none. It begins as {0}. */
struct forwarding_loose {
	char ifname[IF_NAMESIZE];
	char was;
};

/**
 * Has the interface with this address of the host's take packets whose answers go by another one (rp_filter 2), where it
 * refuses them; if that is another one than *loose says, that one is restored first. False: nothing was loosened.
 */
bool forwarding_loosen(struct ip_addr address, struct forwarding_loose *loose);

/** Puts back what it was, unless somebody else has changed it since. False: there was nothing to put back. */
bool forwarding_restore(struct forwarding_loose *loose);

/** Takes the rules of the network behind this interface away. */
void forwarding_clear(const char *ifname);

/** Takes away the tables of interfaces that are gone: a daemon that was killed has left them. */
void forwarding_sweep(void);
