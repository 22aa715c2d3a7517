#include "dataplane/l2/fdb.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "dataplane/core/mem.h"

/* A slot that a writer is filling or emptying: no MAC can be this key, for it is broadcast. */
#define KEY_BUSY UINT64_MAX

static uint64_t value_of(uint32_t hash, uint8_t flags, uint16_t gen, uint16_t tick, uint16_t target)
{
	return (uint64_t)(hash >> 24) << 56 | fdb_untagged(target, flags, tick, gen);
}

static uint16_t net_of(uint64_t key)
{
	return (uint16_t)(key >> 48);
}

/* Where a dynamic entry is counted, NULL: nowhere. */
static struct fdb_port *port_of(const struct fdb *fdb, uint16_t target, uint8_t flags)
{
	return !(flags & (FDB_VTEP | FDB_STATIC)) && target < FDB_PORTS ? &fdb->port[target] : NULL;
}

/* Counts a slot that holds `value`, or no longer does. */
static void charge(struct fdb *fdb, uint64_t key, uint64_t value)
{
	struct fdb_port *port = port_of(fdb, fdb_target(value), fdb_flags(value));

	if (port)
		atomic_fetch_add_explicit(&port->macs, 1, memory_order_relaxed);
	if (!(fdb_flags(value) & FDB_STATIC))
		share_force(fdb->share, net_of(key));
}

static void discharge(struct fdb *fdb, uint64_t key, uint64_t value)
{
	struct fdb_port *port = port_of(fdb, fdb_target(value), fdb_flags(value));

	if (port)
		atomic_fetch_sub_explicit(&port->macs, 1, memory_order_relaxed);
	if (!(fdb_flags(value) & FDB_STATIC))
		share_give(fdb->share, net_of(key));
}

/* Counts one more at the port of `seen`, if it may have it. */
static bool take_mac(struct fdb *fdb, const struct fdb_seen *seen)
{
	struct fdb_port *port = port_of(fdb, seen->target, seen->flags);
	uint32_t limit;

	if (!port)
		return true;
	limit = atomic_load_explicit(&port->limit, memory_order_relaxed);
	if (limit && !seen->own && atomic_load_explicit(&port->macs, memory_order_relaxed) >= limit)
		return false; /* the usual answer to a flood: nothing is written */
	if (atomic_fetch_add_explicit(&port->macs, 1, memory_order_relaxed) < limit || !limit || seen->own)
		return true;
	atomic_fetch_sub_explicit(&port->macs, 1, memory_order_relaxed);
	return false;
}

static void give_mac(struct fdb *fdb, uint16_t target, uint8_t flags)
{
	struct fdb_port *port = port_of(fdb, target, flags);

	if (port)
		atomic_fetch_sub_explicit(&port->macs, 1, memory_order_relaxed);
}

void fdb_limit_port(struct fdb *fdb, uint16_t id, uint32_t limit, bool sticky)
{
	atomic_store_explicit(&fdb->port[id].limit, limit, memory_order_relaxed);
	atomic_store_explicit(&fdb->port[id].sticky, sticky, memory_order_relaxed);
}

