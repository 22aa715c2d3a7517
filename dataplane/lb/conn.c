#include "dataplane/lb/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "dataplane/core/mem.h"
#include "dataplane/core/siphash.h"
#include "dataplane/lb/conn_hit.h"

enum {
	TOUCH_AT_ONCE = 8 << 20, /* bytes: some milliseconds */
	TOUCH_AHEAD = 1 << 18,	 /* entries: the whole of a table of the default size */
};

enum { TIMEOUT_CLOSING_S = 30 };

static uint32_t bucket_count(uint32_t size)
{
	uint32_t buckets = 2;

	while ((uint64_t)buckets * CONN_BUCKET_SLOTS < (uint64_t)size * 2 * CONN_SPARE)
		buckets *= 2;
	return buckets;
}

static size_t index_bytes(const struct conn_table *t)
{
	return (t->bucket_mask + 1) * sizeof(*t->bucket);
}

static size_t side_bytes(const struct conn_table *t)
{
	return (size_t)t->size * 2 * sizeof(*t->side);
}

static size_t turn_bytes(const struct conn_table *t)
{
	return t->size * sizeof(*t->turn);
}

struct conn_table *conn_open(uint32_t size, unsigned owners)
{
	struct conn_table *t = aligned_alloc(64, sizeof(*t));

	if (!t || size == 0 || size > CONN_SIZE_MAX || owners > CONN_OWNERS_MAX) {
		free(t);
		return NULL;
	}
	memset(t, 0, sizeof(*t));
	t->size = size;
	t->owners = owners;
	t->closed_s = TIMEOUT_CLOSING_S;
	t->bucket_mask = bucket_count(size) - 1;
	t->tag_mask = ~((UINT32_C(2) << (31 - __builtin_clz(size * 2))) - 1);
	t->bucket = mem_alloc(index_bytes(t));
	t->side = mem_alloc(side_bytes(t));
	t->wide = mem_alloc(side_bytes(t));
	t->turn = mem_alloc(turn_bytes(t));
	t->owner = calloc(owners, sizeof(*t->owner));
	t->share = share_new(size);
	t->spill_s = calloc(SHARE_NETS, sizeof(*t->spill_s));
	if (!t->bucket || !t->side || !t->wide || !t->turn || !t->owner || !t->share || !t->spill_s ||
		getrandom(t->key, sizeof(t->key), 0) != sizeof(t->key)) {
		conn_close(t);
		return NULL;
	}
	return t;
}

void conn_touch(struct conn_table *t)
{
	t->touched.index = index_bytes(t);
	t->touched.side = side_bytes(t);
	t->touched.turn = turn_bytes(t);
	mem_touch(t->bucket, t->touched.index);
	mem_touch(t->side, t->touched.side);
	mem_touch(t->turn, t->touched.turn);
}

/* The next part of an array of which `touched` bytes are there, until there are `want`. Returns how many are. */
static size_t touch_part(void *array, size_t bytes, size_t want, size_t touched)
{
	size_t part = bytes - touched < TOUCH_AT_ONCE ? bytes - touched : TOUCH_AT_ONCE;

	if (touched >= want)
		return touched;
	mem_touch((char *)array + touched, part);
	return touched + part;
}

void conn_touch_ahead(struct conn_table *t, bool ip6, bool turns)
{
	size_t bytes = side_bytes(t), index = index_bytes(t);
	size_t ahead = (size_t)atomic_load_explicit(&t->fresh, memory_order_relaxed) + TOUCH_AHEAD;
	size_t want = ahead < t->size ? ahead * 2 * sizeof(*t->side) : bytes;

	if (t->touched.index < index) { /* connections lie anywhere in it */
		t->touched.index = touch_part(t->bucket, index, index, t->touched.index);
		return;
	}
	t->touched.side = touch_part(t->side, bytes, want, t->touched.side);
	if (ip6)
		t->touched.wide = touch_part(t->wide, bytes, want, t->touched.wide);
	if (turns)
		t->touched.turn = touch_part(t->turn, turn_bytes(t),
			want / (2 * sizeof(*t->side)) * sizeof(*t->turn), t->touched.turn);
}
static_assert(sizeof(struct conn_wide) == sizeof(struct conn_side), "both arrays are as long");

