/*
 * stage6.h: packets to and from services over IPv6, as stage.c picks them out of a burst. Worker.
 *
 * They go the way of IPv4's, with look-ups and rewriting of their own (ADR 0012). What differs: extension headers are
 * looked behind as far as the private copy goes; a packet that is routed (a routing header with stops left) is for no
 * vip, whose pseudo header would be another's. Later fragments follow the first one (fragment.h); an "atomic" one, the
 * only one of its datagram (RFC 6946), is a whole packet. Nobody puts them together here, so that they overlap (RFC 5722)
 * is for their receiver to see: ports, which lie in the first eight bytes of the first one, no later one can reach.
 */
#pragma once

#include "dataplane/frame/burst.h"

struct lb_view;
struct port;
struct worker;

/* IPv6 packets of a burst, in networks that have services of IPv6. */
struct burst6 {
	unsigned n;
	struct frame6 {
		struct frame *f;
		const struct lb_view *view;
	} item[BURST_MAX];
};

/** From port `in`. Frames with l3_off set and verdict V_NONE, which it leaves as service_stage() does. */
void service_ip6(struct worker *w, struct port *in, const struct burst6 *b);
