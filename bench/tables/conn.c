/*
 * conn.c: the connection table's look-up beside that of the library it stands in for, rte_hash with lock-free
 * readers. One thread, random known keys of both directions in bursts of 32, each in the way it is meant to
 * be used: the connection table in its three passes, rte_hash by rte_hash_lookup_bulk_data(). Both count the
 * packet in what they find. Then new connections, and hashes. Cycles by TSC, median of several rounds in turns.
 *
 *   bench-conn [CONNECTIONS ...]
 */
#include "dataplane/lb/conn.h"

#define XXH_INLINE_ALL
#include <err.h>
#include <rte_cycles.h>
#include <xxhash.h>

#include "bench/tables/rounds.h"

enum { LOOKUPS = 1 << 20, ROUND = 1 << 13, BACKENDS = 100 };

/* What rte_hash leads to: as much as a side of a connection. */
struct __attribute__((aligned(64))) plain_side {
	uint64_t packets, bytes, rest[6];
};

struct tables {
	struct conn_table *conns;
	struct rte_hash *hash;
	struct plain_side *side;
	struct conn_key *key; /* [LOOKUPS], in the order of look-up */
};

static uint64_t sink; /* keeps the results alive */

static struct conn_new number(uint32_t n)
{
	uint32_t client = 0x0a000000 + n / 16, backend = 0x0b000000 + n % BACKENDS;
	uint16_t port = (uint16_t)(1024 + n % 16), id = (uint16_t)(n % BACKENDS);

	return (struct conn_new){
		.key = {conn_key(CONN_FORWARD, 1, 6, client, 99, port, 80),
			conn_key(CONN_REPLY, 1, 6, backend, client, 8080, port)},
		.end = {{backend, 8080, id}, {99, 80, id}},
		.flags = {CONN_SEEN},
		.now_s = 1,
	};
}

/* A table of a million may have a bucket that overflows: begun anew then, with another secret. */
static void fill_conns(struct tables *t, uint32_t n)
{
	struct conn_hit hit;

	t->conns = conn_open(n, BACKENDS);
	if (!t->conns)
		errx(1, "no memory for %u connections", n);
	for (uint32_t i = 0; i < n; i++) {
		struct conn_new conn = number(i);

		conn_hash(t->conns, conn.key, conn.hash, 2);
		if (conn_insert(t->conns, &conn, &hit)) {
			conn_close(t->conns);
			fill_conns(t, n);
			return;
		}
		if (conn_find(t->conns, &conn.key[CONN_REPLY], conn.hash[CONN_REPLY], CONN_NONE, &hit))
			conn_packet(&hit, CONN_SEEN, 1, 0);
	}
}

static void fill_hash(struct tables *t, uint32_t n)
{
	t->hash = rounds_hash("conn", n * 4 < 64 ? 64 : n * 4, sizeof(struct conn_key));
	t->side = aligned_alloc(64, (size_t)n * 2 * sizeof(*t->side));
	if (!t->side)
		errx(1, "no memory for %u connections", n);
	for (uint32_t i = 0; i < n * 2; i++) {
		struct conn_new conn = number(i / 2);

		t->side[i] = (struct plain_side){0};
		if (rte_hash_add_key_data(t->hash, &conn.key[i % 2], &t->side[i]) < 0)
			errx(1, "rte_hash is full at %u of %u", i, n * 2);
	}
}

static double conn_round(const struct tables *t, uint32_t from)
{
	uint64_t start = rte_rdtsc(), hash[BURST];
	uint32_t guess[BURST];
	struct conn_hit hit;

	for (uint32_t i = from; i < from + ROUND; i += BURST) {
		conn_hash(t->conns, &t->key[i], hash, BURST);
		for (uint32_t j = 0; j < BURST; j++)
			conn_prefetch_bucket(t->conns, hash[j]);
		for (uint32_t j = 0; j < BURST; j++)
			guess[j] = conn_guess(t->conns, hash[j]);
		for (uint32_t j = 0; j < BURST; j++) {
			if (!conn_find(t->conns, &t->key[i + j], hash[j], guess[j], &hit))
				errx(1, "the table lost a connection");
			conn_packet(&hit, CONN_SEEN, 1, 64);
			sink += hit.end.ip;
		}
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
			__builtin_prefetch(data[j], 1);
		for (uint32_t j = 0; j < BURST; j++) {
			struct plain_side *side = data[j];

			side->packets++;
			side->bytes += 64;
			sink += side->packets;
		}
	}
	return (double)(rte_rdtsc() - start) / ROUND;
}

