#include "dataplane/core/account.h"

#include <math.h>

/* Eight buckets to a power of two, from 256 ns on: a gap is known to an eighth of itself. */
enum { SHORTEST_BITS = 8, PART_BITS = 3, PARTS = 1 << PART_BITS };

unsigned account_gap_bucket(uint64_t ns)
{
	unsigned power, bucket;

	if (ns >> SHORTEST_BITS == 0)
		return 0;
	power = 63 - (unsigned)__builtin_clzll(ns);
	bucket = 1 + (power - SHORTEST_BITS) * PARTS + (unsigned)(ns >> (power - PART_BITS)) % PARTS;
	return bucket < DP_GAPS - 1 ? bucket : DP_GAPS - 1;
}

double dp_gap_us(unsigned bucket)
{
	unsigned power = (bucket - 1) / PARTS, part = (bucket - 1) % PARTS;

	if (bucket == 0)
		return (1 << SHORTEST_BITS) * 1e-3;
	if (bucket == DP_GAPS - 1)
		return INFINITY;
	return (double)(UINT64_C(1) << (power + SHORTEST_BITS - PART_BITS)) * (PARTS + part + 1) * 1e-3;
}

void account_gap_count(struct account *a, uint64_t now)
{
	uint64_t ns = (uint64_t)((double)a->gap_now * 1e6 / (double)a->ms);

	/* one that spans milliseconds is the longest of each */
	if (a->gap_now)
		stat_add(&a->gaps[account_gap_bucket(ns)], 1 + ns / 1000000);
	if (a->gap_now > atomic_load_explicit(&a->longest_gap, memory_order_relaxed))
		atomic_store_explicit(&a->longest_gap, a->gap_now, memory_order_relaxed);
	a->gap_now = 0;
	a->gap_until = now + a->ms;
}
