/* rounds.h: what the benches of tables share. */
#pragma once

#include <err.h>
#include <rte_eal.h>
#include <stdint.h>
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
