/*
 * conn_change.c: connections come and go. An entry is made out of sight (its life is dead), put into the
 * index, and comes alive last; it ends the other way round.
 */
#include <errno.h>

#include "dataplane/lb/conn_table.h"

enum {
	PROBES = 8,	  /* entries looked at for one to take over, when none is free */
	PROBES_OWED = 64, /* and by a network that has less than its part */
};

/* Who wants an entry. */
struct taker {
	uint16_t net;
	bool granted; /* its share has room for it */
	bool owed;    /* even the part that is guaranteed to it */
	bool fair;    /* conn_new.fair */
	bool full;    /* conn_new.full */
	uint32_t owner;
	uint32_t now_s;
};

static inline _Atomic(uint32_t) *slot_at(struct conn_table *t, uint32_t position)
{
	return &t->bucket[position / CONN_BUCKET_SLOTS].slot[position % CONN_BUCKET_SLOTS];
}

bool conn_claim(struct conn_table *t, uint32_t entry, uint64_t life, uint8_t *backend)
{
	struct conn_side *side = &t->side[entry * 2];
	uint64_t dead = life_make(life_gen(life) + 1, 0, 0);

	if (!atomic_compare_exchange_strong(&side[0].life, &life, dead))
		return false;
	*backend = life_flags(atomic_exchange(&side[1].life, dead));
	if (life_flags(life) & CONN_TURNS)
		conn_turn_end(t, entry, life_gen(dead));
	return true;
}

void conn_unlink(struct conn_table *t, uint32_t entry)
{
	struct conn_side *side = &t->side[entry * 2];
	uint32_t owner = side_end(side).owner;

	for (int dir = 0; dir < 2; dir++)
		atomic_store_explicit(slot_at(t, atomic_load_explicit(&side[dir].slot, memory_order_relaxed)),
			0, memory_order_release);
	atomic_fetch_sub_explicit(&t->owner[owner].live, 1, memory_order_relaxed);
	share_give(t->share, entry_net(t, entry));
}

/* The free list is a stack; the count of pops in its head keeps a slow pop from taking a head that came back.
 */
void conn_release(struct conn_table *t, uint32_t entry)
{
	uint64_t head = atomic_load_explicit(&t->free, memory_order_relaxed), want;

	do {
		atomic_store_explicit(&t->side[entry * 2].slot, (uint32_t)head, memory_order_relaxed);
		want = (head & ~UINT64_C(0xffffffff)) | (entry + 1);
	} while (!atomic_compare_exchange_weak_explicit(
		&t->free, &head, want, memory_order_release, memory_order_relaxed));
}

static uint32_t pop_free(struct conn_table *t)
{
	uint64_t head = atomic_load_explicit(&t->free, memory_order_acquire), want;
	uint32_t entry;

	do {
		if ((uint32_t)head == 0)
			return CONN_NONE;
		entry = (uint32_t)head - 1;
		want = ((head >> 32) + 1) << 32 |
		       atomic_load_explicit(&t->side[entry * 2].slot, memory_order_relaxed);
	} while (!atomic_compare_exchange_weak_explicit(
		&t->free, &head, want, memory_order_acquire, memory_order_acquire));
	return entry;
}

static uint32_t take_fresh(struct conn_table *t)
{
	uint32_t entry = atomic_load_explicit(&t->fresh, memory_order_relaxed);

	while (entry < t->size)
		if (atomic_compare_exchange_weak_explicit(
			    &t->fresh, &entry, entry + 1, memory_order_relaxed, memory_order_relaxed))
			return entry;
	return CONN_NONE;
}

/* Takes the entry of a connection whose time has not come, and out of the index. */
static bool end_early(struct conn_table *t, uint32_t entry, uint64_t life)
{
	uint8_t backend;
	uint32_t owner;

	if (!conn_claim(t, entry, life, &backend))
		return false;
	if ((backend & (CONN_ASKED | CONN_SEEN)) == CONN_ASKED) {
		owner = side_end(&t->side[entry * 2]).owner;
		atomic_fetch_add_explicit(&t->owner[owner].withdrawn, 1, memory_order_relaxed);
	}
	conn_unlink(t, entry);
	return true;
}

static void note_spill(struct conn_table *t, uint16_t net, uint32_t now_s)
{
	atomic_store_explicit(&t->spill_s[net], now_s, memory_order_relaxed);
}

static uint32_t owner_of(const struct conn_table *t, uint32_t entry)
{
	return side_end(&t->side[entry * 2]).owner;
}

