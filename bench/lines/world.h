/* world.h: the dataplane and the guests that lines.c runs, with rings but without sockets. */
#pragma once

#include "bench/front/rx.h"
#include "bench/front/tx.h"
#include "bench/lines/lines.h"
#include "dataplane/vhost/dev.h"

enum { WORLD_BURST = 32, WORLD_CONNS = 32, WORLD_GUESTS = 128, WORLD_FRAME = 1600 };

/* A guest, or the other side of the uplink, which has several pairs of rings. */
struct world_guest {
	struct port *port;
	unsigned npair;
	uint8_t *base; /* what it shares with the switch */
	struct front_ring *rx, *tx;
	struct vhost_dev *dev;
	uint8_t mac[6];
	uint32_t ip;   /* in network byte order */
	uint32_t sent; /* frames, for those that differ each time */
};

struct world {
	const struct lines_config *config;
	struct dp *dp;
	uint16_t net;
	unsigned nguest;
	struct world_guest guest[WORLD_GUESTS], uplink;
};

/** Everybody knows everybody, connections are open. Exits with one line of error. */
void world_open(struct world *world, const struct lines_config *config);

/** Sends a burst of what the way asks for from ring `ring` of g. `from`: its index; the uplink's is nguest. */
void world_send(struct world *world, struct world_guest *g, unsigned from, unsigned ring);
/** Takes and reads all that came. Returns the frames. */
unsigned world_take(struct world_guest *g, unsigned ring);
/** One turn of a worker. */
void world_turn(struct world *world, unsigned worker);

/** Does this way have an uplink? */
static inline bool world_is_overlay(enum lines_way way)
{
	return way == LINES_ENCAP || way == LINES_DECAP;
}

static inline bool world_is_both(enum lines_way way)
{
	return way == LINES_L2_BOTH || way == LINES_VIP_BOTH;
}
