#include "bench/host/histogram.h"

#include <assert.h>

static_assert(HISTOGRAM_BUCKETS * sizeof(uint64_t) < 32 * 1024, "it is to stay in the first caches");

uint64_t histogram_upper(unsigned bucket)
{
	unsigned power, part;

	if (bucket < HISTOGRAM_PARTS)
		return bucket;
	power = bucket / HISTOGRAM_PARTS - 1;
	part = HISTOGRAM_PARTS + bucket % HISTOGRAM_PARTS;
	return ((uint64_t)(part + 1) << power) - 1;
}

uint64_t histogram_percentile(const struct histogram *h, double percent)
{
	/* In whole millionths: 99.9 % of 1,000 values are 999, not the 1,000 that binary fractions make of
	 * it. */
	uint64_t millionths = (uint64_t)(percent * 1e4 + 0.5), below = 0;
	uint64_t rank = (h->count * millionths + 999999) / 1000000;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
		below += h->bucket[i];
		if (below > 0 && below >= rank)
			return histogram_upper(i) < h->max ? histogram_upper(i) : h->max;
	}
	return h->max;
}

void histogram_merge(struct histogram *h, const struct histogram *other)
{
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		h->bucket[i] += other->bucket[i];
	h->count += other->count;
	if (other->max > h->max)
		h->max = other->max;
}

void histogram_trim(struct histogram *h, uint64_t n)
{
	unsigned i = HISTOGRAM_BUCKETS;

	while (i-- > 0) {
		uint64_t gone = h->bucket[i] < n ? h->bucket[i] : n;

		h->bucket[i] -= gone;
		h->count -= gone;
		n -= gone;
		if (h->bucket[i] > 0)
			break;
	}
	if (h->count == 0)
		h->max = 0;
	else if (i < HISTOGRAM_BUCKETS - 1 && histogram_upper(i) < h->max)
		h->max = histogram_upper(i);
}

json_t *histogram_json(const struct histogram *h, double unit)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		if (h->bucket[i] > 0)
			json_array_append_new(list, json_pack("[f, I]", (double)histogram_upper(i) * unit,
							    (json_int_t)h->bucket[i]));
	return list;
}
