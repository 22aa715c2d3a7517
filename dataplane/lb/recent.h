/*
 * recent.h: what was seen lately, a word each, in buckets of eight (a cache line): the top 20 bits say whose it is, the
 * rest is the user's, with the time among it. A new one takes the place of the oldest. Any number of workers, no locks:
 * a word is read and written whole. Worker.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

enum { RECENT_WAYS = 8, RECENT_TAG_SHIFT = 44 };

typedef _Atomic(uint64_t) recent_t;

/** Seconds since an entry was written. */
typedef uint32_t recent_age_fn(uint64_t entry, uint32_t now_s);

/** The part of an entry that says whose it is, not 0. */
static inline uint64_t recent_tag(uint64_t hash)
{
	uint64_t tag = hash >> RECENT_TAG_SHIFT;

	return (tag ? tag : 1) << RECENT_TAG_SHIFT;
}

/** The entry with that tag, 0: there is none. *way: which it is. */
static inline uint64_t recent_find_way(const recent_t *bucket, uint64_t tag, unsigned *way)
{
	for (*way = 0; *way < RECENT_WAYS; ++*way) {
		uint64_t entry = atomic_load_explicit(&bucket[*way], memory_order_relaxed);

		if (entry >> RECENT_TAG_SHIFT == tag >> RECENT_TAG_SHIFT)
			return entry;
	}
	return 0;
}

static inline uint64_t recent_find(const recent_t *bucket, uint64_t tag)
{
	unsigned way;

	return recent_find_way(bucket, tag, &way);
}

/** Where the entry goes: over the one with its tag, or where there is none, or over the oldest. */
static inline recent_t *recent_place(recent_t *bucket, uint64_t entry, uint32_t now_s, recent_age_fn *age)
{
	recent_t *to = bucket;
	uint32_t longest = 0;

	for (unsigned i = 0; i < RECENT_WAYS; i++) {
		uint64_t is = atomic_load_explicit(&bucket[i], memory_order_relaxed);

		if (is >> RECENT_TAG_SHIFT == entry >> RECENT_TAG_SHIFT) {
			to = &bucket[i];
			break;
		}
		if (!is || age(is, now_s) > longest) {
			longest = is ? age(is, now_s) : UINT32_MAX;
			to = &bucket[i];
		}
	}
	return to;
}

/** Writes the entry there. */
static inline void recent_put(recent_t *bucket, uint64_t entry, uint32_t now_s, recent_age_fn *age)
{
	atomic_store_explicit(recent_place(bucket, entry, now_s, age), entry, memory_order_relaxed);
}
