/*
 * seek.h: a TCP connection whose entry is lost finds its backend again, though the service's backends have changed
 * meanwhile (docs/adr/0020-seek.md). Its next packet goes to the hash's choice, as ever. If that answers by a reset, it was
 * not the one: the reset is swallowed, and with the client's next packet every backend of the service is asked by half a
 * keep-alive: a segment without data, one before what the client sends (RFC 9293, 3.8.4). The one that has the connection
 * acknowledges; the others reset, which is swallowed too. Who has a connection its ends know: nobody else needs to.
 *
 * Have all of them reset it twice, nobody has it: the hash's choice answers for itself, which is a reset then.
 */
#pragma once

#include "dataplane/lb/item.h"

/** Worker. Is the packet, of which there is no connection, in the middle of one that another backend may have? */
bool service_seek_guesses(struct worker *w, const struct service *s, const struct item *it);

/** Worker. Is the backend looked for that the client's packet is for? */
static inline bool service_seek_is_on(const struct conn_hit *hit)
{
	return hit->life >> 32 & CONN_SEEKS;
}

/** Worker. Such a packet. True: it waits, and is dropped. False: nobody has the connection, which is removed. */
bool service_seek_forward(struct worker *w, struct item *it, struct conn_hit *hit);

/** Worker. A backend's answer on a connection that was found. True: it is a reset of one that was guessed, and is dropped. */
bool service_seek_swallows(struct worker *w, const struct item *it, const struct conn_hit *hit);
/** Worker. A client's packet found nobody at the backend's address: if the backend was a guess, others are asked. */
void service_seek_unheard(struct worker *w, struct conn_hit hit);

/** Worker. A backend's packet of no connection. True: it is found again, *hit is its side; or the packet, a reset, is dropped. */
bool service_seek_finds(struct worker *w, const struct item *it, struct conn_hit *hit);
