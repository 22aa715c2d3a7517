/*
 * transmit.h: frames to a port, in the form that it takes, and counted. Worker.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/core/port.h"

struct vtep;
struct worker;

/** PORT_CSUM...: what the port takes now. */
static inline uint32_t transmit_offloads(const struct port *port)
{
	return atomic_load_explicit(&port->offloads, memory_order_relaxed);
}

/** Is `f` larger than a port with these offloads takes it? */
bool transmit_wants_segments(const struct frame *f, uint32_t offloads);

/** Makes the checksum that `f`, which is not large, asks for where the port does not. */
void transmit_finish(const struct port *port, struct frame *f);

/**
 * Hands over n frames and counts those that the port dealt with as delivered; port_tx_drop() takes back what
 * it refuses. Returns how many that are; fewer than n: the port is full.
 */
uint16_t transmit_now(struct worker *w, struct port *port, struct frame *const *frames, uint16_t n);

/** The same on the receiver's account (budget.h): one that has cost its worker too much may get nothing. */
uint16_t transmit_frames(struct worker *w, struct port *port, struct frame *const *frames, uint16_t n);

/**
 * Sends one large frame in segments, with the outer header of `vtep` unless that is NULL, and those again in
 * as few frames as the port takes (udp_gso.h). Segments that do not fit are dropped as ring-full. The frame's
 * segments count as copies of it.
 */
void transmit_segments(struct worker *w, struct port *port, struct frame *f, const struct vtep *vtep);
