/*
 * maglev.c: the table that balances: what building one takes, for services of one backend to as many as there
 * may be, with weights that are alike and with one far above the others (the least of several); and a look-up
 * (the median).
 */
#include "dataplane/lb/maglev.h"

#include <err.h>
#include <math.h>
#include <rte_cycles.h>
#include <stdio.h>
#include <time.h>

#include "bench/tables/rounds.h"

enum { LOOKUPS = 1 << 13, BUILDS = 5 };

static uint64_t sink; /* keeps the results alive */

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* The least: what comes in between only adds. */
static double build_ms(const struct maglev_backend *b, uint32_t n)
{
	double least = INFINITY, took;

	for (unsigned i = 0; i < BUILDS; i++) {
		double start = now_ms();
		struct maglev *table = maglev_build(b, n);

		took = now_ms() - start;
		least = took < least ? took : least;
		sink += maglev_at(table, 0);
		free(table);
	}
	return least;
}

static double lookup_cycles(const struct maglev_backend *b, uint32_t n)
{
	struct maglev *table = maglev_build(b, n);
	double cycles[ROUNDS];

	for (unsigned r = 0; r < ROUNDS; r++) {
		uint64_t start = rte_rdtsc();

		for (uint32_t i = 0; i < LOOKUPS; i++)
			sink += maglev_at(table, maglev_slot(table, maglev_hash(i, i)));
		cycles[r] = (double)(rte_rdtsc() - start) / LOOKUPS;
	}
	free(table);
	return rounds_median(cycles);
}

static void measure(uint32_t n)
{
	struct maglev_backend *b = calloc(n, sizeof(*b));
	double alike, mixed, one, cycles;

	if (!b)
		errx(1, "no memory");
	for (uint32_t i = 0; i < n; i++)
		b[i] = (struct maglev_backend){
			ip_from4(__builtin_bswap32(0x0a000001 + i)), 80, 1, (uint16_t)i};
	alike = build_ms(b, n);
	cycles = lookup_cycles(b, n);
	for (uint32_t i = 0; i < n; i++)
		b[i].weight = (uint16_t)(1 + i % 10);
	mixed = build_ms(b, n);
	for (uint32_t i = 0; i < n; i++)
		b[i].weight = i == n / 2 ? UINT16_MAX : 1;
	one = build_ms(b, n);
	printf("%9u  %8u  %8.3f  %8.3f  %8.3f  %8.1f\n", n, maglev_size(n), alike, mixed, one, cycles);
	free(b);
}

int main(void)
{
	static const uint32_t numbers[] = {1, 10, 100, 500, 1000, 2000, 16384};

	printf("                     ms a build, by weights\n"
	       " backends     slots     alike     mixed   one big    cycles a look-up\n");
	for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		measure(numbers[i]);
	return sink == 0; /* never */
}
