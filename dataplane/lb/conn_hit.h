/*
 * conn_hit.h: the way of a packet whose connection is there, as conn_guess(), conn_find() and conn_packet() of conn.h say,
 * to be inlined: a burst's packets go it one after the other, and calls cost as much as what is done.
 */
#pragma once

#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "dataplane/lb/conn_table.h"

static inline void conn_hit_prefetch(const struct conn_table *t, uint64_t hash)
{
	__builtin_prefetch(&t->bucket[hash & t->bucket_mask]);
}

/*
 * A bit for every slot of the bucket that bears the hash's tag. Each slot is read whole, as by a relaxed
 * load; what is found is read again, atomically, before it is used. Vectors: 16 compares one by one cost a
 * dozen cycles more.
 */
__attribute__((no_sanitize("thread"))) static inline unsigned conn_hit_slots(
	const struct conn_table *t, const struct conn_bucket *b, uint64_t hash)
{
	uint32_t tag = slot_tag(t, hash);
#ifdef __AVX2__
	const __m256i *slot = (const __m256i *)b;
	__m256i want = _mm256_set1_epi32((int)tag), mask = _mm256_set1_epi32((int)t->tag_mask);
	__m256i low = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_load_si256(slot), mask), want);
	__m256i high = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_load_si256(slot + 1), mask), want);

	return (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(low)) |
	       (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(high)) << 8;
#else
	unsigned mask = 0;

	for (unsigned i = 0; i < CONN_BUCKET_SLOTS; i++) {
		uint32_t slot = atomic_load_explicit(&b->slot[i], memory_order_relaxed);

		mask |= (unsigned)((slot & t->tag_mask) == tag) << i;
	}
	return mask;
#endif
}

static inline uint32_t conn_hit_guess(const struct conn_table *t, uint64_t hash)
{
	const struct conn_bucket *b = &t->bucket[hash & t->bucket_mask];
	unsigned mask = conn_hit_slots(t, b, hash);
	uint32_t index;

	if (!mask)
		return CONN_NONE;
	index = slot_side(t, atomic_load_explicit(&b->slot[__builtin_ctz(mask)], memory_order_relaxed));
	__builtin_prefetch(&t->side[index], 1);
	return index;
}

/* Copies the side if it is live and has the key. */
static inline bool conn_hit_read(
	struct conn_table *t, uint32_t index, const struct conn_key *key, struct conn_hit *hit)
{
	struct conn_side *side = &t->side[index];

	hit->life = atomic_load_explicit(&side->life, memory_order_acquire);
	if (!(life_flags(hit->life) & CONN_LIVE) ||
		atomic_load_explicit(&side->addresses, memory_order_relaxed) != key->addresses ||
		atomic_load_explicit(&side->rest, memory_order_relaxed) != key->rest)
		return false;
	hit->end = side_end(side);
	atomic_thread_fence(memory_order_acquire);
	if (!life_same(atomic_load_explicit(&side->life, memory_order_relaxed), hit->life))
		return false;
	hit->side = side;
	hit->index = index;
	return true;
}

static inline bool conn_hit_find(
	struct conn_table *t, const struct conn_key *key, uint64_t hash, uint32_t guess, struct conn_hit *hit)
{
	const struct conn_bucket *b = &t->bucket[hash & t->bucket_mask];

	if (__builtin_expect(guess != CONN_NONE && conn_hit_read(t, guess, key, hit), 1))
		return true;
	for (unsigned mask = conn_hit_slots(t, b, hash); mask; mask &= mask - 1) {
		uint32_t slot = atomic_load_explicit(&b->slot[__builtin_ctz(mask)], memory_order_acquire);

		if (slot && conn_hit_read(t, slot_side(t, slot), key, hit))
			return true;
	}
	return false;
}

/** Worker. What a packet says of its side, where that is new: of conn_packet(). */
bool conn_hit_tell(struct conn_hit *hit, uint8_t flags, uint32_t now_s);

static inline bool conn_hit_packet(struct conn_hit *hit, uint8_t flags, uint32_t now_s, uint32_t bytes)
{
	struct conn_side *side = hit->side;

	atomic_store_explicit(&side->packets, atomic_load_explicit(&side->packets, memory_order_relaxed) + 1,
		memory_order_relaxed);
	atomic_store_explicit(&side->bytes, atomic_load_explicit(&side->bytes, memory_order_relaxed) + bytes,
		memory_order_relaxed);
	if (__builtin_expect(
		    life_make(life_gen(hit->life), life_flags(hit->life) | flags, now_s) == hit->life, 1))
		return false;
	return conn_hit_tell(hit, flags, now_s);
}
