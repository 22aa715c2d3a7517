/*
 * seek.h: a TCP connection whose entry is lost finds its backend again, though the service's backends have changed
 * meanwhile (docs/adr/0020-seek.md). Its next packet goes to the hash's choice, as ever. If that answers by a reset, it was
 * not the one: the reset is swallowed, and every backend of the service is asked by half a keep-alive: a segment without data, one before what the client sends (RFC 9293, 3.8.4). The one that has the connection
 * acknowledges; the others reset, which is swallowed too. Who has a connection its ends know: nobody else needs to.
 *
 * It is looked for as long as its client may wait, at least eight seconds: a backend that says no, or nothing, may be asked too
 * early. Then nobody has it, and the switch itself resets it.
 */
#pragma once

#include "dataplane/lb/item.h"

/** Worker. Is the packet, of which there is no connection, in the middle of one that another backend may have? */
bool service_seek_guesses(struct worker *w, const struct service *s, const struct item *it);

/** What the entry of such a guess notes of the client's side: what a segment asks by. */
uint64_t service_seek_numbers(const struct item *it);

/** Worker. Is there more to the client's packet than to find its backend: is that looked for, or was the entry made for an
 * answer (stray.h)? */
static inline bool service_seek_is_on(const struct conn_hit *hit)
{
	return hit->life >> 32 & (CONN_SEEKS | CONN_STRAY);
}

/** Worker. Such a packet, which came in at port `in`. True: it waits and is dropped, or nobody has the connection and it became the
 * reset that says so. False: it goes on; *found: by its entry. */
bool service_seek_forward(
	struct worker *w, struct port *in, struct item *it, struct conn_hit *hit, bool *found);

/** Worker. Was the connection's backend a guess, and has not answered? */
bool service_seek_was_guess(struct worker *w, const struct conn_hit *hit);

/** Worker. The answer of a backend that was guessed. True: it is not the one, and the answer is dropped. */
bool service_seek_swallows(struct worker *w, const struct item *it, const struct conn_hit *hit);

/** Worker. A client's packet found nobody at the backend's address: if the backend was a guess, others are asked. */
void service_seek_unheard(struct worker *w, struct conn_hit hit);

/** Worker. A backend's packet of no connection, at port `in` or behind its vtep. True: it is found again, *hit is its side; or the
 * packet says that it is not there, and is dropped. */
bool service_seek_finds(struct worker *w, struct port *in, const struct item *it, struct conn_hit *hit);
