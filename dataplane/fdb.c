#include "dataplane/fdb.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "dataplane/mem.h"

/* A slot that a writer is filling or emptying: no MAC can be this key, for it is broadcast. */
#define KEY_BUSY UINT64_MAX

static uint64_t value_of(uint32_t hash, uint8_t flags, uint16_t gen, uint16_t tick, uint16_t target)
{
	return (uint64_t)(hash >> 24) << 56 | fdb_untagged(target, flags, tick, gen);
}

int fdb_open(uint32_t entries, struct fdb **out)
{
	uint64_t buckets = 64;
	struct fdb *fdb = calloc(1, sizeof(*fdb));

	if (!fdb)
		return -ENOMEM;
	while (buckets * FDB_WAYS < (uint64_t)entries * 2)
		buckets *= 2;
	fdb->mask = (uint32_t)(buckets - 1);
	fdb->bucket = mem_alloc(buckets * sizeof(*fdb->bucket));
	if (!fdb->bucket) {
		free(fdb);
		return -ENOMEM;
	}
	if (getrandom(fdb->secret, sizeof(fdb->secret), 0) != sizeof(fdb->secret)) {
		fdb_close(fdb);
		return -EIO;
	}
	fdb->secret[1] |= 1;
	fdb->secret[3] |= 1;
	*out = fdb;
	return 0;
}

void fdb_close(struct fdb *fdb)
{
	if (!fdb)
		return;
	mem_free(fdb->bucket, (size_t)fdb_buckets(fdb) * sizeof(*fdb->bucket));
	free(fdb);
}

void fdb_touch(struct fdb *fdb)
{
	mem_touch(fdb->bucket, (size_t)fdb_buckets(fdb) * sizeof(*fdb->bucket));
}

/* Fills an empty slot of `bucket`. A reader sees the key only once the value is there. */
static bool fill(struct fdb_bucket *bucket, uint64_t key, uint64_t value)
{
	for (unsigned i = 0; i < FDB_WAYS; i++) {
		uint64_t empty = 0;

		if (atomic_load_explicit(&bucket->key[i], memory_order_relaxed) != 0)
			continue;
		if (!atomic_compare_exchange_strong(&bucket->key[i], &empty, KEY_BUSY))
			continue;
		atomic_store_explicit(&bucket->value[i], value, memory_order_relaxed);
		atomic_store_explicit(&bucket->key[i], key, memory_order_release);
		return true;
	}
	return false;
}

/* Empties a slot if it still holds what the caller saw. */
static bool empty_slot(struct fdb_bucket *bucket, int way, uint64_t key, uint64_t value)
{
	uint64_t expect = key;

	if (!atomic_compare_exchange_strong(&bucket->key[way], &expect, KEY_BUSY))
		return false;
	if (atomic_load(&bucket->value[way]) != value) { /* refreshed meanwhile */
		atomic_store(&bucket->key[way], key);
		return false;
	}
	atomic_store_explicit(&bucket->value[way], FDB_NONE, memory_order_relaxed);
	atomic_store_explicit(&bucket->key[way], 0, memory_order_release);
	return true;
}

/* The other bucket that a key of `bucket` may lie in. */
static struct fdb_bucket *other_bucket(struct fdb *fdb, const struct fdb_bucket *bucket, uint64_t key)
{
	uint32_t hash = fdb_hash(fdb, key);
	struct fdb_bucket *first = fdb_first(fdb, hash);

	return first == bucket ? fdb_second(fdb, hash) : first;
}

/*
 * Makes room in a full bucket: moves one of its entries to that one's other bucket. It is there twice for a
 * moment, so that readers find it; who reads the first bucket before and the second after misses it once.
 */
static bool make_room(struct fdb *fdb, struct fdb_bucket *bucket)
{
	for (int way = 0; way < FDB_WAYS; way++) {
		uint64_t key = atomic_load_explicit(&bucket->key[way], memory_order_acquire);
		uint64_t value = atomic_load_explicit(&bucket->value[way], memory_order_acquire);
		struct fdb_bucket *other;
		int copy;

		if (key == 0 || key == KEY_BUSY || value == FDB_NONE)
			continue;
		other = other_bucket(fdb, bucket, key);
		if (other == bucket || !fill(other, key, value))
			continue;
		if (empty_slot(bucket, way, key, value))
			return true;
		copy = fdb_way(other, key); /* refreshed meanwhile: it stays where it was */
		if (copy >= 0)
			empty_slot(other, copy, key, atomic_load(&other->value[copy]));
	}
	return false;
}