uint32_t fdb_port_macs(const struct fdb *fdb, uint16_t id)
{
	return id < FDB_PORTS ? atomic_load_explicit(&fdb->port[id].macs, memory_order_relaxed) : 0;
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
	fdb->port = mem_alloc(FDB_PORTS * sizeof(*fdb->port));
	fdb->share = share_new(entries);
	if (!fdb->bucket || !fdb->port || !fdb->share) {
		fdb_close(fdb);
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
	mem_free(fdb->port, FDB_PORTS * sizeof(*fdb->port));
	share_free(fdb->share);
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

/*
 * Empties a slot if it still holds what the caller saw. The value goes by compare and swap: another worker
 * may refresh or move the entry at this moment, looking at the value alone, and one of the two must notice
 * that it came second.
 */
static bool empty_slot(struct fdb *fdb, struct fdb_bucket *bucket, int way, uint64_t key, uint64_t value)
{
	uint64_t expect = key, seen = value;

	if (!atomic_compare_exchange_strong(&bucket->key[way], &expect, KEY_BUSY))
		return false;
	if (!atomic_compare_exchange_strong(&bucket->value[way], &seen, FDB_NONE)) { /* refreshed meanwhile */
		atomic_store(&bucket->key[way], key);
		return false;
	}
	atomic_store_explicit(&bucket->key[way], 0, memory_order_release);
	discharge(fdb, key, value);
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
		if (other == bucket)
			continue;
		charge(fdb, key, value);
		if (!fill(other, key, value)) {
			discharge(fdb, key, value);
			continue;
		}
		if (empty_slot(fdb, bucket, way, key, value))
			return true;
		copy = fdb_way(other, key); /* refreshed meanwhile: it stays where it was */
		if (copy >= 0)
			empty_slot(fdb, other, copy, key, atomic_load(&other->value[copy]));
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

static enum fdb_learned learn_new(struct fdb *fdb, uint64_t key, uint32_t hash, const struct fdb_seen *seen)
{
	uint64_t fresh = value_of(hash, seen->flags, seen->gen, seen->now, seen->target);

	if (!take_mac(fdb, seen))
		return FDB_PORT_FULL;
	if (!share_take(fdb->share, net_of(key))) {
		give_mac(fdb, seen->target, seen->flags);
		return FDB_NET_FULL;
	}
	if (insert(fdb, key, hash, fresh))
		return FDB_LEARNED;
	discharge(fdb, key, fresh);
	return FDB_FULL;
}

/* Moves that count against what `seen` allows in its second: see fdb_learn(). */
static unsigned moves_so_far(uint64_t old, const struct fdb_seen *seen)
{
	uint16_t age = fdb_age(old, seen->now);
	unsigned moves = fdb_moves(old);

	if (age == 0)
		return moves;
	return age == 1 && moves > seen->moves && seen->moves ? seen->moves - 1u : 0;
}

static uint64_t with_moves(uint64_t value, unsigned moves)
{
	return (value & ~((uint64_t)FDB_MOVES << FDB_MOVES_AT)) | (uint64_t)moves << FDB_MOVES_AT;
}

/* Is a live entry to stay where it is? FDB_MOVED: no. */
static enum fdb_learned hold(
	struct fdb *fdb, struct fdb_bucket *bucket, int way, uint64_t old, const struct fdb_seen *seen)
{
	const struct fdb_port *port = port_of(fdb, fdb_target(old), fdb_flags(old));
	unsigned moves = moves_so_far(old, seen);

	if (port && atomic_load_explicit(&port->sticky, memory_order_relaxed))
		return FDB_STICKY;
	if (!seen->moves || moves < seen->moves)
		return FDB_MOVED;
	if (moves > seen->moves)
		return FDB_HELD;
	return atomic_compare_exchange_strong(&bucket->value[way], &old, with_moves(old, moves + 1))
		       ? FDB_HOLDS
		       : FDB_HELD;
}

static enum fdb_learned move(struct fdb *fdb, struct fdb_bucket *bucket, int way, uint64_t old,
	uint64_t fresh, const struct fdb_seen *seen)
{
	bool alive = fdb_alive(old, seen->gen);

	if (alive && !seen->own) {
		enum fdb_learned held = hold(fdb, bucket, way, old, seen);

		if (held != FDB_MOVED)
			return held;
	}
	if (!take_mac(fdb, seen))
		return FDB_PORT_FULL;
	if (alive && seen->moves)
		fresh = with_moves(fresh, seen->own ? 0 : moves_so_far(old, seen) + 1);
	if (!atomic_compare_exchange_strong(&bucket->value[way], &old, fresh)) {
		give_mac(fdb, seen->target, seen->flags); /* another worker was faster */
		return FDB_KEPT;
	}
	give_mac(fdb, fdb_target(old), fdb_flags(old));
	return alive ? FDB_MOVED : FDB_LEARNED;
}

enum fdb_learned fdb_learn(struct fdb *fdb, uint64_t key, const struct fdb_seen *seen, uint64_t *was)
{
	uint32_t hash = fdb_hash(fdb, key);
	uint64_t fresh = value_of(hash, seen->flags, seen->gen, seen->now, seen->target), old;
	int way;
	struct fdb_bucket *bucket = find(fdb, key, hash, &way);

	if (!bucket)
		return learn_new(fdb, key, hash, seen);
	old = fdb_read(bucket, way, key, hash);
	if (old == FDB_NONE || (fdb_flags(old) & FDB_STATIC))
		return FDB_KEPT;
	*was = old;
	if (fdb_target(old) != seen->target || (fdb_flags(old) & FDB_VTEP) != (seen->flags & FDB_VTEP))
		return move(fdb, bucket, way, old, fresh, seen);
	if (fdb_alive(old, seen->gen))
		fresh = with_moves(fresh, moves_so_far(old, seen));
	/* when another worker was faster, its news is as fresh as ours */
	if (old != fresh)
		atomic_compare_exchange_strong(&bucket->value[way], &old, fresh);
	return FDB_KEPT;
}

/*
 * Is slot `way` of `bucket` hidden from every look-up, because another slot with its key is found first? A
 * static entry is kept: when it comes second, the other one goes.
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
		empty_slot(fdb, first, first_way, key, other);
	return false;
}

int fdb_remove(struct fdb *fdb, uint64_t key)
{
	uint32_t hash = fdb_hash(fdb, key);
	int way, rc = -ENOENT;
	struct fdb_bucket *bucket;

	/* also a second copy, and one that a worker refreshes while we look */
	while ((bucket = find(fdb, key, hash, &way)))
		if (empty_slot(fdb, bucket, way, key, atomic_load(&bucket->value[way])))
			rc = 0;
	return rc;
}

int fdb_add_static(struct fdb *fdb, uint64_t key, uint16_t target, uint8_t flags)
{
	uint32_t hash = fdb_hash(fdb, key);
	uint64_t fresh = value_of(hash, flags | FDB_STATIC, 0, 0, target), old;
	struct fdb_bucket *bucket;
	int way;

	/* anew when a worker refreshed the learned one meanwhile, or moved it to its other bucket */
	while ((bucket = find(fdb, key, hash, &way))) {
		old = atomic_load(&bucket->value[way]);
		if (old == FDB_NONE)
			continue;
		if (fdb_flags(old) & FDB_STATIC)
			return -EEXIST;
		if (!atomic_compare_exchange_strong(&bucket->value[way], &old, fresh))
			continue;
		discharge(fdb, key, old);
		return 0;
	}
	return insert(fdb, key, hash, fresh) ? 0 : -ENOSPC;
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
				empty_slot(fdb, bucket, way, key, value);
		}
	}
}
