/*
 * csum.h: the Internet checksum (RFC 1071). Sums are of 16-bit words in the order in which they lie in
 * memory, so nothing is byte-swapped on the way (section 2.B); a fold gives what is stored as it is. Any
 * thread.
 */
#pragma once

#include <stdint.h>
#include <string.h>

/**
 * Adds `len` bytes at `data`, the first of which is at an even offset of what is summed. At most 4 GB in all.
 */
uint64_t csum_add(uint64_t sum, const uint8_t *data, uint32_t len);

/** Folds to 16 bits, not complemented. */
static inline uint16_t csum_fold(uint64_t sum)
{
	uint32_t half;

	sum += sum << 32 | sum >> 32; /* the upper half: both, with the carry of their sum */
	half = (uint32_t)(sum >> 32);
	half += half << 16 | half >> 16;
	return (uint16_t)(half >> 16);
}

/** The sum of bytes that begin at an odd offset, from their sum as if it were even. */
static inline uint64_t csum_odd(uint64_t sum)
{
	return __builtin_bswap16(csum_fold(sum));
}

/** Stores a folded sum or its complement, which is in memory order already. */
static inline void csum_store(uint8_t *field, uint16_t sum)
{
	memcpy(field, &sum, 2);
}

static inline uint16_t csum_load(const uint8_t *field)
{
	uint16_t sum;

	memcpy(&sum, field, 2);
	return sum;
}

/** What changing `from` to `to` adds to a sum. */
static inline uint32_t csum_change16(uint16_t from, uint16_t to)
{
	return (uint16_t)~from + (uint32_t)to;
}

static inline uint32_t csum_change32(uint32_t from, uint32_t to)
{
	return csum_change16((uint16_t)from, (uint16_t)to) +
	       csum_change16((uint16_t)(from >> 16), (uint16_t)(to >> 16));
}

/** Brings a checksum field up to date with what changed (RFC 1624, equation 3). */
static inline void csum_update(uint8_t *field, uint32_t change)
{
	csum_store(field, (uint16_t)~csum_fold((uint16_t)~csum_load(field) + (uint64_t)change));
}

/** The checksum field that makes a packet with this sum right. Never 0, which would mean "none" in UDP. */
static inline uint16_t csum_field(uint64_t sum)
{
	uint16_t field = (uint16_t)~csum_fold(sum);

	return field ? field : 0xffff;
}
