#include "dataplane/lb/affinity.h"

/* An entry below its tag: the second of the last connection, 24 bits | the backend's id, 20. */
enum {
	ID_BITS = 20,
	ID_MASK = (1 << ID_BITS) - 1,
	SECONDS = (1 << (RECENT_TAG_SHIFT - ID_BITS)) - 1,
	BUCKETS = LB_AFFINITIES / RECENT_WAYS,
	CLIENT = 3, /* in the place of a direction: the key is of no connection */
};
static_assert((BUCKETS & (BUCKETS - 1)) == 0, "a bucket is chosen by bits");
static_assert(DP_BACKENDS_MAX <= ID_MASK + 1, "a backend's id fits its part of an entry");

static uint32_t age(uint64_t entry, uint32_t now_s)
{
	return (now_s - (uint32_t)(entry >> ID_BITS)) & SECONDS;
}

static uint64_t client_hash(struct worker *w, const struct service *s, struct ip_addr client)
{
	struct conn_key key;
	uint64_t hash;

	if (!s->vip)
		return conn_key6(w->dp->lb->conns, (enum conn_dir)CLIENT, s->net, s->protocol, client,
			s->address, 0, s->port)
			.addresses;
	key = conn_key((enum conn_dir)CLIENT, s->net, s->protocol, ip_to4(client), s->vip, 0, s->port);
	conn_hash(w->dp->lb->conns, &key, &hash, 1);
	return hash;
}

static recent_t *bucket_of(struct worker *w, uint64_t hash)
{
	return &w->dp->lb->affinity[(hash & (BUCKETS - 1)) * RECENT_WAYS];
}

/* Is it one of the service's, and does it take new connections? The id may have become another's since. */
static bool takes(struct worker *w, const struct service *s, uint32_t id)
{
	const struct backend *b = lb_backend(w, id);
	uint32_t found;

	return (lb_backend_flags(w, id) & BACKEND_ACTIVE) &&
	       lb_find_backend(w->dp->lb, s, b->address, __builtin_bswap16(b->port), &found) == 0 &&
	       found == id;
}

bool affinity_find(struct worker *w, const struct service *s, struct ip_addr client, uint32_t *id)
{
	uint64_t hash = client_hash(w, s, client), entry = recent_find(bucket_of(w, hash), recent_tag(hash));

	if (!entry || age(entry, w->now_s) > s->affinity_s || !takes(w, s, (uint32_t)entry & ID_MASK))
		return false;
	*id = (uint32_t)entry & ID_MASK;
	return true;
}

void affinity_note(struct worker *w, const struct service *s, struct ip_addr client, uint32_t id)
{
	uint64_t hash = client_hash(w, s, client);

	recent_put(bucket_of(w, hash), recent_tag(hash) | (uint64_t)(w->now_s & SECONDS) << ID_BITS | id,
		w->now_s, age);
}
