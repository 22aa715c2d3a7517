/*
 * pairs.h: a generator of plain L2 frames (traffic.h) between pairs of hosts, one behind each port.
 */
#pragma once

#include "bench/traffic/generator.h"

/**
 * Drives the two connected fronts (borrowed) with frames of `size` bytes, as traffic_init() takes them, between `pairs` pairs of hosts, of
 * which each is an item. For generator_free(); NULL without memory.
 */
struct generator *pairs_create(struct front *const fronts[2], unsigned size, bool ipv6, unsigned pairs,
	unsigned window, const atomic_bool *stop);

/**
 * Hosts first..first + count - 1 behind port 0 send one frame each, to the first host behind port 1: to show
 * a switch new addresses. As generator_sweep().
 */
void pairs_sweep(
	struct generator *g, uint32_t first, uint32_t count, double seconds, struct generator_result *result);
