/*
 * hold.h: whom to believe lost. One host that falls silent is believed at once. When many do at the same time, it is more
 * likely that this host is cut off, or that the network between is: then nobody is taken out until most of them are
 * back, as service would be lost everywhere at once by what is a fault here (Envoy's panic threshold). Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	HOLD_LEAST = 3,		   /* peers that are lost together */
	HOLD_PERCENT = 30,	   /* of all, over which nobody is believed lost */
	HOLD_WINDOW_US = 10000000, /* they are lost together when they were within so long */
};

struct hold_peer {
	uint64_t lost_at; /* 0: it is not */
	bool seen;	  /* was up once: only such a one can be lost */
	bool sure;	  /* was lost alone, and stays so until it is up again */
	bool cut;	  /* result: nothing is sent to it */
};

/** Decides for all of them at the time `now`: fills `cut` and `sure`. True: a hold. Entries may be NULL. */
bool hold_decide(struct hold_peer *const *peers, unsigned n, uint64_t now);
