/*
 * fragment.h: which datagram's first fragment was an answer through a vip, so that its later fragments, which
 * have no ports, are known. A table of fixed size that forgets: what overwrites an entry costs nothing but that later
 * fragments without their first one get through, which nobody can put together. Worker.
 */
#pragma once

#include <stdbool.h>

#include "dataplane/frame/burst.h"

struct worker;

/** Is the fragment, of an IPv4 frame with l3_off set, the first one of its datagram? */
bool service_fragment_is_first(struct frame *f);

/** What the first fragment of a datagram tells of the later ones: the datagram is an answer through a vip, or not, though
 * an earlier one of the same id may have been. */
void service_fragment_note(struct worker *w, struct frame *f, bool is_answer);

/** Was the first fragment of this one's datagram noted within the 30 s in which it can be put together (RFC 791, 1122
 * 3.3.2)? */
bool service_fragment_noted(struct worker *w, struct frame *f);
