/*
 * conn.h: the connection table: who talks to which backend through a vip.
 *
 * A connection has two sides, one cache line each: what packets of the client are looked up by and rewritten
 * to, and the same for packets of the backend. Each direction reads and writes its own line only, so that two
 * workers that carry one direction each share nothing they write. An index of buckets of one cache line,
 * found by a keyed hash (the guests choose the keys), leads to both sides.
 *
 * A connection of IPv6 has the same two sides, whose key has a hash of its addresses under the table's secret, and
 * beside each side a line more with the addresses themselves (struct conn_ip6). That line lies in an array of its own,
 * which IPv4 never touches (docs/adr/0012-ip6-connections.md).
 *
 * Bounded: `size` connections, of which each network has its share (share.h). A new one may take the place of one
 * that has been idle too long, and of its own network's that is not established yet or closing. Where others have
 * more than their part of the table, a network that has not gets their places, established ones too: so one
 * network's connections never keep another's out. Else it is refused, and the caller does without an entry.
 *
 * Threads. Any number of workers and control, no locks. `life` of the first side owns the entry: whoever
 * changes it from live to dead (compare and swap) may rewrite the entry. Readers copy what they need and
 * check that the generation in `life` is still the same. An entry may be reused at once, so a packet may be
 * counted for, never sent to, the wrong connection. A worker keeps no index from turn to turn.
 */
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/dataplane.h"
#include "dataplane/frame/burst.h"

enum conn_dir {
	CONN_FORWARD, /* client to vip */
	CONN_REPLY,   /* backend to client */
};

enum { CONN_OWNERS_MAX = 1 << 24 };
enum { CONN_SIZE_MAX = 1 << 25, CONN_IP6 = 0x80 /* with the direction, of an IPv6 key */ };

/* A packet's addresses, ports, protocol and network, as conn_key() packs them. */
struct conn_key {
	uint64_t
		addresses; /* source << 32 | destination, as they lie in the packet; IPv6: a hash of all of the key */
	uint64_t rest; /* source port, destination port (network byte order), network, protocol, direction */
};

/* Where packets of a side go to, or come from: the backend's address, or the vip's. */
struct conn_end {
	uint32_t ip;	/* network byte order; 0: IPv6 */
	uint16_t port;	/* network byte order */
	uint32_t owner; /* the backend's id, on both sides; 24 bits */
};

/* Flags of a side. */
enum {
	CONN_LIVE = 1,	 /* the entry is in use */
	CONN_SEEN = 2,	 /* a packet came from this side; for the client's: after the first one */
	CONN_FIN = 4,	 /* it sent all that it had */
	CONN_RST = 8,	 /* it gave up */
	CONN_ASKED = 16, /* the backend's: its first packet is an answer that counts */
	CONN_TURNS = 32, /* both: it is known whose turn it is, conn_turn_asks() */
	CONN_GUESS =
		64, /* the backend's: it was chosen, or the entry made for it, in the middle of the connection (seek.h) */
	CONN_STRAY =
		64, /* the client's: it was made for an answer, and the client has said nothing yet (stray.h) */
	CONN_SEEKS = 128, /* the client's: the guess was wrong */
};

struct conn_side {
	_Atomic(uint64_t) life;		   /* generation << 40 | flags << 32 | second of the last packet */
	_Atomic(uint64_t) addresses, rest; /* struct conn_key */
	_Atomic(uint64_t) end;		   /* struct conn_end: what this side's packets are rewritten to, */
	_Atomic(uint64_t) packets, bytes;
	_Atomic(uint32_t) slot; /* where in the index; in a free entry's first side: the next free entry */
	_Atomic(uint32_t) made; /* its owner's high bits << 24 | the second in which it was made */
	_Atomic(uint64_t) note; /* whatever the table's user wants to know of this side */
};
static_assert(sizeof(struct conn_side) == 64, "a packet reads and writes one line of its connection");

/* The addresses of a side of an IPv6 connection: what its packets bear, and what they are rewritten to. */
struct conn_ip6 {
	struct ip_addr src, dst, end;
};

struct conn_table;
struct share;

/* A side as found: a consistent copy of what the stage needs. */
struct conn_hit {
	struct conn_side *side;
	uint32_t index; /* of the side */
	uint64_t life;
	struct conn_end end;
	struct ip_addr ip6; /* of `end`, when the connection is of IPv6 */
};

#define CONN_NONE UINT32_MAX

/**
 * Control thread. A table for `size` connections of owners 0..owners - 1, touched lazily: 128 bytes each, 32 to 64 for
 * the index, 128 more for one of IPv6, and 8 for one whose turns are known. NULL: no memory, or no random key.
 */
