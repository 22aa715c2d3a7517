#include "dataplane/lb/maglev.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
	BLOCK = 64, /* backends that are passed over at once in rounds in which none of them takes a slot */
	WORD = 64,
};
#define NEVER UINT32_MAX

/* A backend's permutation of the slots: offset, offset + skip, offset + 2 skip ... modulo the (prime) size.
 */
struct turn {
	uint32_t next, skip;
	uint32_t round; /* in which it takes its next slot */
	uint32_t taken;
};

/* A table that is being filled. */
struct filling {
	struct maglev *table;
	const struct maglev_backend *backend;
	size_t n;
	struct turn *turn; /* [n] */
	uint32_t *round;   /* the first in which one of a block of backends takes a slot */
	uint32_t left;	   /* slots that are free */
	uint16_t heaviest; /* weight */
	uint64_t *used;	   /* a bit for each slot: these stay in the nearest cache, the slots do not */
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

/* A number for who it is. IPv4's is what it was before there was IPv6: hosts of both versions choose alike. */
static uint64_t number(const struct maglev_backend *b)
{
	struct ip_addr a = b->address;

	if (ip_is4(a))
		return mix(((uint64_t)__builtin_bswap32(ip_to4(a)) << 16) + b->port + 1);
	return mix(mix(mix(__builtin_bswap64(a.q[0])) + __builtin_bswap64(a.q[1])) + b->port + 1);
}

static struct turn first_turn(const struct maglev_backend *b, uint32_t size)
{
	uint64_t who = number(b);

	return (struct turn){
		.next = (uint32_t)(who % size),
		.skip = (uint32_t)(mix(who + UINT64_C(0x9e3779b97f4a7c15)) % (size - 1)) + 1,
		.round = b->weight ? 0 : NEVER,
	};
}

static void put(struct maglev *table, uint32_t slot, uint16_t id)
{
	if (table->wide)
		memcpy(table->slot + 2 * (size_t)slot, &id, sizeof(id));
	else
		table->slot[slot] = (uint8_t)id;
}

static bool is_used(const struct filling *f, uint32_t slot)
{
	return f->used[slot / WORD] >> (slot % WORD) & 1;
}

/* The next slot of its permutation that is free becomes the backend's. Nearly all of the time goes here: to fill
 * m slots takes about m ln m looks. */
static void take_slot(struct filling *f, size_t i)
{
	struct turn *turn = &f->turn[i];
	uint32_t slot = turn->next, skip = turn->skip, size = f->table->size;

	while (is_used(f, slot)) {
		slot += skip;
		slot -= slot >= size ? size : 0;
	}
	f->used[slot / WORD] |= UINT64_C(1) << (slot % WORD);
	put(f->table, slot, f->backend[i].id);
	f->left--;
	turn->next = slot;
	turn->taken++;
}

/* A backend has its turn in the first round by which its share is due, so that in as many rounds as make the
 * heaviest take k slots, another takes k times its weight over the heaviest's. */
static void await_turn(struct filling *f, size_t i)
{
	uint64_t due = (uint64_t)f->turn[i].taken * f->heaviest;
	uint16_t weight = f->backend[i].weight;

	f->turn[i].round = weight == f->heaviest ? f->turn[i].taken : (uint32_t)((due + weight - 1) / weight);
}

/* Returns the first later round in which a backend of the block has a turn. */
static uint32_t fill_block(struct filling *f, size_t block, uint32_t round)
{
	size_t end = (block + 1) * BLOCK < f->n ? (block + 1) * BLOCK : f->n;
	uint32_t first = NEVER;

	for (size_t i = block * BLOCK; i < end && f->left; i++) {
		if (f->turn[i].round == round) {
			take_slot(f, i);
			await_turn(f, i);
		}
		if (f->turn[i].round < first)
			first = f->turn[i].round;
	}
	return first;
}

/* Round by round, and in each in the order of the backends. */
static void fill(struct filling *f)
{
	size_t blocks = (f->n + BLOCK - 1) / BLOCK;

	for (uint32_t round = 0, next; f->left; round = next) {
		next = NEVER;
		for (size_t i = 0; i < blocks && f->left; i++) {
			if (f->round[i] == round)
				f->round[i] = fill_block(f, i, round);
			if (f->round[i] < next)
				next = f->round[i];
		}
	}
}

static void fill_begin(struct filling *f)
{
	for (size_t i = 0; i < f->n; i++)
		f->turn[i] = first_turn(&f->backend[i], f->table->size);
}

struct maglev *maglev_build(const struct maglev_backend *b, size_t n)
{
	uint32_t size = maglev_size(n);
	struct filling f = {.backend = b, .n = n, .left = size};

	bool wide = false;

	for (size_t i = 0; i < n; i++) {
		if (b[i].weight > f.heaviest)
			f.heaviest = b[i].weight;
		wide |= b[i].id > UINT8_MAX;
	}
	if (!f.heaviest)
		return NULL;
	f.table = malloc(sizeof(*f.table) + size * (wide ? 2 : 1));
	f.turn = calloc(n ? n : 1, sizeof(*f.turn));
	f.round = calloc(n / BLOCK + 1, sizeof(*f.round));
	f.used = calloc(size / WORD + 1, sizeof(*f.used));
	if (f.table && f.turn && f.round && f.used) {
		f.table->size = size;
		f.table->wide = wide;
		fill_begin(&f);
		fill(&f);
	} else {
		free(f.table);
		f.table = NULL;
	}
	free(f.turn);
	free(f.round);
	free(f.used);
	return f.table;
}
