/*
 * fdb.h: the MAC table: (network, MAC) to a port or a remote vtep, for all networks together.
 *
 * A key is 64 bits {network 16, MAC 48}; a value is 64 bits and carries all there is to know: target, age
 * tick, flush generation, flags. Four of each fill a bucket of one cache line. A key lives in one of two
 * buckets, the first unless that is full, so a look-up touches one line as a rule.
 *
 * Readers take no lock. Writers (workers that learn, control that adds and sweeps) claim a slot by
 * compare-and-swap on its key, and change a value by compare-and-swap. A value carries a tag of its key's
 * hash, and a reader looks at the key again after the value, so a slot that is reused meanwhile is not
 * mistaken for the old one. When both buckets are full, one of their entries moves to its own other bucket. Two workers that learn one new MAC at the same instant may store it twice; the
 * first found counts, and a scan removes the other without showing it.
 *
 * Nothing is written per packet: a time stamp is refreshed only when the coarse tick (a second) has changed.
 * A flush changes the network's generation; entries of another generation are dead, and swept later.
 *
 * Every slot that holds a dynamic entry is counted at its port and in its network's share, exactly, so limits are
 * never passed (but by one, for a moment, when an entry moves to its other bucket).
 */
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <x86intrin.h>

#include "dataplane/core/share.h"
#include "dataplane/frame/burst.h"

enum { FDB_WAYS = 4 };

enum { FDB_PORTS = 1024 }; /* ports whose addresses are counted: MAX_PORTS */

struct fdb_bucket {
	_Atomic(uint64_t) key[FDB_WAYS];
	_Atomic(uint64_t) value[FDB_WAYS];
} __attribute__((aligned(64)));
static_assert(sizeof(struct fdb_bucket) == 64, "a bucket is a cache line");

/* A port: how many dynamic entries are at it, and how many may be. Written when one comes or goes. */
struct fdb_port {
	_Alignas(64) _Atomic(uint32_t) macs;
	_Atomic(uint32_t) limit; /* 0: none */
	_Atomic(bool) sticky;	 /* its entries do not move to other ports */
};

struct fdb {
	struct fdb_bucket *bucket;
	uint32_t mask;			 /* buckets - 1 */
	_Alignas(16) uint64_t secret[4]; /* of the hash; the second and fourth are odd */
	struct fdb_port *port;		 /* [FDB_PORTS] */
	struct share *share;		 /* among the networks: of dynamic entries */
};

/* Of a value: target 0..15, tick 16..31, generation 32..47, flags 48..50, moves 51..55, tag 56..63. */
enum { FDB_VALID = 1, FDB_STATIC = 2, FDB_VTEP = 4, FDB_FLAGS = 7 };
enum { FDB_MOVES_AT = 51, FDB_MOVES = 31 };
#define FDB_NONE UINT64_C(0)

static inline uint16_t fdb_target(uint64_t value)
{
	return (uint16_t)value;
}

static inline uint16_t fdb_tick(uint64_t value)
{
	return (uint16_t)(value >> 16);
}

/* Seconds by which a tick may be ahead of what control takes for now: more than a sweep takes. */
enum { FDB_AHEAD_MAX = 60 };

/** Seconds from an entry's tick to `now`; 0 when the worker that wrote it has begun a second after `now`. */
static inline uint16_t fdb_age(uint64_t value, uint16_t now)
{
	uint16_t age = (uint16_t)(now - fdb_tick(value));

	return age > UINT16_MAX - FDB_AHEAD_MAX ? 0 : age;
}

static inline uint16_t fdb_gen(uint64_t value)
{
	return (uint16_t)(value >> 32);
}

static inline uint8_t fdb_flags(uint64_t value)
{
	return (uint8_t)(value >> 48 & FDB_FLAGS);
}

/** How often it moved in the second of its tick; one more than it may: it is held. */
static inline unsigned fdb_moves(uint64_t value)
{
	return (unsigned)(value >> FDB_MOVES_AT) & FDB_MOVES;
}

/** Is a value found still good in a network whose flush generation is `gen`? */
static inline bool fdb_alive(uint64_t value, uint16_t gen)
{
	return value != FDB_NONE && ((fdb_flags(value) & FDB_STATIC) || fdb_gen(value) == gen);
}

/* The MAC's bits of a key, and its group bit: the lowest of the first byte. */
#define FDB_MAC ((UINT64_C(1) << 48) - 1)
#define FDB_GROUP UINT64_C(1)

/** The key of a MAC (6 readable bytes) in a network. Never 0 for a valid MAC. */
static inline uint64_t fdb_key(uint16_t net, const uint8_t *mac)
{
	uint32_t high;
	uint16_t low;

	memcpy(&high, mac, 4);
	memcpy(&low, mac + 4, 2);
	return (uint64_t)net << 48 | (uint64_t)low << 32 | high;
}

