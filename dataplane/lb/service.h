/*
 * service.h: load balancing in the packet path. A packet sent to the router MAC for a vip gets a backend (the
 * one its connection has, else by Maglev) and is rewritten to it; a packet from a backend that answers such a
 * connection is rewritten back. TCP and UDP over IPv4 (stage.c) and IPv6 (stage6.c).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "addr/ip.h"
#include "dataplane/core/worker.h"
#include "dataplane/frame/burst.h"

struct dp;
struct lb;
struct lb_view;
struct network;

/** Control thread. Tables for `conns` connections. -ENOMEM. */
int lb_open(struct dp *dp, uint32_t conns);
void lb_close(struct dp *dp);
/** Takes the memory of all connections now (mem_touch). */
void lb_touch(struct dp *dp);
/** Control thread, with each tick. The same for connections to come, once there is a vip (conn_touch_ahead). */
void lb_touch_ahead(struct dp *dp);

/** Any thread inside a grace period. Does the network balance `vip` (network byte order) on any port? */
bool lb_is_vip(const struct lb_view *view, uint32_t vip);
/** The same for an address of either family. */
bool lb_has_vip(const struct lb_view *view, struct ip_addr vip);
/** The same for one of IPv6. */
bool lb_is_vip6(const struct lb_view *view, struct ip_addr vip);

/** Stage, worker. Looks at frames with verdict V_NONE; leaves V_NONE (rewritten or not) or V_DROP. */
void service_stage(struct worker *w, struct burst *b);

/** Worker. Are objects restored, so that the stage is to see the frames of networks without services, too (stray.h)? */
bool service_is_restoring(const struct worker *w);

/** Worker, at the end of a turn in which w->late has been set. Hands `send` the fragments whose first one has come, which
 * service_stage() has kept until then: each in a burst of its own, as it came from its port, from this stage on. */
void service_send_late(struct worker *w, void (*send)(struct worker *w, struct burst *b));

/** Worker, about once a second. Drops those whose first one has not come. */
void service_drop_late(struct worker *w);

/** Control thread, with each tick. Looks for the backends of connections whose entries are lost (seek.h). */
void service_seek_ask(struct dp *dp);

/**
 * Control thread, about once a second. Ends idle connections and those of deleted backends; frees what waits;
 * asks for and takes over the MACs of backends.
 */
void lb_tick(struct dp *dp);
