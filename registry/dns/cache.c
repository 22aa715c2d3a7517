/*
 * cache.c: answers that still hold. Nothing is taken out when the registry changes: an answer says what
 * it was made of, and is made anew when that has another generation. The least used go when there are too
 * many.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "registry/dns/inside.h"

enum { ANSWERS_MAX = 16384, BYTES_MAX = 32 << 20 };

static void answer_free(struct dns_answer *answer)
{
	free(answer->answer.item);
	free(answer->extra.item);
	free(answer->soa.item);
	ldns_buffer_free(answer->wire);
	free(answer);
}

static void drop(struct dns_cache *cache, struct dns_answer *answer)
{
	assert(cache->by_key); /* it is in */
	HASH_DEL(cache->by_key, answer);
	TAILQ_REMOVE(&cache->used, answer, used);
	cache->bytes -= answer->bytes;
	cache->count--;
	answer_free(answer);
}

void dns_cache_open(struct dns_cache *cache, uint64_t seed)
{
	TAILQ_INIT(&cache->used);
	cache->seed = seed;
}

void dns_cache_close(struct dns_cache *cache)
{
	struct dns_answer *answer, *next;

	for (answer = TAILQ_FIRST(&cache->used); answer; answer = next) {
		next = TAILQ_NEXT(answer, used);
		drop(cache, answer);
	}
}

static void make_room(struct dns_cache *cache)
{
	struct dns_answer *answer, *next;

	for (answer = TAILQ_FIRST(&cache->used); answer; answer = next) {
		if (cache->count < ANSWERS_MAX && cache->bytes < BYTES_MAX)
			return;
		next = TAILQ_NEXT(answer, used);
		drop(cache, answer);
	}
}

static bool holds(const struct dns *dns, const struct dns_basis *basis)
{
	if (basis->ports && basis->ports != dns->ports)
		return false;
	if (basis->whole && basis->whole != registry_generation(dns->reg) + 1)
		return false;
	if (basis->names != registry_names_generation(dns->reg) ||
		basis->nodes != registry_nodes_generation(dns->reg))
		return false;
	return !basis->service[0] ||
	       basis->service_generation == registry_service_generation(dns->reg, basis->service);
}

/* Names of the domain mean the same everywhere; others what the network makes of them. */
static uint16_t make_key(
	const struct dns *dns, const struct dns_query *query, uint8_t key[6 + DNS_NAME_MAX + 1])
{
	uint32_t listener = dns_name_ours(dns, query->name) ? 0 : query->listener->id;
	size_t len = strlen(query->name);

	memcpy(key, &listener, 4);
	memcpy(key + 4, &query->type, 2);
	memcpy(key + 6, query->name, len);
	return (uint16_t)(6 + len);
}

static struct dns_answer *make(
	struct dns *dns, const struct dns_query *query, const uint8_t *key, uint16_t nkey)
{
	struct dns_answer *answer = calloc(1, sizeof(*answer) + nkey);

	if (!answer)
		return NULL;
	memcpy(answer->key, key, nkey);
	answer->nkey = nkey;
	answer->wire = ldns_buffer_new(128);
	if (!answer->wire || dns_resolve(dns, query, answer) < 0) {
		answer_free(answer);
		return NULL;
	}
	answer->bytes =
		sizeof(*answer) + nkey + ldns_buffer_capacity(answer->wire) +
		(answer->answer.room + answer->extra.room + answer->soa.room) * sizeof(struct dns_record);
	return answer;
}

const struct dns_answer *dns_cache_get(struct dns *dns, const struct dns_query *query)
{
	struct dns_cache *cache = &dns->cache;
	uint8_t key[6 + DNS_NAME_MAX + 1];
	uint16_t nkey = make_key(dns, query, key);
	unsigned hash = (unsigned)XXH3_64bits_withSeed(key, nkey, cache->seed);
	struct dns_answer *answer;

	HASH_FIND_BYHASHVALUE(hh, cache->by_key, key, nkey, hash, answer);
	if (answer && holds(dns, &answer->basis)) {
		TAILQ_REMOVE(&cache->used, answer, used);
		TAILQ_INSERT_TAIL(&cache->used, answer, used);
		dns->info.cached++;
		return answer;
	}
	if (answer)
		drop(cache, answer);
	make_room(cache);
	answer = make(dns, query, key, nkey);
	if (!answer)
		return NULL;
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, cache->by_key, answer->key, nkey, hash, answer);
	if (!answer->hh.tbl) {
		answer_free(answer);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&cache->used, answer, used);
	cache->bytes += answer->bytes;
	cache->count++;
	return answer;
}
