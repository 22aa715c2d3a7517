#include "dataplane/maglev.h"

#include <stdbool.h>
#include <stdlib.h>

#define SLOT_FREE UINT16_MAX

/* A backend's permutation of the slots: offset, offset + skip, offset + 2 skip ... modulo the (prime) size.
 */
struct turn {
	uint32_t next, skip;
	uint64_t due; /* its share so far, in units of 1 / heaviest weight */
};

uint32_t maglev_size(size_t nbackends)
{
	static const uint32_t primes[] = {251, 509, 1021, 2039, 4093, 8191, 16381, 32749};

	for (size_t i = 0; i < sizeof(primes) / sizeof(primes[0]); i++)
		if (primes[i] >= nbackends * MAGLEV_SLOTS_PER_BACKEND)
			return primes[i];
	return MAGLEV_SIZE_MAX;
}

/* The finalizer of MurmurHash3, a bijection that mixes every bit into every other. */
static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= UINT64_C(0xff51afd7ed558ccd);
	x ^= x >> 33;
	x *= UINT64_C(0xc4ceb9fe1a85ec53);
	return x ^ (x >> 33);
}

static struct turn first_turn(const struct maglev_backend *b, uint32_t size)
{
	uint64_t who = mix(((uint64_t)__builtin_bswap32(b->address) << 16) + b->port + 1);

	return (struct turn){
		.next = (uint32_t)(who % size),
		.skip = (uint32_t)(mix(who + UINT64_C(0x9e3779b97f4a7c15)) % (size - 1)) + 1,
	};
}

/* Gives the next slot of its permutation that is free to the backend. */
static void take_slot(struct maglev *table, struct turn *turn, uint16_t id)
{
	while (table->slot[turn->next] != SLOT_FREE)
		turn->next = (turn->next + turn->skip) % table->size;
	table->slot[turn->next] = id;
}

static void fill(
	struct maglev *table, const struct maglev_backend *b, size_t n, struct turn *turn, uint16_t heaviest)
{
	uint32_t left = table->size;

	for (uint64_t round = 0;; round++)
		for (size_t i = 0; i < n; i++) {
			if (!b[i].weight || round * b[i].weight < turn[i].due)
				continue;
			turn[i].due += heaviest;
			take_slot(table, &turn[i], b[i].id);
			if (--left == 0)
				return;
		}
}

struct maglev *maglev_build(const struct maglev_backend *b, size_t n)
{
	uint32_t size = maglev_size(n);
	struct maglev *table = malloc(sizeof(*table) + size * sizeof(table->slot[0]));
	struct turn *turn = calloc(n ? n : 1, sizeof(*turn));
	uint16_t heaviest = 0;

	for (size_t i = 0; i < n; i++)
		if (b[i].weight > heaviest)
			heaviest = b[i].weight;
	if (!table || !turn || !heaviest) {
		free(table);
		free(turn);
		return NULL;
	}
	table->size = size;
	for (uint32_t i = 0; i < size; i++)
		table->slot[i] = SLOT_FREE;
	for (size_t i = 0; i < n; i++)
		turn[i] = first_turn(&b[i], size);
	fill(table, b, n, turn, heaviest);
	free(turn);
	return table;
}