/** The same of a MAC in a frame's header: reads eight bytes at once. */
static inline uint64_t fdb_frame_key(uint16_t net, const uint8_t *mac)
{
	uint64_t eight;

	memcpy(&eight, mac, 8);
	return (uint64_t)net << 48 | (eight & FDB_MAC);
}

#ifndef __AES__
/** Both halves of a product, folded into one. */
static inline uint64_t fdb_fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}
#endif

/**
 * The key's hash under the table's secret. Guests choose MACs: with a hash that they could compute, eight
 * MACs would fill both buckets of any victim. A secret that is only xored in, or a linear hash (CRC), would
 * not help, as keys that collide under one secret then collide under all.
 *
 * Three rounds of AES where the CPU has them: after two, four of the output's bytes still depend on two of
 * the key's by one byte. Else two secret products, mixed as in wyhash (Wang Yi,
 * github.com/wangyi-fudan/wyhash). bench-stages, switch: 27.2 cycles a packet with CRC32C, 30.5 with AES,
 * 33.5 with products.
 */
static inline uint32_t fdb_hash(const struct fdb *fdb, uint64_t key)
{
#ifdef __AES__
	__m128i even = _mm_load_si128((const __m128i *)fdb->secret);
	__m128i odd = _mm_load_si128((const __m128i *)fdb->secret + 1);
	__m128i x = _mm_xor_si128(_mm_cvtsi64_si128((long long)key), even);

	x = _mm_aesenc_si128(_mm_aesenc_si128(_mm_aesenc_si128(x, odd), even), odd);
	return (uint32_t)_mm_cvtsi128_si32(x);
#else
	uint64_t once = fdb_fold(key ^ fdb->secret[0], fdb->secret[1]);

	return (uint32_t)fdb_fold(once ^ fdb->secret[2], fdb->secret[3]);
#endif
}

static inline struct fdb_bucket *fdb_first(const struct fdb *fdb, uint32_t hash)
{
	return &fdb->bucket[hash & fdb->mask];
}

static inline struct fdb_bucket *fdb_second(const struct fdb *fdb, uint32_t hash)
{
	return &fdb->bucket[(hash ^ ((hash >> 24 | 1) * UINT32_C(0x9e3779b1))) & fdb->mask];
}

/** Worker. Prefetches the line of `key`, and keeps its hash in `asked` for the look-up that follows. */
static inline void fdb_ask(const struct fdb *fdb, uint64_t key, struct asked *asked)
{
	*asked = (struct asked){key, fdb_hash(fdb, key)};
	__builtin_prefetch(fdb_first(fdb, asked->hash));
}

/** The hash of `key`, which may be what was asked for: a stage between the two may have changed the frame. */
static inline uint32_t fdb_asked_hash(const struct fdb *fdb, uint64_t key, const struct asked *asked)
{
	return __builtin_expect(asked->key == key, 1) ? asked->hash : fdb_hash(fdb, key);
}

/*
 * The slot of `key` in a bucket, -1: not there. Without a branch over the ways, for which of them it is
 * cannot be predicted. One vector compare where the CPU has it: 18 against 25 cycles a look-up in
 * bench-stages. An aligned vector load reads each of its 64-bit keys whole on every CPU that has AVX2, which
 * is all that is asked of it; ThreadSanitizer, which cannot know that, gets the plain loop.
 */
static inline int fdb_way(const struct fdb_bucket *bucket, uint64_t key)
{
#if defined(__AVX2__) && !defined(__SANITIZE_THREAD__)
	__m256i keys = _mm256_load_si256((const __m256i *)bucket->key);
	__m256i same = _mm256_cmpeq_epi64(keys, _mm256_set1_epi64x((long long)key));
	unsigned hit = (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(same));

	atomic_signal_fence(
		memory_order_acquire); /* loads are not reordered on x86: only the compiler must not */
#else
	unsigned hit = 0;

	for (unsigned i = 0; i < FDB_WAYS; i++)
		hit |= (unsigned)(atomic_load_explicit(&bucket->key[i], memory_order_acquire) == key) << i;
#endif
	return hit ? __builtin_ctz(hit) : -1;
}

static inline uint64_t fdb_read(const struct fdb_bucket *bucket, int way, uint64_t key, uint32_t hash)
{
	uint64_t value = atomic_load_explicit(&bucket->value[way], memory_order_acquire);

	if ((uint8_t)(value >> 56) != (uint8_t)(hash >> 24))
		return FDB_NONE;
	return atomic_load_explicit(&bucket->key[way], memory_order_relaxed) == key ? value : FDB_NONE;
}

