/*
 * moves.h: reports from workers to control about MACs that moved, or that were kept from moving. The ring is
 * bounded: what does not fit is counted, and reported as a number.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "dataplane/dataplane.h"

struct dp;
struct worker;

enum { MOVES_SLOTS = 32 };

struct move {
	uint64_t key;		     /* fdb_key() */
	struct dp_location from, to; /* the one of before, and whence a frame came now */
	uint8_t what;		     /* enum dp_move_what */
};

/* head is written by the worker, tail by control. */
struct moves {
	_Alignas(64) _Atomic(uint32_t) head;
	_Atomic(uint64_t) lost; /* moves that did not fit, since the start */
	_Alignas(64) _Atomic(uint32_t) tail;
	uint64_t lost_reported; /* control's */
	struct move slot[MOVES_SLOTS];
};

/** Worker. */
void moves_note(struct worker *w, const struct move *move);

/** Control thread, on its timer: tells dp_config.on_move of a few. */
void moves_tell(struct dp *dp);
