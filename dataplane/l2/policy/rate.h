/*
 * rate.h: how much a port may send and be sent in a second: bytes and packets in each direction, and frames that
 * are flooded. What is over is dropped, nothing is held back.
 *
 * A token bucket each. It is kept as the time at which it will be full again, one word that workers change by
 * compare and swap, so that all queues of a port on all workers share one bucket, and exactly: in any time t a
 * port gets through at most rate * t + burst, and the rest of the frame that emptied the bucket. Taken from once a
 * burst of frames.
 *
 * A large frame (TCP of up to 64 KB in one piece) counts as what it is on a wire: each segment a packet, each with
 * its headers.
 */
#pragma once

#include <stdint.h>

#include "dataplane/dataplane.h"

struct burst;
struct frame;
struct port;
struct port_rates;
struct worker;

/* Which bounds a port has: port->bounds. */
enum {
	RATE_IN = 1,	/* of what its guest sends */
	RATE_OUT = 2,	/* of what is delivered to it */
	RATE_STORM = 4, /* of what its guest sends and is flooded */
};

/** Control thread. Without bounds yet. NULL: no memory. */
struct port_rates *rate_new(void);
/** NULL is allowed. */
void rate_free(struct port_rates *rates);

/** Control thread, also while traffic flows. Sets all bounds of `port` from its spec; a bucket whose bound changes
 * begins full. */
void rate_set(struct port *port, const struct dp_port *spec);

/** Worker. A burst that came from a port with RATE_IN: drops what is over. */
void rate_limit_in(struct burst *b);
/** Worker. Frames on their way to a port with RATE_OUT: drops and counts the last ones, as many as are over.
 * Returns how many are left. */
uint16_t rate_limit_out(struct worker *w, struct port *port, struct frame *const *frames, uint16_t n);
/** Worker. The same for frames of a burst from a port with RATE_STORM that are to be flooded. */
unsigned rate_limit_storm(struct worker *w, struct port *from, struct frame *const *frames, unsigned n);