struct conn_table *conn_open(uint32_t size, unsigned owners);
/** Control thread, before the first connection. How long one that both ends have closed keeps its place: 30 s. */
void conn_keep_closed(struct conn_table *t, uint32_t seconds);
/** NULL is allowed. */
void conn_close(struct conn_table *t);
/** Control thread. Takes the memory of all connections of IPv4 now (mem_touch). */
void conn_touch(struct conn_table *t);
/**
 * Control thread, with each tick while there are vips (ip6: of IPv6 too; turns: some with CONN_TURNS). Takes memory for connections to come: a worker
 * that is the first to write to a page waits for the kernel to clear it, a millisecond for a huge one, and the port
 * whose packet it was would have to make up for that (deliver/budget.h). A few milliseconds at the most; nothing when all
 * is there.
 */
void conn_touch_ahead(struct conn_table *t, bool ip6, bool turns);

static inline struct conn_key conn_key(enum conn_dir dir, uint16_t net, uint8_t proto, uint32_t src,
	uint32_t dst, uint16_t src_port, uint16_t dst_port)
{
	return (struct conn_key){
		.addresses = (uint64_t)src << 32 | dst,
		.rest = (uint64_t)src_port << 48 | (uint64_t)dst_port << 32 | (uint32_t)net << 16 |
			(uint32_t)proto << 8 | dir,
	};
}

/** Any thread. The key of an IPv6 packet. Its `addresses` is the hash too: no conn_hash(). */
struct conn_key conn_key6(const struct conn_table *t, enum conn_dir dir, uint16_t net, uint8_t proto,
	struct ip_addr src, struct ip_addr dst, uint16_t src_port, uint16_t dst_port);

/** Any thread. Hashes of `n` keys, several at a time. Of IPv4. */
void conn_hash(const struct conn_table *t, const struct conn_key *keys, uint64_t *hashes, unsigned n);

/** What the keys of a burst's IPv6 packets are made of, a row for each word. */
struct conn_words6 {
	uint64_t src[2][BURST_MAX], dst[2][BURST_MAX], rest[BURST_MAX]; /* of conn_key */
};

/** Any thread. What conn_key6() makes of each of `n` (<= BURST_MAX) packets as `addresses`, several at a time. */
void conn_hash6(const struct conn_table *t, const struct conn_words6 *words, uint64_t *hashes, unsigned n);

/* A burst's look-ups in three passes, so that their cache misses overlap. */

/** Worker. First pass: asks for the bucket. */
void conn_prefetch_bucket(const struct conn_table *t, uint64_t hash);
/** Worker. Second pass: asks for the side that seems to match; returns its index or CONN_NONE. */
uint32_t conn_guess(const struct conn_table *t, uint64_t hash);
/** Worker. Third pass: `guess` may be CONN_NONE or wrong. Returns whether there is such a connection. */
bool conn_find(struct conn_table *t, const struct conn_key *key, uint64_t hash, uint32_t guess,
	struct conn_hit *hit);
/** The same for IPv6, with the addresses that `key` was made of. */
bool conn_find6(struct conn_table *t, const struct conn_key *key, struct ip_addr src, struct ip_addr dst,
	uint32_t guess, struct conn_hit *hit);
/* What a packet without ports says of its connection. */
struct conn_ends {
	enum conn_dir dir;
	uint16_t net;
	uint8_t proto;
	struct ip_addr src, dst;
};

/** Worker. The side with this index, which was found lately (conn_hit.index). False: it is not, or no longer, of packets from
 * `src` to `dst`. */
bool conn_at(struct conn_table *t, uint32_t index, const struct conn_ends *ends, struct conn_hit *hit);

/** Worker. After conn_guess(), for IPv6: asks for the addresses. */
void conn_prefetch_ip6(const struct conn_table *t, uint32_t guess);

struct conn_new {
	struct conn_key key[2]; /* by enum conn_dir */
	uint64_t hash[2];
	struct conn_end end[2];
	const struct conn_ip6 *ip6; /* [2]; NULL: IPv4 */
	uint8_t flags[2];	    /* by enum conn_dir, beyond CONN_LIVE */
	uint32_t now_s;
	uint64_t note[2]; /* conn_note() */
	bool fair; /* its owner may have the place of one whose owner has over twice as many, established or not */
	bool full; /* its owner has all that it may have: it gets the place of another of its own alone */
};

/**
 * Worker. Makes a connection and finds its forward side. -ENOSPC: no room that could be made. Two workers
 * that make the same connection at once make two; one of them times out.
 */
int conn_insert(struct conn_table *t, const struct conn_new *conn, struct conn_hit *hit);

/** Any thread. What its maker noted of the side that was found, or conn_renote() since. The entry may be another's
 * meanwhile: conn_is_still() tells. */
