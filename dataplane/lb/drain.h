/*
 * drain.h: the end of a draining backend's time. It gets no new connections, and those that it has go on until then.
 * What is left then is given up, as with a backend that is dead, or reset where the service wants that: each end is
 * told by the answer to its next packet, for only that says which sequence number it would believe (RFC 9293, 3.5.2).
 * Who is idle is asked for one: a segment with a number out of the air is answered by one with the right numbers
 * (RFC 9293, 3.10.7.4).
 */
#pragma once

#include <rte_cycles.h>

#include "dataplane/lb/item.h"

/** Any thread. Is it over for the backend, whose flags these are? */
static inline bool drain_is_over(const struct backend *b, uint32_t flags)
{
	return (flags & BACKEND_DRAINS) &&
	       rte_rdtsc() >= atomic_load_explicit(&b->ends, memory_order_relaxed);
}

/** Worker. Is the packet, of a connection whose backend is out of time, to be answered by a reset? */
static inline bool drain_resets(const struct item *it, uint32_t flags)
{
	return (flags & BACKEND_RESETS) && it->f->ip_proto == IPPROTO_TCP && !(it->tcp & TCP_RST) &&
	       !item_opens(it) && !it->f->routed; /* nobody would translate the reset */
}

/**
 * Worker. Takes a packet, which came from port `in` or through its vtep, of a connection whose backend has these flags and
 * none of its time left: it becomes the reset that its sender gets. With the second end that is told so the connection
 * ends. False: it is not over, or nobody is to be told.
 */
bool drain_ends(struct worker *w, struct port *in, struct item *it, struct conn_hit *hit, uint32_t flags);

/** Control thread, about once a second. Asks ends that have not been told. */
void drain_ask(struct dp *dp);

/** Control thread. Are the connections of the backend to be ended, whoever told their ends? */
bool drain_gives_up(const struct backend *b, uint32_t flags);
