/*
 * siphash.h: SipHash-c-d of one 16-byte message. A pseudo-random function of a secret key, so that whoever
 * chooses the keys of a table cannot choose the bucket that they fall into. Source: Aumasson and Bernstein,
 * "SipHash: a fast short-input PRF" (2012); c = 1, d = 3 is what the hash tables of several languages use.
 *
 * T is uint64_t, or a vector of them to hash many messages at once: the text is the same.
 */
#pragma once

#include <stdint.h>

/* Messages hashed together by siphash13_lanes(): one AVX-512 register, or two of AVX2. */
enum { SIPHASH_LANES = 8 };
typedef uint64_t siphash_lanes __attribute__((vector_size(8 * SIPHASH_LANES)));

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

#define SIPHASH_16(T, C, D, key, m0, m1, out)                                                                \
	do {                                                                                                 \
		T v0_ = (m0) ^ (m0), v1_ = v0_, v2_ = v0_, v3_ = v0_, last_ = v0_;                           \
		v0_ += (key)[0] ^ UINT64_C(0x736f6d6570736575);                                              \
		v1_ += (key)[1] ^ UINT64_C(0x646f72616e646f6d);                                              \
		v2_ += (key)[0] ^ UINT64_C(0x6c7967656e657261);                                              \
		v3_ += (key)[1] ^ UINT64_C(0x7465646279746573);                                              \
		last_ += UINT64_C(16) << 56;                                                                 \
		v3_ ^= (m0);                                                                                 \
		for (int r_ = 0; r_ < (C); r_++)                                                             \
			SIPHASH_ROUND(v0_, v1_, v2_, v3_);                                                   \
		v0_ ^= (m0);                                                                                 \
		v3_ ^= (m1);                                                                                 \
		for (int r_ = 0; r_ < (C); r_++)                                                             \
			SIPHASH_ROUND(v0_, v1_, v2_, v3_);                                                   \
		v0_ ^= (m1);                                                                                 \
		v3_ ^= last_;                                                                                \
		for (int r_ = 0; r_ < (C); r_++)                                                             \
			SIPHASH_ROUND(v0_, v1_, v2_, v3_);                                                   \
		v0_ ^= last_;                                                                                \
		v2_ ^= UINT64_C(0xff);                                                                       \
		for (int r_ = 0; r_ < (D); r_++)                                                             \
			SIPHASH_ROUND(v0_, v1_, v2_, v3_);                                                   \
		(out) = v0_ ^ v1_ ^ v2_ ^ v3_;                                                               \
	} while (0)

/** SipHash-1-3 of the message {m0, m1} (little-endian words). Any thread. */
static inline uint64_t siphash13(const uint64_t key[2], uint64_t m0, uint64_t m1)
{
	uint64_t out;

	SIPHASH_16(uint64_t, 1, 3, key, m0, m1, out);
	return out;
}

/** The same for SIPHASH_LANES messages at once. */
static inline void siphash13_lanes(
	const uint64_t key[2], const siphash_lanes *m0, const siphash_lanes *m1, siphash_lanes *out)
{
	SIPHASH_16(siphash_lanes, 1, 3, key, *m0, *m1, *out);
}