void conn_keep_closed(struct conn_table *t, uint32_t seconds)
{
	t->closed_s = seconds;
}

void conn_close(struct conn_table *t)
{
	if (!t)
		return;
	mem_free(t->bucket, index_bytes(t));
	mem_free(t->side, side_bytes(t));
	mem_free(t->wide, side_bytes(t));
	mem_free(t->turn, turn_bytes(t));
	free(t->owner);
	share_free(t->share);
	free(t->spill_s);
	free(t);
}

void conn_hash(const struct conn_table *t, const struct conn_key *keys, uint64_t *hashes, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		hashes[i] = siphash13(t->key, keys[i].addresses, keys[i].rest);
}

struct conn_key conn_key6(const struct conn_table *t, enum conn_dir dir, uint16_t net, uint8_t proto,
	struct ip_addr src, struct ip_addr dst, uint16_t src_port, uint16_t dst_port)
{
	struct conn_key key = conn_key((enum conn_dir)(dir | CONN_IP6), net, proto, 0, 0, src_port, dst_port);
	const uint64_t message[] = {src.q[0], src.q[1], dst.q[0], dst.q[1], key.rest};

	key.addresses = siphash13_words(t->key, message, 5);
	return key;
}

void conn_hash6(const struct conn_table *t, const struct conn_words6 *words, uint64_t *hashes, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const uint64_t message[] = {words->src[0][i], words->src[1][i], words->dst[0][i],
			words->dst[1][i], words->rest[i]};

		hashes[i] = siphash13_words(t->key, message, 5);
	}
}

void conn_prefetch_bucket(const struct conn_table *t, uint64_t hash)
{
	conn_hit_prefetch(t, hash);
}

uint32_t conn_guess(const struct conn_table *t, uint64_t hash)
{
	return conn_hit_guess(t, hash);
}

bool conn_find(
	struct conn_table *t, const struct conn_key *key, uint64_t hash, uint32_t guess, struct conn_hit *hit)
{
	return conn_hit_find(t, key, hash, guess, hit);
}

void conn_prefetch_ip6(const struct conn_table *t, uint32_t guess)
{
	if (guess != CONN_NONE)
		__builtin_prefetch(&t->wide[guess]);
}

/* The key's hash may be another's by chance, once in 2^64: the addresses decide. */
bool conn_find6(struct conn_table *t, const struct conn_key *key, struct ip_addr src, struct ip_addr dst,
	uint32_t guess, struct conn_hit *hit)
{
	const struct conn_wide *wide;

	if (!conn_find(t, key, key->addresses, guess, hit))
		return false;
	wide = &t->wide[hit->index];
	if (!ip_equal(wide_load(wide->src), src) || !ip_equal(wide_load(wide->dst), dst))
		return false;
	hit->ip6 = wide_load(wide->end);
	atomic_thread_fence(memory_order_acquire);
	return life_same(atomic_load_explicit(&hit->side->life, memory_order_relaxed), hit->life);
}

uint32_t conn_made_s(const struct conn_hit *hit)
{
	return unpack_made(
		atomic_load_explicit(&hit->side->made, memory_order_relaxed), life_seen_s(hit->life));
}

bool conn_at(struct conn_table *t, uint32_t index, const struct conn_ends *ends, struct conn_hit *hit)
{
	bool ip4 = ip_is4(ends->src);
	uint32_t what =
		(uint32_t)ends->net << 16 | (uint32_t)ends->proto << 8 | ends->dir | (ip4 ? 0 : CONN_IP6);
	struct conn_side *side = &t->side[index];
	const struct conn_wide *wide = &t->wide[index];

	*hit = (struct conn_hit){.side = side, .index = index};
	hit->life = atomic_load_explicit(&side->life, memory_order_acquire);
	if (!(life_flags(hit->life) & CONN_LIVE) ||
		(uint32_t)atomic_load_explicit(&side->rest, memory_order_relaxed) != what)
		return false;
	if (ip4 ? atomic_load_explicit(&side->addresses, memory_order_relaxed) !=
				((uint64_t)ends->src.w[3] << 32 | ends->dst.w[3])
		: !ip_equal(wide_load(wide->src), ends->src) || !ip_equal(wide_load(wide->dst), ends->dst))
		return false;
	hit->end = side_end(side);
	if (!ip4)
		hit->ip6 = wide_load(wide->end);
	return conn_is_still(hit);
}

