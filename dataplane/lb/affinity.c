#include "dataplane/lb/affinity.h"

enum {
	WAYS = 8,
	BUCKETS = LB_AFFINITIES / WAYS,
	CLIENT = 3, /* in the place of a direction: the key is of no connection */
};
static_assert((BUCKETS & (BUCKETS - 1)) == 0, "a bucket is chosen by bits");
static_assert(MAX_BACKENDS <= UINT16_MAX + 1, "a backend's id fits its part of an entry");

/* An entry: 24 bits that tell who it is | the second of the last connection, 24 bits | the backend's id. 0: none. */
#define SECONDS UINT32_C(0xffffff)

static uint32_t tag_of(uint64_t hash)
{
	uint32_t tag = (uint32_t)(hash >> 40);

	return tag ? tag : 1;
}

static uint64_t entry_of(uint64_t hash, uint32_t now_s, uint16_t id)
{
	return (uint64_t)tag_of(hash) << 40 | (uint64_t)(now_s & SECONDS) << 16 | id;
}

static uint32_t age(uint64_t entry, uint32_t now_s)
{
	return (now_s - (uint32_t)(entry >> 16)) & SECONDS;
}

static uint64_t client_hash(struct worker *w, const struct service *s, uint32_t client)
{
	struct conn_key key =
		conn_key((enum conn_dir)CLIENT, s->net, s->protocol, client, s->vip, 0, s->port);
	uint64_t hash;

	conn_hash(w->dp->lb->conns, &key, &hash, 1);
	return hash;
}

static _Atomic(uint64_t) *bucket_of(struct worker *w, uint64_t hash)
{
	return &w->dp->lb->affinity[(hash & (BUCKETS - 1)) * WAYS];
}

static _Atomic(uint64_t) *find(_Atomic(uint64_t) *bucket, uint64_t hash)
{
	for (unsigned i = 0; i < WAYS; i++)
		if (atomic_load_explicit(&bucket[i], memory_order_relaxed) >> 40 == tag_of(hash))
			return &bucket[i];
	return NULL;
}

/* Is it one of the service's, and does it take new connections? The id may have become another's since. */
static bool takes(struct worker *w, const struct service *s, uint16_t id)
{
	const struct backend *b = lb_backend(w, id);
	uint16_t found;

	return (lb_backend_flags(w, id) & BACKEND_ACTIVE) &&
	       lb_find_backend(w->dp->lb, s, b->ip, __builtin_bswap16(b->port), &found) == 0 && found == id;
}

bool affinity_find(struct worker *w, const struct service *s, uint32_t client, uint16_t *id)
{
	uint64_t hash = client_hash(w, s, client), entry;
	_Atomic(uint64_t) *at = find(bucket_of(w, hash), hash);

	if (!at)
		return false;
	entry = atomic_load_explicit(at, memory_order_relaxed);
	if (entry >> 40 != tag_of(hash) || age(entry, w->now_s) > s->affinity_s ||
		!takes(w, s, (uint16_t)entry))
		return false;
	*id = (uint16_t)entry;
	return true;
}

/* Where a new entry goes: where there is none, or the oldest is. */
static _Atomic(uint64_t) *make_room(_Atomic(uint64_t) *bucket, uint32_t now_s)
{
	_Atomic(uint64_t) *oldest = bucket;
	uint32_t longest = 0;

	for (unsigned i = 0; i < WAYS; i++) {
		uint64_t entry = atomic_load_explicit(&bucket[i], memory_order_relaxed);

		if (!entry)
			return &bucket[i];
		if (age(entry, now_s) > longest) {
			longest = age(entry, now_s);
			oldest = &bucket[i];
		}
	}
	return oldest;
}

void affinity_note(struct worker *w, const struct service *s, uint32_t client, uint16_t id)
{
	uint64_t hash = client_hash(w, s, client);
	_Atomic(uint64_t) *bucket = bucket_of(w, hash), *at = find(bucket, hash);

	if (!at)
		at = make_room(bucket, w->now_s);
	atomic_store_explicit(at, entry_of(hash, w->now_s, id), memory_order_relaxed);
}
