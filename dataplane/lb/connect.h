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

/** The backend that a packet from `client` to the service gets where there is no connection. False: only the client
 * itself is left. */
bool connect_choose(
	struct worker *w, const struct service *s, uint32_t client, uint16_t client_port, uint16_t *id);
