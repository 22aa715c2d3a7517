/*
 * open.h: what the tables have in common that control makes whole, publishes and never changes: open addressing, at most
 * half full, so that a search ends at a free place soon. Each has places of its own kind. Pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "addr/ip.h"

/** How many places a table of n entries has: a power of two. */
static inline uint32_t open_size(size_t n)
{
	uint32_t size = 16;

	while (size < n * 2)
		size *= 2;
	return size;
}

/** Where the search for a key begins, modulo the table's size. */
static inline uint32_t open_slot(uint64_t key)
{
	return (uint32_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

/** The same for a key of two words, such as an address. */
static inline uint32_t open_slot2(const uint64_t q[2])
{
	return open_slot(q[1] ^ q[0] * UINT64_C(0xc2b2ae3d27d4eb4f));
}
