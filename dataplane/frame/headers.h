/*
 * headers.h: what a frame carries behind VLAN tags, LLC/SNAP and IPv6 extension headers, for code that a
 * frame with unusual headers must not deceive. Everybody else uses parse_frame(), which is faster and gives
 * up earlier. Reads the private copy, and makes it as long as it can be. Worker.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/frame/burst.h"

enum { HEADERS_TAGS = 8 }; /* VLAN tags that are looked behind */

struct headers {
	uint16_t type; /* ethertype of what comes last, 0: none was found */
	uint16_t l3;   /* where that begins, from the frame's first byte */
	uint16_t
		l4; /* of IP: where the packet's own header begins, eight bytes of it at least; 0: there is none */
	uint8_t proto; /* of IP: the protocol of that header, extension headers left behind; NO_HEADER */
	bool fragment; /* the packet is one of several fragments */
	bool later;    /* and not the first, so it has no header of its own */
	bool hidden;   /* more headers follow where nobody can look: past the copy, in a later fragment, under
			   more tags than HEADERS_TAGS */
};

enum { HEADERS_NONE = 59 }; /* "no next header" of IPv6 stands for what was not found */

/** Fills *h of a frame of at least FRAME_MIN bytes. May move the header, as frame_pull() does. */
void headers_find(struct frame *f, struct headers *h);
