/*
 * paced.h: a client that asks for one path of a server on 127.0.0.1 at a steady pace, over several connections that stay. A
 * question is due at its time whether a connection is free or not, and how long its answer takes counts from then.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "bench/host/histogram.h"

struct paced {
	uint16_t port;
	const char *path; /* begins with / */
	unsigned connections;
	double rate, seconds; /* questions a second, and for how long */
	const atomic_bool *stop;
};

/**
 * Asks; `latency` gets cycles of host_tsc() until each answer was there whole, *wrong how many were not 200. 0, or
 * -errno; -EPROTO: an answer without its length, or longer than its length.
 */
int paced_run(const struct paced *paced, struct histogram *latency, uint64_t *wrong);
