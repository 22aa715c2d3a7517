/*
 * publish.h: how workers get to see services. A change makes a new service beside the old one; a view of its network is
 * made with all that has changed, shown by one pointer, and what workers saw before is freed when none of them uses it.
 * Changes of a batch share views and grace period: ten thousand services take as many views as batches, not as services.
 * Control thread.
 */
#pragma once

#include <stdint.h>

#include "dataplane/dataplane.h"

struct lb;
struct service;

/** `with` (NULL: nothing) is service `id` from now on, of network `net`. Unless in a batch workers run on it when it
 * returns. -ENOMEM: all is as it was. */
int publish_put(struct lb *lb, uint16_t net, uint32_t id, struct service *with);
/** Shows what a batch could not for want of memory, if there is some now. */
void publish_retry(struct lb *lb);
/** Frees all services and views. Nobody sees them any more. */
void publish_free(struct lb *lb);

/** A service with this vip and protocol that has a port of the spec's, but for number `id`; NULL: none. */
const struct service *publish_taken(const struct lb *lb, const struct dp_service *spec, uint32_t id);
/** The lowest number that no service has; MAX_SERVICES: there is none. */
uint32_t publish_free_id(const struct lb *lb);

/* service.c */

/** NULL is allowed. */
void lb_service_free(struct service *s);
/** Those of its backends that `in` (NULL: nothing) has not. */
void lb_service_let_go(struct lb *lb, const struct service *s, const struct service *in);
