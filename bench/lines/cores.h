/*
 * cores.h: what becomes of cache lines when several cores use them: a model with caches that are never full and the states
 * of MESI. It says how often a line has to come from another core's cache, or be taken out of it; not how long that takes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { CORES_MAX = 256 };

/* Why an access had to wait for another core. */
enum cores_why {
	CORES_HIT = 0,
	CORES_COLD = 1 << 0, /* nobody had the line yet */
	CORES_GUEST =
		1
		<< 1, /* a core that is no worker's had written it, or has a copy of what is to be written */
	CORES_WORKER = 1 << 2, /* another worker had, or has */
};

struct cores;

/** Cores below `workers` are workers. NULL: no memory. */
struct cores *cores_new(unsigned workers);
void cores_free(struct cores *cores);

/** `core` reads or writes a line. Returns enum cores_why, as bits. */
unsigned cores_touch(struct cores *cores, unsigned core, uint64_t line, bool write);
