/*
 * hold.h: fragments that came before the first one of their datagram, which alone has the ports. Each is copied, and
 * counts as consumed. When the first one comes the copy goes on as a frame of the switch's own. Where it does not come,
 * or another takes the place, the copy is dropped, and counted then: what is counted stays so.
 *
 * The places are parted by sender (fragment.c: row_of()): of 32 senders each has 16 of its own, and more share. A place is
 * kept for a second at least; then who finds no free one takes it. A sender of fragments without a first one
 * costs a copy for each place and second, and what is beyond that is dropped as it is.
 *
 * Any number of workers, no locks: `state` of a place says whose it is. The first fragment may come to another worker than
 * the others did; that one sends them. Worker, where nothing else is said.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/core/worker.h"

enum { HOLD_PARTS = 32, HOLD_WAYS = 16, HOLD_BYTES = 9216 /* of a frame, at most: jumbo frames too */ };
static_assert(HOLD_PARTS <= 32, "struct worker.late has a bit for each");

struct held_frame;

/** Control thread. Touched lazily. NULL: no memory. */
struct held_frame *hold_open(void);
/** NULL is allowed. */
void hold_close(struct held_frame *held);

/** Keeps a copy of the frame, from port `in`, for the datagram that this sender is known to have under that hash. False:
 * no room, or it is too long. */
bool hold_keep(struct worker *w, const struct port *in, const struct frame *f, unsigned row, uint64_t hash);
/** What is kept of the datagram goes on after this turn. */
void hold_let_go(struct worker *w, unsigned row, uint64_t hash);
