/*
 * tcp_gro.h: TCP segments of one connection that follow one another as one large frame, for a receiver that takes
 * large frames (PORT_MERGE): it is then written to once, notified once, and its TCP looks at one packet. Cutting the
 * large frame again gives the segments that it was made of (offload_segment()).
 *
 * Only frames of one burst are merged, so nothing waits. What the receiver could tell from the segments must not get
 * lost, so these must be alike but for what follows from one to the next: see can_follow(). Of a frame whose sender
 * asks for its checksum nothing is summed; any other one is summed first, and goes on alone when its checksum is wrong.
 * The rules are those of Linux (net/ipv4/tcp_offload.c); RFC 6864, 4.1, is why the id of a packet with DF does not
 * matter. Worker.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/frame/burst.h"

enum {
	TCP_GRO_MIN = 512,	   /* bytes of a frame from which on others may follow it; a power of two */
	TCP_GRO_FRAME_SPANS = 128, /* of a merged frame at most */
	/* each frame of a burst is merged once, and gives its spans and what of its private copy is payload */
	TCP_GRO_SPANS = BURST_SPANS + BURST_MAX,
};

/* Where merged frames have their spans. The owner sets `used` to 0 once they are sent. */
struct tcp_gro {
	uint16_t used;
	struct span span[TCP_GRO_SPANS];
};

/**
 * Merges what can be of frames[0..n), of one burst (n <= BURST_MAX), IPv4 and IPv6 as asked for. A merged frame takes the
 * place of its first segment, has the request of a large one (NEEDS_CSUM, gso_type), and says in `merged` how many more it
 * stands for; it borrows from its segments, which stay as they are until it is sent. The order within a connection stays.
 * Returns how many frames are left.
 */
uint16_t tcp_gro_merge(struct tcp_gro *gro, struct frame **frames, uint16_t n, bool ip4, bool ip6);
