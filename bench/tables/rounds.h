/* rounds.h: what the benches of tables share. */
#pragma once

#include <err.h>
#include <rte_eal.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Rounds are short, so that most pass without another process taking the core, and many. */
enum { BURST = 32, ROUNDS = 301 };

static inline int rounds_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/** The median of [ROUNDS] values, which it sorts. */
static inline double rounds_median(double *value)
{
	qsort(value, ROUNDS, sizeof(value[0]), rounds_compare);
	return value[ROUNDS / 2];
}

/** A row: the medians of ours and of the library's rounds, and how many times ours the library's is. */
static inline void rounds_print(uint32_t n, double *ours, double *theirs)
{
	double a = rounds_median(ours), b = rounds_median(theirs);

	printf("%9u  %8.1f  %8.1f  %5.2f\n", n, a, b, b / a);
}

/** The library's table for `entries` keys, with lock-free readers as our own have. */
static inline struct rte_hash *rounds_hash(const char *name, uint32_t entries, uint32_t key_len)
{
	struct rte_hash_parameters parameters = {
		.name = name,
		.entries = entries,
		.key_len = key_len,
		.hash_func = rte_hash_crc,
		.socket_id = SOCKET_ID_ANY,
		.extra_flag = RTE_HASH_EXTRA_FLAGS_MULTI_WRITER_ADD | RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF,
	};
	struct rte_hash *hash = rte_hash_create(&parameters);

	if (!hash)
		errx(1, "rte_hash_create: no memory for %u entries", entries);
	return hash;
}

/** Looks a burst of keys up that are all there; `keys` are of `size` bytes, one behind the other. */
static inline void rounds_find(const struct rte_hash *hash, const void *keys, size_t size, void *data[BURST])
{
	const void *key[BURST];
	uint64_t hits;

	for (uint32_t i = 0; i < BURST; i++)
		key[i] = (const char *)keys + i * size;
	if (rte_hash_lookup_bulk_data(hash, key, BURST, &hits, data) != BURST)
		errx(1, "rte_hash lost a key");
}

/** The next of a sequence of numbers below `n`, the same in every run. */
static inline uint32_t rounds_random(uint32_t *state, uint32_t n)
{
	*state = *state * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)*state * n >> 32);
}

/** Starts DPDK with so much memory. */
static inline void rounds_start(char *program, char *megabytes)
{
	char *eal[] = {program, "--no-huge", "-m", megabytes, "--no-pci", "--no-telemetry",
		"--log-level=error", NULL};

	if (rte_eal_init(sizeof(eal) / sizeof(eal[0]) - 1, eal) < 0)
		errx(1, "DPDK does not start");
}
