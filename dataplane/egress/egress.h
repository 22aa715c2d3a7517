/*
 * egress.h: traffic between networks and the world outside, by the address of an uplink. What a guest sends to its
 * gateway for an address beyond its subnet leaves by an uplink, under the uplink's own address and a port that is free
 * there (masquerade); what comes back goes to the guest. A published port of the uplink's address leads to a guest, or
 * to a vip.
 *
 *   guest --> router MAC --> egress_stage() --> uplink          route.h: by which uplink, to which next hop
 *   guest --> router MAC --> egress_stage() --> guest           to a port that the uplink's address has published
 *   guest <-- lookup <-- egress_input() <-- underlay stage      hop.h: the next hop's MAC
 *                                                               flow.h: the connection, and its port
 *
 * A connection is an entry of a table as that of load balancing (lb/conn.h), of its own: neither has the other's
 * places. Each worker takes ports of its own slice (slice.h), so that no two take the same one without a lock. All
 * workers share the table: an answer may arrive at any of them.
 *
 * A frame on this way bears `routed`: its network is its guest's, and it may leave by an uplink or bear the router MAC.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/core/worker.h"
#include "dataplane/frame/burst.h"

struct dp;

/** Control thread. For `flows` connections. -ENOMEM. */
int egress_open(struct dp *dp, uint32_t flows);
/** Nothing happens where it was never opened. */
void egress_close(struct dp *dp);

/** Control thread. An uplink came, changed or goes (it is unpublished already). */
void egress_uplinks_changed(struct dp *dp);
/** Control thread. Takes what a worker wants to know (exchange_want()). */
void egress_wanted(struct dp *dp, uint16_t uplink, const uint8_t *data, uint16_t len);
/** Control thread, about once a second. */
void egress_tick(struct dp *dp);

/** Stage, worker. What guests send to the router MAC for the world outside leaves by an uplink, or is dropped. */
void egress_stage(struct worker *w, struct burst *b);

/**
 * Worker. Is the frame, which came on an uplink and is IP for its address, of a connection or for a published port?
 * Then it is its guest's from here on, or dropped.
 */
bool egress_input(struct worker *w, struct burst *b, struct frame *f);

/** Worker. The same of a guest's frame for the uplink's address, which bears that address as its source too. What is to go
 * to a vip has no verdict, and the service stage is yet to see it. */
bool egress_turn(struct worker *w, struct burst *b, struct frame *f);
