/*
 * inbound.h: requests of other hosts to backends here, for services whose policy is `least`. Their own hosts have chosen
 * the backend, so the packets are already on their way; what is kept of their connections, in a table of their own, is
 * whose turn it is. So a flood of them costs this host's clients no connection, and one that finds no room is not counted.
 * Worker.
 */
#pragma once

#include "dataplane/lb/item.h"

/** A packet that came through a tunnel, to an address that some backend here has; not rewritten. */
void service_inbound_asks(struct worker *w, const struct item *it);

/** A packet from a backend that answers no client of this host. */
void service_inbound_answers(struct worker *w, const struct item *it);
