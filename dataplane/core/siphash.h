/*
 * siphash.h: SipHash-c-d of short messages. A pseudo-random function of a secret key, so that whoever
 * chooses the keys of a table cannot choose the bucket that they fall into. Source: Aumasson and Bernstein,
 * "SipHash: a fast short-input PRF" (2012); c = 1, d = 3 is what the hash tables of several languages use.
 */
#pragma once

#include <stdint.h>

#define SIPHASH_ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
#define SIPHASH_ROUND(v0, v1, v2, v3)                                                                        \
	do {                                                                                                 \
		v0 += v1;                                                                                    \
		v1 = SIPHASH_ROTL(v1, 13) ^ v0;                                                              \
		v0 = SIPHASH_ROTL(v0, 32);                                                                   \
		v2 += v3;                                                                                    \
		v3 = SIPHASH_ROTL(v3, 16) ^ v2;                                                              \
		v0 += v3;                                                                                    \
		v3 = SIPHASH_ROTL(v3, 21) ^ v0;                                                              \
		v2 += v1;                                                                                    \
		v1 = SIPHASH_ROTL(v1, 17) ^ v2;                                                              \
		v2 = SIPHASH_ROTL(v2, 32);                                                                   \
	} while (0)

/* SipHash-c-d; c and d are constants where it is called. */
static inline __attribute__((always_inline)) uint64_t siphash(
	const uint64_t key[2], uint64_t m0, uint64_t m1, int c, int d)
{
	const uint64_t message[3] = {m0, m1, UINT64_C(16) << 56};
	uint64_t v0 = key[0] ^ UINT64_C(0x736f6d6570736575), v1 = key[1] ^ UINT64_C(0x646f72616e646f6d);
	uint64_t v2 = key[0] ^ UINT64_C(0x6c7967656e657261), v3 = key[1] ^ UINT64_C(0x7465646279746573);

	for (int i = 0; i < 3; i++) {
		v3 ^= message[i];
		for (int r = 0; r < c; r++)
			SIPHASH_ROUND(v0, v1, v2, v3);
		v0 ^= message[i];
	}
	v2 ^= 0xff;
	for (int r = 0; r < d; r++)
		SIPHASH_ROUND(v0, v1, v2, v3);
	return v0 ^ v1 ^ v2 ^ v3;
}

/**
 * SipHash-1-3 of the message of `n` words, a constant where it is called (little-endian). Any thread.
 */
static inline __attribute__((always_inline)) uint64_t siphash13_words(
	const uint64_t key[2], const uint64_t *message, unsigned n)
{
	uint64_t v0 = key[0] ^ UINT64_C(0x736f6d6570736575), v1 = key[1] ^ UINT64_C(0x646f72616e646f6d);
	uint64_t v2 = key[0] ^ UINT64_C(0x6c7967656e657261), v3 = key[1] ^ UINT64_C(0x7465646279746573);

	for (unsigned i = 0; i <= n; i++) {
		uint64_t word = i < n ? message[i] : (uint64_t)n * 8 << 56;

		v3 ^= word;
		SIPHASH_ROUND(v0, v1, v2, v3);
		v0 ^= word;
	}
	v2 ^= 0xff;
	for (int r = 0; r < 3; r++)
		SIPHASH_ROUND(v0, v1, v2, v3);
	return v0 ^ v1 ^ v2 ^ v3;
}

/**
 * SipHash-1-3 of the message {m0, m1} (little-endian words). Any thread. Without a branch, so that compilers
 * make a loop over many messages hash several at a time.
 */
static inline uint64_t siphash13(const uint64_t key[2], uint64_t m0, uint64_t m1)
{
	return siphash(key, m0, m1, 1, 3);
}
