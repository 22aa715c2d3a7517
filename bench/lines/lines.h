/*
 * lines.h: how many cache lines go from core to core for a frame, and whether two workers ever write what the other uses: the
 * real loop, pipeline and rings run burst by burst in one thread, each core's part in turn, while trap.h notes what is touched
 * and cores.h says what that would mean with a core for each.
 *
 * Worker i has guest 2i, which sends to guest 2i + 1 (or, where an uplink plays, to or from queue i of the uplink). Each guest
 * is a core of its own, reads all that it gets, and writes all that it sends. Bursts are full and nobody polls in vain, so
 * this is the least that the layout allows; what cores that race see comes on top.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/core/port.h"

enum lines_way {
	LINES_L2,
	LINES_L2_BOTH, /* and back: guest 2i + 1 is polled by the next worker */
	LINES_ENCAP,
	LINES_DECAP,
	LINES_REQUEST, /* to a vip */
	LINES_ANSWER,
	LINES_VIP_BOTH, /* a connection's two directions on two workers */
	LINES_MANY,	/* all to one guest with one ring */
	LINES_LEARN,	/* each frame from a new address */
	LINES_CONNECT,	/* each frame a new connection to the vip */
	LINES_WAYS,
};

/* Where a line lies. */
enum lines_place {
	LINES_DESC,
	LINES_AVAIL,
	LINES_USED,
	LINES_HEADER,
	LINES_FRAME,
	LINES_OTHER,
	LINES_PLACES
};

struct lines_config {
	enum lines_way way;
	unsigned workers; /* 1..64; with an uplink as many as it has queues, 8 */
	bool packed;
	unsigned burst; /* frames; a power of two up to 32 */
	unsigned size;	/* bytes of a frame, inside a tunnel the inner one's; 60..1514 */
	uint16_t (*tx)(struct port *, struct worker *, struct frame *const *, uint16_t); /* NULL: vhost_tx */
};

enum { LINES_SAMPLES = 8 };

/* Of the rounds that count. */
struct lines_result {
	uint64_t frames;		/* delivered */
	uint64_t worker[LINES_PLACES];	/* lines that workers wait for, of guests */
	uint64_t guest[LINES_PLACES];	/* and that guests wait for */
	uint64_t shared;		/* lines that a worker waits for, of another worker */
	uint64_t hottest;		/* of the line that was waited for most often so */
	uint64_t sample[LINES_SAMPLES]; /* some of those lines, by their address over 64 */
	uint64_t touched,
		worker_lines; /* accesses of workers, and lines that they touched for the first time in a burst */
	char error[128];
};

extern const char *const lines_ways[LINES_WAYS];
extern const char *const lines_places[LINES_PLACES];

/** Measures in a process of its own, for DPDK starts once a process. 0; -ENOTSUP: not in this build (trap.h); -EINVAL: bounds
 * above; -EIO, and result->error says why. */
int lines_measure(const struct lines_config *config, struct lines_result *result);
