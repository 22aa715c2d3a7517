/*
 * stray.h: an answer whose connection's entry is lost comes before the client says anything. Nobody can tell it from what
 * a backend says to a client that talks to itself, without a vip: so it goes on as it is. A client that has no such
 * connection refuses it (RFC 9293, 3.10.7.1: a reset without an acknowledgement), which would end the backend's. That
 * reset is dropped, and says what was missing: whose connection it is, and that it goes through a vip. The entry is made
 * anew, and what the backend sends again reaches the client by it.
 *
 * Where a backend serves several vips at one port, they are tried one after the other: a client that refuses what comes from
 * one of them has it from the next. If it knows none, its reset goes to the backend at last.
 */
#pragma once

#include "dataplane/lb/item.h"

/* A refusal waits until its sender has the backend's MAC, which takes three seconds at the most. */
enum { STRAY_S = 6 };

/* A host restores its objects: what a reset would end may be of a service that is not there yet. */
static inline bool stray_is_restoring(const struct worker *w)
{
	return atomic_load_explicit(&w->dp->lb->restoring, memory_order_relaxed);
}

/** Worker. A packet of a backend, in the middle of a connection that is not known, goes on as it is. */
static inline void stray_note(struct worker *w, const struct item *it)
{
	_Atomic(uint32_t) *at = &w->dp->lb->stray_s;
	uint32_t now_s = w->now_s ? w->now_s : 1;

	if (it->f->ip_proto == IPPROTO_TCP && !(it->tcp & (TCP_SYN | TCP_RST)) &&
		atomic_load_explicit(at, memory_order_relaxed) != now_s)
		atomic_store_explicit(at, now_s, memory_order_relaxed);
}

/** Worker. May a reset be the answer to such a packet? Looked at for each frame of a network with services. */
static inline bool stray_may_be(const struct worker *w, const struct frame *f)
{
	uint32_t at = atomic_load_explicit(&w->dp->lb->stray_s, memory_order_relaxed);

	return __builtin_expect(at && (int32_t)(w->now_s - at) <= STRAY_S, 0) && f->src_vtep == VTEP_NONE &&
	       f->ip_proto == IPPROTO_TCP;
}

static inline bool stray_refuses(const struct item *it)
{
	return (it->tcp & (TCP_RST | TCP_ACK | TCP_SYN | TCP_FIN)) == TCP_RST;
}

/** Worker. From a client here, at port `in`, to a backend's own address: is it the refusal of such a packet? Then it is dropped.
 */
bool stray_takes(struct worker *w, struct port *in, const struct item *it);

/** Worker. The backend's packet has a connection, *hit, that was chosen or made in its middle. True: it opens one without a vip that
 * has the same ports as the one which a refusal made, of which the client has said nothing: that has been over, and is gone. */
bool stray_ends(struct worker *w, const struct item *it, const struct conn_hit *hit);

/** Worker. While the objects are restored no client here refuses anything: a frame of a network without services yet, too. */
void stray_restoring(struct worker *w, struct frame *f);

/** Worker. The client's first packet on a connection that was made so. True: it refuses this vip too, another one is tried, and the
 * packet is dropped. */
bool stray_moves(struct worker *w, const struct item *it, struct conn_hit *hit);
