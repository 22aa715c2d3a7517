/*
 * hairpin.h: a client that is the only backend of the service that it asks. Were only its packet's destination
 * rewritten, it would see a packet from itself and answer inside itself, past the switch. So the source is rewritten
 * too: the backend sees the vip as its client, at the client's own port, and answers to that. Worker.
 */
#pragma once

#include "dataplane/lb/item.h"

/** Sends the packet of a connection whose backend, at hit->end, is its client back to the port that it came from. */
void hairpin_forward(struct worker *w, struct port *in, struct item *it, const struct conn_hit *hit);

/** Is the packet, which no service takes, the backend's side of such a connection? Then it is on its way back. */
bool hairpin_reply(struct worker *w, struct port *in, struct item *it);
