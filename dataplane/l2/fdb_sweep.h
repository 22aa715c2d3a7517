/* fdb_sweep.h: walks the whole fdb: what has aged goes, or what a caller chooses. Control thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct dp;

enum { SWEEP_PARTS = 4 };

/** Ages a part of the fdb; a timer calls it SWEEP_PARTS times a second. */
void sweep_fdb(struct dp *dp);

/** Removes every fdb entry for which fn says so, now. */
void sweep_all(struct dp *dp, bool (*fn)(void *arg, uint64_t key, uint64_t value), void *arg);
