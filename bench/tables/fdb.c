/*
 * fdb.c: the fdb's look-up beside that of the library it stands in for, rte_hash with lock-free readers. One
 * thread, random known MACs in bursts of 32, each in the way it is meant to be used: the fdb with its
 * prefetch, rte_hash by rte_hash_lookup_bulk_data(). Cycles by TSC, median of several rounds in turns.
 *
 *   bench-fdb [ENTRIES ...]
 */
#include "dataplane/l2/fdb.h"

#include <err.h>
#include <rte_cycles.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/tables/rounds.h"

enum { LOOKUPS = 1 << 20, ROUND = 1 << 13 };

struct tables {
	struct fdb *fdb;
	struct rte_hash *hash;
	uint64_t *key; /* [LOOKUPS], in the order of look-up */
};

static uint64_t sink; /* keeps the results alive */

static uint64_t key_of(uint32_t n)
{
	uint8_t mac[6] = {2, 0, (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};

	return fdb_key(7, mac);
}

static struct rte_hash *hash_new(uint32_t entries)
{
	struct rte_hash_parameters parameters = {
		.name = "fdb",
		.entries = entries * 2,
		.key_len = sizeof(uint64_t),
		.hash_func = rte_hash_crc,
		.socket_id = SOCKET_ID_ANY,
		.extra_flag = RTE_HASH_EXTRA_FLAGS_MULTI_WRITER_ADD | RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF,
	};
	struct rte_hash *hash = rte_hash_create(&parameters);

	if (!hash)
		errx(1, "rte_hash_create: no memory for %u entries", entries);
	return hash;
}

static void fill(struct tables *t, uint32_t entries)
{
	uint32_t random = 1;

	if (fdb_open(entries, &t->fdb) < 0)
		errx(1, "no memory for %u entries", entries);
	t->hash = hash_new(entries);
	for (uint32_t n = 0; n < entries; n++) {
		uint64_t key = key_of(n);

		struct fdb_seen seen = {.target = (uint16_t)n, .now = 1, .gen = 1};
		uint64_t was;

		if (fdb_learn(t->fdb, key, &seen, &was) != FDB_LEARNED)
			errx(1, "the fdb is full at %u of %u", n, entries);
		if (rte_hash_add_key_data(t->hash, &key, (void *)(uintptr_t)(n + 1)) < 0)
			errx(1, "rte_hash is full at %u of %u", n, entries);
	}
	for (uint32_t i = 0; i < LOOKUPS; i++)
		t->key[i] = key_of(rounds_random(&random, entries));
}

static double fdb_round(const struct tables *t, uint32_t from)
{
	uint64_t start = rte_rdtsc();
	struct asked asked[BURST];

	for (uint32_t i = from; i < from + ROUND; i += BURST) {
		for (uint32_t j = 0; j < BURST; j++)
			fdb_ask(t->fdb, t->key[i + j], &asked[j]);
		for (uint32_t j = 0; j < BURST; j++)
			sink += fdb_find(
				t->fdb, t->key[i + j], fdb_asked_hash(t->fdb, t->key[i + j], &asked[j]));
	}
	return (double)(rte_rdtsc() - start) / ROUND;
}

static double hash_round(const struct tables *t, uint32_t from)
{
	uint64_t start = rte_rdtsc(), hits;
	const void *key[BURST];
	void *data[BURST];

	for (uint32_t i = from; i < from + ROUND; i += BURST) {
		for (uint32_t j = 0; j < BURST; j++)
			key[j] = &t->key[i + j];
		if (rte_hash_lookup_bulk_data(t->hash, key, BURST, &hits, data) != BURST)
			errx(1, "rte_hash lost a key");
		for (uint32_t j = 0; j < BURST; j++)
			sink += (uintptr_t)data[j];
	}
	return (double)(rte_rdtsc() - start) / ROUND;
}

static void compare(struct tables *t, uint32_t entries)
{
	double fdb[ROUNDS], hash[ROUNDS], ours, theirs;

	fill(t, entries);
	for (int i = 0; i < ROUNDS; i++) {
		fdb[i] = fdb_round(t, i * ROUND % LOOKUPS);
		hash[i] = hash_round(t, i * ROUND % LOOKUPS);
	}
	ours = rounds_median(fdb);
	theirs = rounds_median(hash);
	printf("%9u  %8.1f  %8.1f  %5.2f\n", entries, ours, theirs, theirs / ours);
	fdb_close(t->fdb);
	rte_hash_free(t->hash);
}

int main(int argc, char **argv)
{
	static const uint32_t usual[] = {1000, 65536, 100000, 1000000, 10000000};
	struct tables t = {.key = calloc(LOOKUPS, sizeof(*t.key))};

	if (!t.key)
		errx(1, "no memory");
	rounds_start(argv[0], "4096");
	printf("cycles a look-up\n  entries       fdb  rte_hash  ratio\n");
	if (argc > 1)
		for (int i = 1; i < argc; i++)
			compare(&t, (uint32_t)strtoul(argv[i], NULL, 10));
	else
		for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
			compare(&t, usual[i]);
	free(t.key);
	rte_eal_cleanup();
	return sink == 0; /* never */
}
