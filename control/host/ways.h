/*
 * ways.h: what leads from this host's addresses, and from others that are routed to it, to vips in a network of mode
 * `host`: many, as Kubernetes' Services are reached. Rules are few and look things up, whatever the number of ways. The
 * vips, which need not be of the network's subnet, are routed to it. Control thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/host/addr.h"
#include "control/host/ruleset.h"

/* What is sent to `port` of `address`. */
struct way {
	struct ip_addr
		address; /* none: each of this host's own of the family that `to` is of, but the loopback's */
	struct ip_addr to; /* the vip */
	uint16_t port, to_port;
	uint16_t near_port;   /* that containers and programs of this host are led to instead of to_port */
	const char *protocol; /* "tcp", "udp", "sctp" */
	bool masquerade;      /* the client becomes this host */
	bool limited;	      /* to clients in `from`, of which none holds another */
	uint16_t nfrom;
	const struct ip_prefix *from;
};

struct ways_spec {
	const char *ifname;		  /* of the network's gateway */
	struct ip_prefix subnet, subnet6; /* the network's; their address is none where it has none */
	const struct way *list;		  /* no two from one address and port */
	size_t n;
	const struct ip_addr *vips;
	size_t nvip;
};

struct ways;

/** NULL: no memory. */
struct ways *ways_open(void);
/** Takes away what leads in. NULL is allowed. */
void ways_close(struct ways *ways);
/**
 * Has these lead in and no others; what is so already costs no call. -1, and why: some may not lead in yet, or lead where
 * they did.
 */
int ways_set(struct ways *ways, const struct ways_spec *spec, char why[RULESET_WHY]);