static void compare_tables(uint32_t n)
{
	struct tables t = {.key = calloc(LOOKUPS, sizeof(*t.key))};
	double conn[ROUNDS], hash[ROUNDS];
	uint32_t random = 1;

	if (!t.key)
		errx(1, "no memory");
	fill_conns(&t, n);
	fill_hash(&t, n);
	for (uint32_t i = 0; i < LOOKUPS; i++)
		t.key[i] = number(rounds_random(&random, n)).key[i % 2];
	for (int i = 0; i < ROUNDS; i++) {
		conn[i] = conn_round(&t, i * ROUND % LOOKUPS);
		hash[i] = hash_round(&t, i * ROUND % LOOKUPS);
	}
	rounds_print(n, conn, hash);
	conn_close(t.conns);
	rte_hash_free(t.hash);
	free(t.side);
	free(t.key);
}

/* A new connection: hashes of both keys, that there is none yet in either direction, insertion. */
static double new_round(struct conn_table *t, uint32_t *next)
{
	uint64_t start = rte_rdtsc();

	for (uint32_t i = 0; i < ROUND; i++) {
		struct conn_new conn = number((*next)++);
		struct conn_hit hit;

		conn_hash(t, conn.key, conn.hash, 2);
		if (conn_find(t, &conn.key[0], conn.hash[0], CONN_NONE, &hit) ||
			conn_find(t, &conn.key[1], conn.hash[1], CONN_NONE, &hit))
			errx(1, "found what is not there");
		sink += conn_insert(t, &conn, &hit) == 0;
	}
	return (double)(rte_rdtsc() - start) / ROUND;
}

static void bench_new(uint32_t n)
{
	struct conn_table *t = conn_open(n, BACKENDS);
	double empty[ROUNDS], full[ROUNDS];
	uint32_t next = 0;
	int rounds = n / ROUND < ROUNDS ? (int)(n / ROUND) : ROUNDS;

	if (!t)
		errx(1, "no memory for %u connections", n);
	for (int r = 0; r < ROUNDS; r++)
		empty[r] = r < rounds ? new_round(t, &next) : empty[r % rounds];
	while (next < n)
		new_round(t, &next);
	for (int r = 0; r < ROUNDS; r++)
		full[r] = new_round(t, &next);
	printf("%9u  %8.1f  %8.1f\n", n, rounds_median(empty), rounds_median(full));
	conn_close(t);
}

#define BENCH_HASH(name, expression)                                                                         \
	do {                                                                                                 \
		double cycles[ROUNDS];                                                                       \
		for (int r = 0; r < ROUNDS; r++) {                                                           \
			uint64_t start = rte_rdtsc();                                                        \
			for (uint32_t i = 0; i < ROUND; i += BURST) {                                        \
				expression;                                                                  \
				for (uint32_t j = 0; j < BURST; j++)                                         \
					sink += hash[j];                                                     \
			}                                                                                    \
			cycles[r] = (double)(rte_rdtsc() - start) / ROUND;                                   \
		}                                                                                            \
		printf("%-34s %6.1f\n", name, rounds_median(cycles));                                        \
	} while (0)

static void bench_hashes(void)
{
	struct conn_table *t = conn_open(1, 1);
	struct conn_key key[BURST];
	uint64_t hash[BURST], secret[2] = {1, 2};

	if (!t)
		errx(1, "no memory");
	for (uint32_t i = 0; i < BURST; i++)
		key[i] = number(i).key[0];
	BENCH_HASH("SipHash-1-3", conn_hash(t, key, hash, BURST));
	BENCH_HASH("XXH3 with a seed", for (uint32_t j = 0; j < BURST; j++) hash[j] =
					       XXH3_64bits_withSeed(&key[j], sizeof(key[j]), secret[0]));
	BENCH_HASH("CRC32C, no secret",
		for (uint32_t j = 0; j < BURST; j++) hash[j] = rte_hash_crc(&key[j], sizeof(key[j]), 1));
	conn_close(t);
}

static void compare_all(const uint32_t *n, size_t count)
{
	for (size_t i = 0; i < count; i++)
		compare_tables(n[i]);
}

static void bench_all(void)
{
	static const uint32_t usual[] = {1000, 10000, 100000, 1000000}, largest = 10000000;

	compare_all(usual, sizeof(usual) / sizeof(usual[0]));
	compare_all(&largest, 1);
	printf("\ncycles a new connection: into an empty table; each in place of an older one\n"
	       "    conns     empty      full\n");
	for (size_t i = 1; i < sizeof(usual) / sizeof(usual[0]); i++)
		bench_new(usual[i]);
	printf("\ncycles a hash of 16 bytes, in bursts of 32\n");
	bench_hashes();
}

int main(int argc, char **argv)
{
	rounds_start(argv[0], "8192");
	printf("cycles a look-up, both directions\n    conns      conn  rte_hash  ratio\n");
	if (argc == 1)
		bench_all();
	for (int i = 1; i < argc; i++)
		compare_all(&(uint32_t){(uint32_t)strtoul(argv[i], NULL, 10)}, 1);
	rte_eal_cleanup();
	return sink == 0; /* never */
}
