/*
 * conn_table.h: what the files of the connection table share: conn.c (look-up), conn_change.c (insertion,
 * removal), conn_age.c (timeouts, walks).
 */
#pragma once

#include <string.h>

#include "dataplane/core/share.h"
#include "dataplane/lb/conn.h"

enum {
	CONN_BUCKET_SLOTS = 16,
	/* Slots for each side, before rounding up to a power of two: buckets are at most a quarter full on
	 * average, and one in a million overflows (Poisson, mean 4). What does not fit is refused, as by a
	 * full table. */
	CONN_SPARE = 4,
};

/* A slot: CONN_SLOT_USED, bits of the hash, and below index_bits the side's index. 0: empty. */
#define CONN_SLOT_USED (UINT32_C(1) << 31)

struct conn_bucket {
	_Atomic(uint32_t) slot[CONN_BUCKET_SLOTS];
};
static_assert(sizeof(struct conn_bucket) == 64, "a look-up reads one line of the index");

/* struct conn_ip6, as it lies in the table. */
struct conn_wide {
	_Alignas(64) _Atomic(uint64_t) src[2];
	_Atomic(uint64_t) dst[2], end[2];
};
static_assert(sizeof(struct conn_wide) == 64, "a packet of IPv6 reads one line more");

struct conn_owner {
	_Atomic(uint32_t) live, withdrawn; /* connections: now; in all, see conn_withdrawn_of() */
	_Atomic(uint32_t) turns_lost;	   /* conn_turns_lost_of() */
};

struct conn_table {
	/* read by everybody */
	uint64_t key[2]; /* of the hash */
	uint32_t size, bucket_mask;
	uint32_t tag_mask; /* the bits of a slot that are not the index */
	unsigned owners;
	uint32_t closed_s; /* conn_keep_closed() */
	struct conn_bucket *bucket;
	struct conn_side *side;	    /* [size * 2]: forward, reply, forward ... */
	struct conn_wide *wide;	    /* the same, of those of IPv6 */
	_Atomic(uint64_t) *turn;    /* [size]: conn_turn.c */
	struct conn_owner *owner;   /* [owners] */
	struct share *share;	    /* among the networks */
	_Atomic(uint32_t) *spill_s; /* [SHARE_NETS]: conn_spill_s() */
	/* written for every new connection */
	_Alignas(64) _Atomic(uint64_t)
		free;		 /* list of entries: pops << 32 | entry + 1; 0 in the low half: empty */
	_Atomic(uint32_t) fresh; /* entries from here on were never used */
	_Atomic(uint32_t) hand;	 /* where to look next for an entry to take over */
	/* control only */
	_Alignas(64) uint32_t sweep;
	struct {
		size_t index, side, wide, turn;
	} touched; /* bytes, from the start, that the kernel has given */
};

static inline uint64_t life_make(uint64_t gen, uint64_t flags, uint32_t now_s)
{
	return gen << 40 | flags << 32 | now_s;
}

static inline uint32_t life_gen(uint64_t life)
{
	return (uint32_t)(life >> 40);
}

static inline uint8_t life_flags(uint64_t life)
{
	return (uint8_t)(life >> 32);
}

static inline uint32_t life_seen_s(uint64_t life)
{
	return (uint32_t)life;
}

/** Are both of the same generation? */
static inline bool life_same(uint64_t a, uint64_t b)
{
	return (a ^ b) >> 40 == 0;
}

/* What a slot of a side with this hash holds, but for the index. */
static inline uint32_t slot_tag(const struct conn_table *t, uint64_t hash)
{
	return ((uint32_t)(hash >> 32) | CONN_SLOT_USED) & t->tag_mask;
}

static inline uint32_t slot_side(const struct conn_table *t, uint32_t slot)
{
	return slot & ~t->tag_mask;
}

/** The network of an entry, by what its first side is looked up by. */
static inline uint16_t entry_net(const struct conn_table *t, uint32_t entry)
{
	return (uint16_t)(atomic_load_explicit(&t->side[entry * 2].rest, memory_order_relaxed) >> 16);
}

/* The low 16 bits of the owner lie beside address and port, the rest beside the time. */
static inline uint64_t pack_end(struct conn_end end)
{
	return (uint64_t)end.ip << 32 | (uint32_t)end.port << 16 | (uint16_t)end.owner;
}

enum { CONN_MADE_MASK = 0xffffff, CONN_CLOCKS_S = 60 /* that clocks of workers differ by at most */ };

static inline uint32_t pack_made(struct conn_end end, uint32_t now_s)
{
	return end.owner >> 16 << 24 | (now_s & CONN_MADE_MASK);
}

/** The second in which a side was made that was seen in `seen_s`. */
static inline uint32_t unpack_made(uint32_t made, uint32_t seen_s)
{
	uint32_t past = (seen_s - made) & CONN_MADE_MASK;

	return past > CONN_MADE_MASK - CONN_CLOCKS_S ? seen_s : seen_s - past;
}

static inline struct conn_end side_end(const struct conn_side *side)
{
	uint64_t end = atomic_load_explicit(&side->end, memory_order_relaxed);
	uint32_t made = atomic_load_explicit(&side->made, memory_order_relaxed);

	return (struct conn_end){.ip = (uint32_t)(end >> 32),
		.port = (uint16_t)(end >> 16),
		.owner = made >> 24 << 16 | (uint16_t)end};
}

static inline struct ip_addr wide_load(const _Atomic(uint64_t) from[2])
{
	return (struct ip_addr){.q = {atomic_load_explicit(&from[0], memory_order_relaxed),
					atomic_load_explicit(&from[1], memory_order_relaxed)}};
}

static inline void wide_store(_Atomic(uint64_t) to[2], struct ip_addr address)
{
	atomic_store_explicit(&to[0], address.q[0], memory_order_relaxed);
	atomic_store_explicit(&to[1], address.q[1], memory_order_relaxed);
}

/** The state that the flags of both sides amount to. */
static inline enum dp_conn_state state_of(uint8_t client, uint8_t backend)
{
	if (((client | backend) & CONN_RST) || (client & backend & CONN_FIN))
		return DP_CONN_CLOSING;
	return client & backend & CONN_SEEN ? DP_CONN_ESTABLISHED : DP_CONN_NEW;
}

/** Any thread. Has entry `entry`, whose first side was seen with `life`, been idle too long? */
bool conn_idle(const struct conn_table *t, uint32_t entry, uint64_t life, uint32_t now_s);

/** Any thread. Takes the entry away from everybody if its first side still has `life`; false if somebody else
 * did. *backend: the flags that the other side had. */
bool conn_claim(struct conn_table *t, uint32_t entry, uint64_t life, uint8_t *backend);
/** The claimer. Takes the entry out of the index. */
void conn_unlink(struct conn_table *t, uint32_t entry);
/** The claimer. Gives the unlinked entry to whoever wants one. */
void conn_release(struct conn_table *t, uint32_t entry);

/* conn_turn.c */

/** Whoever makes the entry: a connection of generation `gen` begins with a request. */
void conn_turn_begin(struct conn_table *t, uint32_t entry, uint32_t gen);
/** The claimer, while the entry still says whose it was: what has `gen` or an earlier generation changes nothing
 * from now on. */
void conn_turn_end(struct conn_table *t, uint32_t entry, uint32_t gen);