/* Has the owner of the connection in `entry`, of the taker's network, over twice as many as the taker's? */
static bool is_greedier(const struct conn_table *t, uint32_t entry, const struct taker *taker)
{
	uint32_t owner = owner_of(t, entry);

	return taker->fair && conn_count_of(t, owner) > 2 * (uint64_t)conn_count_of(t, taker->owner) + 1;
}

/* Ends the connection in `entry` if `taker` may have its place; the caller then owns the entry. */
static bool take_over(struct conn_table *t, uint32_t entry, const struct taker *taker)
{
	const struct conn_side *side = &t->side[entry * 2];
	uint64_t life = atomic_load_explicit(&side[0].life, memory_order_acquire);
	uint8_t flags = life_flags(life);
	uint16_t net = entry_net(t, entry);
	bool established, others = net != taker->net;

	if (!(flags & CONN_LIVE) || (taker->full && owner_of(t, entry) != taker->owner))
		return false;
	if (conn_idle(t, entry, life, taker->now_s))
		return (taker->granted || !others) && end_early(t, entry, life);
	established =
		state_of(flags, life_flags(atomic_load_explicit(&side[1].life, memory_order_acquire))) ==
		DP_CONN_ESTABLISHED;
	if (others && (!taker->granted || share_used(t->share, net) <= share_part(t->share)))
		return false;
	if (taker->owed ? !others : established && !is_greedier(t, entry, taker))
		return false;
	if (!end_early(t, entry, life))
		return false;
	if (established) /* its packets go on by the hash */
		note_spill(t, net, taker->now_s);
	return true;
}

static uint32_t take_entry(struct conn_table *t, const struct taker *taker)
{
	uint32_t entry = CONN_NONE, probes = taker->owed || taker->full ? PROBES_OWED : PROBES, hand, used,
		 looked;

	if (taker->granted) {
		entry = pop_free(t);
		if (entry == CONN_NONE)
			entry = take_fresh(t);
	}
	if (entry != CONN_NONE)
		return entry;
	used = atomic_load_explicit(&t->fresh, memory_order_relaxed);
	hand = atomic_load_explicit(&t->hand, memory_order_relaxed);
	entry = CONN_NONE;
	for (looked = 0; looked < probes && used && entry == CONN_NONE; looked++)
		if (take_over(t, (hand + looked) % used, taker))
			entry = (hand + looked) % used;
	/* by no more than was looked at, so that those go first that have been there for longest */
	atomic_fetch_add_explicit(&t->hand, looked, memory_order_relaxed);
	return entry;
}

static bool take_slot(struct conn_table *t, uint32_t index, uint64_t hash)
{
	uint32_t bucket = (uint32_t)hash & t->bucket_mask;

	for (uint32_t i = 0; i < CONN_BUCKET_SLOTS; i++) {
		_Atomic(uint32_t) *slot = &t->bucket[bucket].slot[i];
		uint32_t empty = 0;

		if (atomic_load_explicit(slot, memory_order_relaxed) != 0 ||
			!atomic_compare_exchange_strong_explicit(slot, &empty, slot_tag(t, hash) | index,
				memory_order_release, memory_order_relaxed))
			continue;
		atomic_store_explicit(
			&t->side[index].slot, bucket * CONN_BUCKET_SLOTS + i, memory_order_relaxed);
		return true;
	}
	return false;
}

/* Makes room in a full bucket: ends a connection there that may be ended. */
static bool clear_slot(struct conn_table *t, uint64_t hash, const struct taker *taker)
{
	const struct conn_bucket *b = &t->bucket[hash & t->bucket_mask];

	for (uint32_t i = 0; i < CONN_BUCKET_SLOTS; i++) {
		uint32_t slot = atomic_load_explicit(&b->slot[i], memory_order_acquire);
		uint32_t entry = slot_side(t, slot) / 2;

		if (slot && take_over(t, entry, taker)) {
			conn_release(t, entry);
			return true;
		}
	}
	return false;
}

static bool link_side(struct conn_table *t, uint32_t index, uint64_t hash, const struct taker *taker)
{
	return take_slot(t, index, hash) || (clear_slot(t, hash, taker) && take_slot(t, index, hash));
}