/** Worker. The value of `key`, whose hash this is; FDB_NONE when there is none. */
static inline uint64_t fdb_find(const struct fdb *fdb, uint64_t key, uint32_t hash)
{
	const struct fdb_bucket *bucket = fdb_first(fdb, hash);
	int way = fdb_way(bucket, key);

	if (__builtin_expect(way < 0, 0)) {
		bucket = fdb_second(fdb, hash);
		way = fdb_way(bucket, key);
		if (way < 0)
			return FDB_NONE;
	}
	return fdb_read(bucket, way, key, hash);
}

/** Worker. The value of `key`, FDB_NONE when there is none. */
static inline uint64_t fdb_lookup(const struct fdb *fdb, uint64_t key)
{
	return fdb_find(fdb, key, fdb_hash(fdb, key));
}

/**
 * A value without its tag and its moves. A learner that finds it there has nothing to write: target and
 * second are the same.
 */
#define FDB_UNTAGGED ((UINT64_C(1) << FDB_MOVES_AT) - 1)
static inline uint64_t fdb_untagged(uint16_t target, uint8_t flags, uint16_t now, uint16_t gen)
{
	return (uint64_t)(uint8_t)(flags | FDB_VALID) << 48 | (uint64_t)gen << 32 | (uint64_t)now << 16 |
	       target;
}

/** Worker. Is `key`, whose hash this is, there already as fdb_untagged() says? One line read, nothing written. */
static inline bool fdb_is_fresh(const struct fdb *fdb, uint64_t key, uint32_t hash, uint64_t untagged)
{
	const struct fdb_bucket *bucket = fdb_first(fdb, hash);
	int way = fdb_way(bucket, key);

	return way >= 0 &&
	       (atomic_load_explicit(&bucket->value[way], memory_order_relaxed) & FDB_UNTAGGED) == untagged;
}

/** The table for `entries` (rounded up so that it is at most half full), with a secret of its own. -ENOMEM; -errno
 * of getrandom(). */
int fdb_open(uint32_t entries, struct fdb **fdb);
void fdb_close(struct fdb *fdb);
/** Takes the memory of all entries now (mem_touch). */
void fdb_touch(struct fdb *fdb);

/* Where and when a MAC was seen. */
struct fdb_seen {
	uint16_t target; /* a port, or a vtep with FDB_VTEP in flags */
	uint8_t flags;
	bool own;	   /* this port's own MAC: no limit holds it, and it moves home at once */
	uint8_t moves;	   /* that it may make in a second, up to FDB_MOVES - 1; 0: any number */
	uint16_t now, gen; /* second, and the network's flush generation */
};

enum fdb_learned {
	FDB_KEPT,    /* it was there already: refreshed, or static */
	FDB_LEARNED, /* new */
	FDB_MOVED,   /* from `was` */
	FDB_HOLDS,   /* stays at `was`: it has moved as often as it may; told once for each time it begins */
	FDB_HELD,    /* stays at `was`: the same again */
	FDB_STICKY,  /* stays at `was`, which lets none go */
	FDB_PORT_FULL, /* not learned: its port has as many as it may */
	FDB_NET_FULL,  /* not learned: its network has its share */
	FDB_FULL,      /* not learned: no slot */
};

/**
 * Worker. Learns that `key` was seen. Static entries do not move. A MAC that has moved `moves` times in one
 * second stays where it is for the rest of that second. From then on it gets one move a second, until a
 * second passes in which it wanted no more than that. *was: the value before, for the results that name it.
 */
enum fdb_learned fdb_learn(struct fdb *fdb, uint64_t key, const struct fdb_seen *seen, uint64_t *was);

/** Control. How many MACs are learned at port `id` (< FDB_PORTS), 0: any number; entries of a sticky port do not
 * move away. Those that are there stay. */
void fdb_limit_port(struct fdb *fdb, uint16_t id, uint32_t limit, bool sticky);
/** Any thread. Dynamic entries at port `id`, dead ones that are not swept yet among them. */
uint32_t fdb_port_macs(const struct fdb *fdb, uint16_t id);

/** Control. Adds a static entry, replacing a dynamic one. -EEXIST: static already; -ENOSPC: buckets full. */
int fdb_add_static(struct fdb *fdb, uint64_t key, uint16_t target, uint8_t flags);

/** Control. -ENOENT. */
int fdb_remove(struct fdb *fdb, uint64_t key);

/**
 * Control. Calls fn for the entries of buckets first..last-1 (clamped); fn returns true to have one removed.
 * Second copies of a key are removed, not shown.
 */
void fdb_scan(struct fdb *fdb, uint32_t first, uint32_t last,
	bool (*fn)(void *arg, uint64_t key, uint64_t value), void *arg);

static inline uint32_t fdb_buckets(const struct fdb *fdb)
{
	return fdb->mask + 1;
}
