/*
 * pair.h: a client and a backend that have a TCP connection, of which this host has no entry: what seek.h and stray.h find
 * it by, and make it of. Worker.
 */
#pragma once

#include "dataplane/lb/item.h"

/* Ports in network byte order; both addresses of one family. */
struct pair {
	struct ip_addr client, backend;
	uint16_t client_port, backend_port;
};

/** The next service with one port that has the backend, from *at on, 0 at first, and the backend's id there. NULL: there is
 * none any more. */
const struct service *pair_service(
	const struct item *it, const struct pair *pair, uint32_t *at, uint32_t *id);

/** Is there a connection of the client with the service? *hit is the client's side. */
bool pair_find(struct worker *w, const struct item *it, const struct pair *pair, const struct service *s,
	struct conn_hit *hit);

/** Is what the backend says an answer of a connection that is known, through whatever service? *hit is the backend's side. */
bool pair_find_answers(
	struct worker *w, const struct item *it, const struct pair *pair, struct conn_hit *hit);

/** A connection of the two through the service. `flags` are the client's side's; the backend has spoken, and with
 * CONN_STRAY its side has CONN_GUESS. False: there is no room.
 * *hit is the client's side. */
bool pair_make(struct worker *w, const struct item *it, const struct pair *pair, const struct service *s,
	uint32_t id, uint8_t flags, struct conn_hit *hit);
