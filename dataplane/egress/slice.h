/*
 * slice.h: which ports of an uplink's address a worker may give out. Pure.
 *
 * Ports from EGRESS_PORT_FIRST on are dealt out to the workers in turn, as cards are: so each has its own, and two
 * workers never choose the same one at the same moment. Below are those that people publish.
 */
#pragma once

#include <stdint.h>

enum { EGRESS_PORT_FIRST = 16384, EGRESS_PORT_END = 65536 };

struct slice {
	uint16_t first, step;
	uint32_t count;
};

/** Of worker `index` of `workers`, which are 1 to MAX_WORKERS. */
struct slice slice_of(unsigned index, unsigned workers);

/** The port at place `at`, which may be any number: they go round. Host byte order. */
uint16_t slice_port(const struct slice *slice, uint64_t at);
