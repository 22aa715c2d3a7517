/*
 * cache.c: answers that still hold. Nothing is taken out when the registry changes: an answer says what
 * it was made of, and is made anew when that has another generation.
 *
 * Which of them leave when there are too many is by two queues (S3-FIFO: Yang et al., SOSP 2023): an answer comes into the
 * small one and moves to the other if it is asked for again before it has reached the end. So a client that asks for ever
 * another name passes through the small one, and what is asked for often stays. What does not exist is not kept at all.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "registry/dns/inside.h"

enum { ANSWERS_MAX = 16384, FRESH_MAX = ANSWERS_MAX / 8, BYTES_MAX = 32 << 20, WIRE_KEPT = 1 << 20 };

static struct dns_answers *list_of(struct dns_cache *cache, const struct dns_answer *answer)
{
	return answer->proven ? &cache->proven : &cache->fresh;
}

static void leave(struct dns_cache *cache, struct dns_answer *answer)
{
	TAILQ_REMOVE(list_of(cache, answer), answer, link);
	cache->nfresh -= !answer->proven;
}

static void enter(struct dns_cache *cache, struct dns_answer *answer, bool proven)
{
	answer->used = false;
	answer->proven = proven;
	TAILQ_INSERT_TAIL(list_of(cache, answer), answer, link);
	cache->nfresh += !proven;
}

static void drop(struct dns_cache *cache, struct dns_answer *answer)
{
	assert(cache->by_key); /* it is in */
	HASH_DEL(cache->by_key, answer);
	leave(cache, answer);
	cache->bytes -= answer->bytes;
	cache->count--;
	free(answer);
}

void dns_cache_open(struct dns_cache *cache, uint64_t seed)
{
	TAILQ_INIT(&cache->fresh);
	TAILQ_INIT(&cache->proven);
	cache->seed = seed;
}

static void forget_made(struct dns_cache *cache)
{
	free(cache->made.answer.item);
	free(cache->made.extra.item);
	free(cache->made.soa.item);
	ldns_buffer_free(cache->wire);
	memset(&cache->made, 0, sizeof(cache->made));
	cache->wire = NULL;
}

void dns_cache_close(struct dns_cache *cache)
{
	while (cache->by_key)
		drop(cache, cache->by_key);
	forget_made(cache);
}

/* Each answer that is passed by has been asked for since: a hit pays for one step. */
static void make_room(struct dns_cache *cache)
{
	while (cache->count >= ANSWERS_MAX || cache->bytes >= BYTES_MAX) {
		bool fresh = cache->nfresh > FRESH_MAX || TAILQ_EMPTY(&cache->proven);
		struct dns_answer *answer = TAILQ_FIRST(fresh ? &cache->fresh : &cache->proven);

		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was dropped is in the list no more */
		if (!answer->used) {
			drop(cache, answer);
		} else {
			leave(cache, answer);
			enter(cache, answer, true);
		}
	}
}

static bool basis_holds(const struct dns *dns, const struct dns_basis *basis)
{
	if (basis->whole && basis->whole != registry_generation(dns->reg) + 1)
		return false;
	if (basis->names != registry_names_generation(dns->reg) ||
		basis->nodes != registry_nodes_generation(dns->reg))
		return false;
	return !basis->service[0] ||
	       basis->service_generation == registry_service_generation(dns->reg, basis->service);
}

/* All generations are of the registry's: while that is the same nothing can have changed. */
static bool holds(const struct dns *dns, struct dns_answer *answer)
{
	uint64_t generation = registry_generation(dns->reg);

	if (answer->basis.ports && answer->basis.ports != dns->ports)
		return false;
	if (answer->verified == generation)
		return true;
	if (!basis_holds(dns, &answer->basis))
		return false;
	answer->verified = generation;
	return true;
}

static bool is_flat(const struct dns_answer *answer)
{
	const struct dns_record *item = answer->answer.item;

	for (size_t i = 0; i < answer->answer.count; i++)
		if (item[i].extra || item[i].at != (i ? item[i - 1].at + item[i - 1].len : 0u))
			return false;
	return answer->answer.count > 0;
}

/* What one large answer took is not held on to. */
static struct dns_answer *make(struct dns *dns, const struct dns_query *query)
{
	struct dns_cache *cache = &dns->cache;
	struct dns_answer *answer = &cache->made;

	if (cache->wire && ldns_buffer_capacity(cache->wire) > WIRE_KEPT)
		forget_made(cache);
	if (!cache->wire)
		cache->wire = ldns_buffer_new(512);
	if (!cache->wire)
		return NULL;
	ldns_buffer_clear(cache->wire);
	answer->answer.count = answer->extra.count = answer->soa.count = 0;
	answer->forward = answer->brief = false;
	answer->basis = (struct dns_basis){0};
	if (dns_resolve(dns, query, answer, cache->wire) < 0)
		return NULL;
	answer->verified = registry_generation(dns->reg);
	answer->data = ldns_buffer_begin(cache->wire);
	answer->ndata = ldns_buffer_position(cache->wire);
	answer->flat = is_flat(answer);
	return answer;
}

static void *copy(void *to, const void *from, size_t size)
{
	return size ? (uint8_t *)memcpy(to, from, size) + size : to;
}

static size_t size_of(const struct dns_records *list)
{
	return list->count * sizeof(struct dns_record);
}

/* One block: the answer, its records, what they are in and its key. NULL: no memory. */
static struct dns_answer *keep(const struct dns_answer *made, const struct dns_query *query)
{
	size_t bytes = sizeof(*made) + size_of(&made->answer) + size_of(&made->extra) + size_of(&made->soa) +
		       made->ndata + query->nkey;
	struct dns_answer *answer = malloc(bytes);
	void *at = answer + 1;

	if (!answer)
		return NULL;
	*answer = *made;
	answer->bytes = bytes;
	answer->nkey = query->nkey;
	answer->answer.item = at;
	at = copy(at, made->answer.item, size_of(&made->answer));
	answer->extra.item = at;
	at = copy(at, made->extra.item, size_of(&made->extra));
	answer->soa.item = at;
	at = copy(at, made->soa.item, size_of(&made->soa));
	answer->data = at;
	at = copy(at, made->data, made->ndata);
	answer->key = at;
	memcpy(at, query->key, query->nkey);
	return answer;
}

const struct dns_answer *dns_cache_get(struct dns *dns, struct dns_query *query)
{
	struct dns_cache *cache = &dns->cache;
	unsigned hash = (unsigned)XXH3_64bits_withSeed(query->key, query->nkey, cache->seed);
	struct dns_answer *answer, *made;

	HASH_FIND_BYHASHVALUE(hh, cache->by_key, query->key, query->nkey, hash, answer);
	if (answer && holds(dns, answer)) {
		answer->used = true;
		dns->info.cached++;
		return answer;
	}
	if (answer)
		drop(cache, answer);
	dns_query_name(query);
	made = make(dns, query);
	if (!made || made->brief)
		return made;
	make_room(cache);
	answer = keep(made, query);
	if (!answer)
		return made;
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, cache->by_key, answer->key, answer->nkey, hash, answer);
	if (!answer->hh.tbl) {
		free(answer);
		return made;
	}
	enter(cache, answer, false);
	cache->bytes += answer->bytes;
	cache->count++;
	return answer;
}
