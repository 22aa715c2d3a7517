/*
 * tags.c: which tags the instances of a service have, as a filter that says "none" for sure and "maybe" else (Bloom, CACM 1970):
 * clients can think of many tags, and each would take a walk through all instances.
 */
#include <ctype.h>
#include <string.h>
#include <xxhash.h>

#include "registry/dns/inside.h"

enum { BITS = 64 * DNS_TAG_WORDS };

static uint64_t hash_of(const struct dns *dns, const char *text)
{
	char lower[DNS_NAME_MAX + 1];
	size_t len = 0;

	for (; len < DNS_NAME_MAX && text[len]; len++)
		lower[len] = (char)tolower((unsigned char)text[len]);
	return XXH3_64bits_withSeed(lower, len, dns->cache.seed);
}

static bool has(const struct dns_tags *tags, uint64_t bit)
{
	return tags->bits[bit % BITS / 64] >> bit % 64 & 1;
}

static void fill(struct dns *dns, struct dns_tags *tags, const struct service *service)
{
	memset(tags->bits, 0, sizeof(tags->bits));
	memcpy(tags->service, service->def.name, sizeof(tags->service));
	tags->generation = service->generation;
	for (size_t i = 0; i < service->backends.count; i++) {
		const struct reg_backend *backend = service->backends.item[i];

		for (unsigned k = 0; backend->metadata && k < backend->metadata->ntag; k++) {
			uint64_t hash = hash_of(dns, backend->metadata->tags[k]);

			tags->bits[hash % BITS / 64] |= (uint64_t)1 << hash % 64;
			tags->bits[(hash >> 32) % BITS / 64] |= (uint64_t)1 << (hash >> 32) % 64;
		}
	}
}

bool dns_tags_may_have(struct dns *dns, const struct service *service, const char *tag)
{
	struct dns_tags *tags = &dns->tags[hash_of(dns, service->def.name) % DNS_TAG_SLOTS];
	uint64_t hash = hash_of(dns, tag);

	if (!service->generation)
		return true;
	if (tags->generation != service->generation || strcmp(tags->service, service->def.name) != 0)
		fill(dns, tags, service);
	return has(tags, hash) && has(tags, hash >> 32);
}
