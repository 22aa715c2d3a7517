/*
 * merge.h: which frames of a burst are merged (tcp_gro.h), and for whom. Worker.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/core/port.h"
#include "dataplane/frame/tcp_gro.h"

struct vtep;
struct worker;

/**
 * Merges n frames for a port with these offloads, of which PORT_MERGE is one. Returns how many are left. The
 * spans are in gro until its owner empties it.
 */
uint16_t merge_for_port(struct tcp_gro *gro, uint32_t offloads, struct frame **frames, uint16_t n);

/**
 * Merges what goes through tunnels whose uplink takes large frames, while it is not in a tunnel yet. The rest of a
 * merged frame is V_MERGED.
 */
void merge_for_tunnels(struct worker *w, struct burst *b, struct tcp_gro *gro);

/** Is there perhaps anything for it: is the burst one of long frames, of which one at an end goes to another host? */
static inline bool merge_may_for_tunnels(const struct burst *b)
{
	return b->bytes > b->count * (unsigned)TCP_GRO_MIN / 2 && b->count > 1 &&
	       (b->frame[0].verdict == V_VTEP || b->frame[b->count - 1].verdict == V_VTEP);
}

/** Does the uplink take the large frame `f` through this tunnel as it is? */
bool merge_takes_large(const struct port *uplink, const struct frame *f, const struct vtep *vtep);