bool conn_is_still(const struct conn_hit *hit)
{
	uint64_t life;

	atomic_thread_fence(memory_order_acquire);
	life = atomic_load_explicit(&hit->side->life, memory_order_relaxed);
	return life_same(life, hit->life) && (life_flags(life) & CONN_LIVE);
}

struct conn_hit conn_other(const struct conn_table *t, const struct conn_hit *hit)
{
	struct conn_hit other = {.side = &t->side[hit->index ^ 1], .index = hit->index ^ 1};

	other.life = atomic_load_explicit(&other.side->life, memory_order_acquire);
	other.end = side_end(other.side);
	return other;
}

bool conn_packet(struct conn_hit *hit, uint8_t flags, uint32_t now_s, uint32_t bytes)
{
	return conn_hit_packet(hit, flags, now_s, bytes);
}

bool conn_hit_tell(struct conn_hit *hit, uint8_t flags, uint32_t now_s)
{
	struct conn_side *side = hit->side;
	uint64_t life = hit->life, want;

	for (;;) {
		want = life_make(life_gen(life), life_flags(life) | flags, now_s);
		if (want == life || !life_same(life, hit->life) || !(life_flags(life) & CONN_LIVE))
			return false;
		if (atomic_compare_exchange_weak_explicit(
			    &side->life, &life, want, memory_order_relaxed, memory_order_relaxed))
			return (life_flags(life) & (CONN_ASKED | CONN_SEEN)) == CONN_ASKED;
	}
}

void conn_clear(struct conn_hit *hit, uint8_t flags)
{
	uint64_t life = atomic_load_explicit(&hit->side->life, memory_order_relaxed);

	while (life_same(life, hit->life) && (life_flags(life) & CONN_LIVE) && (life_flags(life) & flags))
		if (atomic_compare_exchange_weak_explicit(&hit->side->life, &life,
			    life & ~((uint64_t)flags << 32), memory_order_relaxed, memory_order_relaxed))
			break;
	hit->life &= ~((uint64_t)flags << 32);
}

enum dp_conn_state conn_state(const struct conn_table *t, const struct conn_hit *hit)
{
	uint32_t first = hit->index & ~1u;

	return state_of(life_flags(atomic_load_explicit(&t->side[first].life, memory_order_relaxed)),
		life_flags(atomic_load_explicit(&t->side[first + 1].life, memory_order_relaxed)));
}

bool conn_reset_by_both(const struct conn_table *t, const struct conn_hit *hit)
{
	uint32_t first = hit->index & ~1u;

	return life_flags(atomic_load_explicit(&t->side[first].life, memory_order_relaxed)) &
	       life_flags(atomic_load_explicit(&t->side[first + 1].life, memory_order_relaxed)) & CONN_RST;
}

bool conn_answered(const struct conn_table *t, const struct conn_hit *hit)
{
	return life_flags(atomic_load_explicit(&t->side[hit->index | 1].life, memory_order_relaxed)) &
	       CONN_SEEN;
}

uint32_t conn_spill_s(const struct conn_table *t, uint16_t net)
{
	return atomic_load_explicit(&t->spill_s[net], memory_order_relaxed);
}

struct share *conn_share(struct conn_table *t)
{
	return t->share;
}

uint32_t conn_count_of(const struct conn_table *t, uint32_t owner)
{
	return owner < t->owners ? atomic_load_explicit(&t->owner[owner].live, memory_order_relaxed) : 0;
}

uint32_t conn_count(const struct conn_table *t)
{
	uint32_t count = 0;

	for (unsigned i = 0; i < t->owners; i++)
		count += conn_count_of(t, i);
	return count;
}

uint32_t conn_withdrawn_of(const struct conn_table *t, uint32_t owner)
{
	return owner < t->owners ? atomic_load_explicit(&t->owner[owner].withdrawn, memory_order_relaxed) : 0;
}