static bool insert(struct fdb *fdb, uint64_t key, uint32_t hash, uint64_t value)
{
	struct fdb_bucket *first = fdb_first(fdb, hash), *second = fdb_second(fdb, hash);

	return fill(first, key, value) || fill(second, key, value) ||
	       (make_room(fdb, first) && fill(first, key, value)) ||
	       (make_room(fdb, second) && fill(second, key, value));
}

/* The slot of `key` in either bucket, NULL: not there. */
static struct fdb_bucket *find(const struct fdb *fdb, uint64_t key, uint32_t hash, int *way)
{
	struct fdb_bucket *bucket = fdb_first(fdb, hash);

	*way = fdb_way(bucket, key);
	if (*way < 0) {
		bucket = fdb_second(fdb, hash);
		*way = fdb_way(bucket, key);
	}
	return *way < 0 ? NULL : bucket;
}

bool fdb_learn(struct fdb *fdb, uint64_t key, uint16_t target, uint8_t flags, uint16_t now, uint16_t gen)
{
	uint32_t hash = fdb_hash(fdb, key);
	uint64_t fresh = value_of(hash, flags, gen, now, target), old;
	int way;
	struct fdb_bucket *bucket = find(fdb, key, hash, &way);

	if (!bucket)
		return insert(fdb, key, hash, fresh);
	old = fdb_read(bucket, way, key, hash);
	if (old == fresh || old == FDB_NONE || (fdb_flags(old) & FDB_STATIC))
		return true;
	/* when another worker was faster, its news is as fresh as ours */
	atomic_compare_exchange_strong(&bucket->value[way], &old, fresh);
	return true;
}

/*
 * Is slot `way` of `bucket` one that no look-up finds, because another slot holds its key before it? A static
 * entry is kept: when it comes second, the other one goes.
 */
static bool shadowed(struct fdb *fdb, const struct fdb_bucket *bucket, int way, uint64_t key, uint64_t value)
{
	int first_way;
	struct fdb_bucket *first = find(fdb, key, fdb_hash(fdb, key), &first_way);
	uint64_t other;

	if (!first || (first == bucket && first_way == way))
		return false;
	if (!(fdb_flags(value) & FDB_STATIC))
		return true;
	other = atomic_load(&first->value[first_way]);
	if (!(fdb_flags(other) & FDB_STATIC))
		empty_slot(first, first_way, key, other);
	return false;
}

int fdb_remove(struct fdb *fdb, uint64_t key)
{
	uint32_t hash = fdb_hash(fdb, key);
	int way, rc = -ENOENT;
	struct fdb_bucket *bucket;

	/* also a second copy, and one that a worker refreshes while we look */
	while ((bucket = find(fdb, key, hash, &way)))
		if (empty_slot(bucket, way, key, atomic_load(&bucket->value[way])))
			rc = 0;
	return rc;
}

int fdb_add_static(struct fdb *fdb, uint64_t key, uint16_t target, uint8_t flags)
{
	uint32_t hash = fdb_hash(fdb, key);
	uint64_t fresh = value_of(hash, flags | FDB_STATIC, 0, 0, target), old;
	int way;
	struct fdb_bucket *bucket = find(fdb, key, hash, &way);

	if (!bucket)
		return insert(fdb, key, hash, fresh) ? 0 : -ENOSPC;
	old = atomic_load(&bucket->value[way]);
	if (fdb_flags(old) & FDB_STATIC)
		return -EEXIST;
	while (!atomic_compare_exchange_strong(&bucket->value[way], &old, fresh))
		;
	return 0;
}

void fdb_scan(struct fdb *fdb, uint32_t first, uint32_t last,
	bool (*fn)(void *arg, uint64_t key, uint64_t value), void *arg)
{
	if (last > fdb_buckets(fdb))
		last = fdb_buckets(fdb);
	for (uint32_t i = first; i < last; i++) {
		struct fdb_bucket *bucket = &fdb->bucket[i];

		for (int way = 0; way < FDB_WAYS; way++) {
			uint64_t key = atomic_load_explicit(&bucket->key[way], memory_order_acquire);
			uint64_t value = atomic_load_explicit(&bucket->value[way], memory_order_acquire);

			if (key == 0 || key == KEY_BUSY || value == FDB_NONE)
				continue;
			if (shadowed(fdb, bucket, way, key, value) || fn(arg, key, value))
				empty_slot(bucket, way, key, value);
		}
	}
}
