/*
 * histogram.h: how often which value came, at a precision that holds from nanoseconds to minutes: each power
 * of two is cut into HISTOGRAM_PARTS equal buckets (log-linear, as HdrHistogram has it), so that a value is
 * known to 1/HISTOGRAM_PARTS of itself, and those below HISTOGRAM_PARTS exactly. Adding costs a few
 * instructions and touches one line.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

enum {
	HISTOGRAM_PART_BITS = 6,
	HISTOGRAM_PARTS = 1 << HISTOGRAM_PART_BITS,
	HISTOGRAM_BITS = 44, /* of the greatest value told apart: an hour in cycles */
	HISTOGRAM_BUCKETS = (HISTOGRAM_BITS - HISTOGRAM_PART_BITS + 1) * HISTOGRAM_PARTS,
};

struct histogram {
	uint64_t bucket[HISTOGRAM_BUCKETS];
	uint64_t count, max; /* the latter exact */
};

/** The bucket of a value; the last one of all that are too great. */
static inline unsigned histogram_bucket(uint64_t value)
{
	unsigned power;

	if (value < HISTOGRAM_PARTS)
		return (unsigned)value;
	power = 63 - (unsigned)__builtin_clzll(value) - HISTOGRAM_PART_BITS;
	if (power >= HISTOGRAM_BITS - HISTOGRAM_PART_BITS)
		return HISTOGRAM_BUCKETS - 1;
	/* The value's leading one is dropped by the subtraction, and is the next power's first bucket. */
	return (power + 1) * HISTOGRAM_PARTS + (unsigned)(value >> power) - HISTOGRAM_PARTS;
}

/** Counts a value `times` times. */
static inline void histogram_add(struct histogram *h, uint64_t value, uint64_t times)
{
	h->bucket[histogram_bucket(value)] += times;
	h->count += times;
	if (value > h->max)
		h->max = value;
}

/** The greatest value that falls into a bucket. */
uint64_t histogram_upper(unsigned bucket);

/**
 * What `percent` (above 0, at most 100) of the values do not exceed, rounded up to the end of a bucket; for
 * 100 the exact maximum. 0 without values.
 */
uint64_t histogram_percentile(const struct histogram *h, double percent);

/** Adds all of `other`. */
void histogram_merge(struct histogram *h, const struct histogram *other);

/** Forgets the `n` greatest values; `max` becomes the end of the greatest bucket left, if that is less. */
void histogram_trim(struct histogram *h, uint64_t n);

/** [[upper end of a bucket times `unit`, count], ...] of those that are not empty, ascending. */
json_t *histogram_json(const struct histogram *h, double unit);
