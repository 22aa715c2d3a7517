/* bucket.h: how often something may happen: a token bucket, kept as the time at which it will be full again. */
#pragma once

#include <rte_cycles.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/** Any thread. Takes one token. `each`: cycles until one comes back; `most`: of a whole bucket. False: none is there. */
static inline bool bucket_take(_Atomic(uint64_t) *bucket, uint64_t each, uint64_t most)
{
	uint64_t now = rte_rdtsc(), full = atomic_load_explicit(bucket, memory_order_relaxed), next;

	do {
		next = (full > now ? full : now) + each;
		if (next - now > most)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		bucket, &full, next, memory_order_relaxed, memory_order_relaxed));
	return true;
}
