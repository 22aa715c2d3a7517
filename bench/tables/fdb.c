/*
 * fdb.c: the fdb's look-up beside that of the library it stands in for, rte_hash with lock-free readers. One
 * thread, random known MACs in bursts of 32, each in the way it is meant to be used: the fdb with its
 * prefetch, rte_hash by rte_hash_lookup_bulk_data(). Cycles by TSC, median of several rounds in turns.
 *
 *   bench-fdb [ENTRIES ...]
 */
#include "dataplane/l2/fdb.h"

#include <rte_cycles.h>

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

static void fill(struct tables *t, uint32_t entries)
{
	uint32_t random = 1;

	if (fdb_open(entries, &t->fdb) < 0)
		errx(1, "no memory for %u entries", entries);
	t->hash = rounds_hash("fdb", entries * 2, sizeof(uint64_t));
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
	uint64_t start = rte_rdtsc();
	void *data[BURST];

	for (uint32_t i = from; i < from + ROUND; i += BURST) {
		rounds_find(t->hash, &t->key[i], sizeof(t->key[0]), data);
		for (uint32_t j = 0; j < BURST; j++)
			sink += (uintptr_t)data[j];
	}
	return (double)(rte_rdtsc() - start) / ROUND;
}

static void compare(struct tables *t, uint32_t entries)
{
	double fdb[ROUNDS], hash[ROUNDS];

	fill(t, entries);
	for (int i = 0; i < ROUNDS; i++) {
		fdb[i] = fdb_round(t, i * ROUND % LOOKUPS);
		hash[i] = hash_round(t, i * ROUND % LOOKUPS);
	}
	rounds_print(entries, fdb, hash);
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