static inline uint64_t conn_note(const struct conn_hit *hit)
{
	return atomic_load_explicit(&hit->side->note, memory_order_relaxed);
}
static inline void conn_renote(const struct conn_hit *hit, uint64_t note)
{
	atomic_store_explicit(&hit->side->note, note, memory_order_relaxed);
}
/** Any thread. The second in which it was made; what is older than half a year seems younger. */
uint32_t conn_made_s(const struct conn_hit *hit);
/** Any thread. Is the entry still the connection that was found? What was read of it before is right then. */
bool conn_is_still(const struct conn_hit *hit);
/** Any thread. The other side of the connection, as it is now. */
struct conn_hit conn_other(const struct conn_table *t, const struct conn_hit *hit);

/** Worker. Ends the connection that `hit` (of either side) belongs to, if it is still that one. When it waits
 * for its first answer, it counts as withdrawn. */
void conn_remove(struct conn_table *t, const struct conn_hit *hit);

/**
 * Worker. A packet came from the side: adds `flags` and the time, if that changes anything, and counts it.
 * Different workers that carry the same direction may lose a count to each other. Returns whether it is the
 * first answer of a backend that was asked: true once for each connection.
 */
bool conn_packet(struct conn_hit *hit, uint8_t flags, uint32_t now_s, uint32_t bytes);

/** Worker. Takes `flags` from the side, if it is still the connection that was found. */
void conn_clear(struct conn_hit *hit, uint8_t flags);

/*
 * Turns, of connections that were made with CONN_TURNS on both sides: is a request under way? A new connection begins
 * with one, without a time. Either direction's packets only read the word until the turn changes.
 */

static inline bool conn_has_turns(const struct conn_hit *hit)
{
	return hit->life >> 32 & CONN_TURNS;
}

/** Worker. Would conn_turn_asks() change anything? Of a request that goes on for many packets only the first does. */
bool conn_turn_would_ask(const struct conn_table *t, const struct conn_hit *hit);
/** Worker. The client sent something at time `now` (not 0). True: a request begins. Of one that is under way, the time
 * is noted if it has none. */
bool conn_turn_asks(struct conn_table *t, const struct conn_hit *hit, uint32_t now);
/** Worker. The backend answered, or either end gave up. True: that was the end of a request; *since: when it began, 0: it
 * had not been sent. */
bool conn_turn_answers(struct conn_table *t, const struct conn_hit *hit, uint32_t *since);
/** Any thread. How many requests to `owner` were under way when their connection ended; only differences mean
 * something. */
uint32_t conn_turns_lost_of(const struct conn_table *t, uint32_t owner);

/** Any thread. The state, by both sides. */
enum dp_conn_state conn_state(const struct conn_table *t, const struct conn_hit *hit);

/** Any thread. Are both sides marked CONN_RST? */
bool conn_reset_by_both(const struct conn_table *t, const struct conn_hit *hit);

/** Any thread. Has the backend sent anything? */
bool conn_answered(const struct conn_table *t, const struct conn_hit *hit);

/**
 * Control thread. Looks at up to `max` entries from where the last call left off, ends those that have been
 * idle too long and those whose owner `gone` says is gone. Returns true when it reached the end of the table.
 */
bool conn_expire(struct conn_table *t, uint32_t now_s, uint32_t max, bool (*gone)(void *arg, uint32_t owner),
	void *arg);

/* Both sides of a connection. */
struct conn_info {
	struct conn_key key[2];
	struct conn_end end[2];
	struct ip_addr client, vip, backend;
	struct ip_addr asked; /* whom the client sends to */
	enum dp_conn_state state;
	uint8_t flags[2];
	uint64_t packets, bytes; /* both directions */
	uint64_t note;		 /* of the client's side */
	uint32_t made_s, seen_s;
};

enum { CONN_PART = 1024 }; /* places of a walk in parts */

/** Seconds from `then` to `now`; 0 when another thread's clock is ahead. */
static inline uint32_t conn_since(uint32_t then, uint32_t now)
{
	return (int32_t)(now - then) > 0 ? now - then : 0;
}

/**
 * Control thread. Calls fn for each live connection in `max` places from *at on (0 at first), which it moves; fn returns
 * false to stop. False: that was the end.
 */
bool conn_walk_part(struct conn_table *t, uint64_t *at, uint32_t max,
	bool (*fn)(void *arg, const struct conn_info *info), void *arg);

/** Any thread. The second in which a connection of network `net` last got no entry, or lost it to another network
 * while established; 0: never. */
uint32_t conn_spill_s(const struct conn_table *t, uint16_t net);

/** The table as it is shared out among the networks. */
struct share *conn_share(struct conn_table *t);

/** Any thread. Live connections of `owner`, and of all. */
uint32_t conn_count_of(const struct conn_table *t, uint32_t owner);
uint32_t conn_count(const struct conn_table *t);
/**
 * Any thread. How many connections of `owner` ended before the backend that was asked had answered, and for
 * another reason than time: to make room, or because the client began anew. Whether it would have answered
 * nobody knows. Only differences mean something.
 */
uint32_t conn_withdrawn_of(const struct conn_table *t, uint32_t owner);
