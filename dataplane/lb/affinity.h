/*
 * affinity.h: a client's connections to a service go to one backend, whatever their ports (`affinity_s`).
 *
 * The choice follows from the client's address alone, the same on every host and without a table. A table is only for
 * what that forgets: when backends come and go, Maglev moves some clients to others, and a client that connected within
 * `affinity_s` stays where it was, as long as that backend takes new connections.
 *
 * Bounded: each client and service is one word in a bucket of eight, found by the secret of the connection table. A new
 * one takes the place of the one that was used longest ago. Who finds no place is no worse off than without the table.
 * Any number of workers, no locks: a word is read and written whole. Worker.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/lb/item.h"

/** The backend that `client` had of the service, if it connected lately and still may. */
bool affinity_find(struct worker *w, const struct service *s, struct ip_addr client, uint32_t *id);

/** The client has made a connection to backend `id`. */
void affinity_note(struct worker *w, const struct service *s, struct ip_addr client, uint32_t id);
