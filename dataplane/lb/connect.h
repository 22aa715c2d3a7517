/*
 * connect.h: a new connection gets a backend, by the service's Maglev table. Worker.
 */
#pragma once

#include "dataplane/lb/item.h"

/**
 * Makes a connection for the packet, whose forward side has `key` with `hash`. A backend tells its connections apart by
 * the client's address and port alone, so if the client reaches it through another vip from the same port already,
 * another backend is taken. The client itself is taken only where there is nobody else (hairpin.h).
 *
 * Returns the reason to drop the packet, DROP_COUNT for none; *hit has no side when no connection was made: the table
 * is full, or the packet is a reset.
 */
enum drop_reason connect_item(struct worker *w, const struct item *it, const struct conn_key *key,
	uint64_t hash, struct conn_hit *hit);

/** Would a packet from whom this one goes to, to the service, get backend `id`, where there is no connection? *offset: how
 * far the port is behind that backend's. */
bool connect_would_choose(
	struct worker *w, const struct service *s, const struct item *it, uint32_t id, uint16_t *offset);

/**
 * May the packet go on to a backend that gets no new connections and has these flags? Not when it never answered this
 * one and there is another: a client that asks again from the same port (QUIC does) would wait for the ill one for
 * ever.
 */
bool connect_goes_on_inactive(
	struct worker *w, const struct item *it, const struct conn_hit *hit, uint32_t flags);

enum { SPILL_S = 300 };

/** Did a connection of the network not fit into the table of late? */
static inline bool connect_has_spilled(struct worker *w, uint16_t net)
{
	uint32_t spill_s = conn_spill_s(w->dp->lb->conns, net);

	return spill_s && w->now_s - spill_s <= SPILL_S;
}

/** May the packet go on to the backend that its connection has? */
static inline bool connect_goes_on(struct worker *w, const struct item *it, const struct conn_hit *hit)
{
	uint32_t flags = lb_backend_flags(w, hit->end.owner);

	if (__builtin_expect(!(flags & BACKEND_ACTIVE), 0))
		return connect_goes_on_inactive(w, it, hit, flags);
	return __builtin_expect(!item_opens(it), 1) || conn_state(w->dp->lb->conns, hit) != DP_CONN_CLOSING;
}