static void fill_side(struct conn_side *side, const struct conn_new *conn, enum conn_dir dir)
{
	atomic_store_explicit(&side->addresses, conn->key[dir].addresses, memory_order_relaxed);
	atomic_store_explicit(&side->rest, conn->key[dir].rest, memory_order_relaxed);
	atomic_store_explicit(&side->end, pack_end(conn->end[dir]), memory_order_relaxed);
	atomic_store_explicit(&side->packets, 0, memory_order_relaxed);
	atomic_store_explicit(&side->bytes, 0, memory_order_relaxed);
	atomic_store_explicit(&side->made, pack_made(conn->end[dir], conn->now_s), memory_order_relaxed);
	atomic_store_explicit(&side->note, conn->note[dir], memory_order_relaxed);
}

static void fill_wide(struct conn_wide *wide, const struct conn_ip6 *ip6)
{
	wide_store(wide->src, ip6->src);
	wide_store(wide->dst, ip6->dst);
	wide_store(wide->end, ip6->end);
}

static bool link_both(
	struct conn_table *t, uint32_t entry, const struct conn_new *conn, const struct taker *taker)
{
	struct conn_side *side = &t->side[entry * 2];

	if (!link_side(t, entry * 2, conn->hash[CONN_FORWARD], taker))
		return false;
	if (link_side(t, entry * 2 + 1, conn->hash[CONN_REPLY], taker))
		return true;
	atomic_store_explicit(
		slot_at(t, atomic_load_explicit(&side->slot, memory_order_relaxed)), 0, memory_order_release);
	return false;
}

/* Counts one more connection of the taker's network; without room in its share only if it takes the place of
 * one of its own. */
static uint32_t reserve(struct conn_table *t, struct taker *taker)
{
	uint32_t entry;

	taker->granted = !taker->full && share_take(t->share, taker->net);
	taker->owed = taker->granted && share_used(t->share, taker->net) <= share_part(t->share);
	entry = take_entry(t, taker);
	if (entry == CONN_NONE && taker->granted)
		share_give(t->share, taker->net);
	if (entry != CONN_NONE && !taker->granted)
		share_force(t->share, taker->net);
	return entry;
}

int conn_insert(struct conn_table *t, const struct conn_new *conn, struct conn_hit *hit)
{
	struct taker taker = {.net = (uint16_t)(conn->key[CONN_FORWARD].rest >> 16),
		.now_s = conn->now_s,
		.fair = conn->fair,
		.full = conn->full,
		.owner = conn->end[CONN_FORWARD].owner};
	uint32_t entry = reserve(t, &taker);
	struct conn_side *side;
	uint64_t life;

	if (entry == CONN_NONE) {
		note_spill(t, taker.net, conn->now_s);
		return -ENOSPC;
	}
	side = &t->side[entry * 2];
	life = atomic_load_explicit(&side->life, memory_order_relaxed);
	atomic_thread_fence(memory_order_release); /* readers see it dead before they see new contents */
	fill_side(&side[CONN_FORWARD], conn, CONN_FORWARD);
	fill_side(&side[CONN_REPLY], conn, CONN_REPLY);
	for (int dir = 0; conn->ip6 && dir < 2; dir++)
		fill_wide(&t->wide[entry * 2 + dir], &conn->ip6[dir]);
	if (!link_both(t, entry, conn, &taker)) {
		conn_release(t, entry);
		share_give(t->share, taker.net);
		note_spill(t, taker.net, conn->now_s);
		return -ENOSPC;
	}
	atomic_fetch_add_explicit(&t->owner[conn->end[0].owner].live, 1, memory_order_relaxed);
	if (conn->flags[CONN_FORWARD] & CONN_TURNS)
		conn_turn_begin(t, entry, life_gen(life));
	life = life_make(life_gen(life), CONN_LIVE | conn->flags[CONN_REPLY], conn->now_s);
	atomic_store_explicit(&side[CONN_REPLY].life, life, memory_order_release);
	life = life_make(life_gen(life), CONN_LIVE | conn->flags[CONN_FORWARD], conn->now_s);
	atomic_store_explicit(&side[CONN_FORWARD].life, life, memory_order_release);
	*hit = (struct conn_hit){side, entry * 2, life, conn->end[CONN_FORWARD]};
	if (conn->ip6)
		hit->ip6 = conn->ip6[CONN_FORWARD].end;
	return 0;
}

void conn_remove(struct conn_table *t, const struct conn_hit *hit)
{
	uint32_t entry = hit->index / 2;
	uint64_t life = atomic_load_explicit(&t->side[entry * 2].life, memory_order_acquire);

	while (life_same(life, hit->life) && (life_flags(life) & CONN_LIVE)) {
		if (end_early(t, entry, life)) {
			conn_release(t, entry);
			return;
		}
		life = atomic_load_explicit(&t->side[entry * 2].life, memory_order_acquire);
	}
}
