/*
 * egress.h: what the host's kernel forwards from and to a network of mode `host`, by nftables. Each network has one
 * table, called like its gateway's interface, which no two networks of a host share; it is replaced as a whole.
 * Control thread.
 */
#pragma once

#include <stddef.h>

#include "control/host/addr.h"

enum egress {
	EGRESS_HOST, /* as the host has it: no table */
	EGRESS_NONE, /* nothing is forwarded, in or out */
	EGRESS_MASQUERADE, /* out under the host's address, answers back in; nothing else in, nor to other networks */
	EGRESS_COUNT,
};

enum { EGRESS_WHY = 256 };

/**
 * Puts the rules of the network behind interface `ifname`, whose addresses are `subnet`, in the place of those that it
 * had. EGRESS_MASQUERADE has the host forward packets; *forwards gets whether it did not before. Returns 0, or -1 with
 * nothing changed and the reason in `why`.
 */
int egress_set(const char *ifname, struct addr_prefix subnet, enum egress egress, bool *forwards,
	char why[EGRESS_WHY]);

/** Takes away the tables of interfaces that are gone: a daemon that was killed has left them. */
void egress_sweep(void);
