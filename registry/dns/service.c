/*
 * service.c: the instances of a service. What is critical or draining is never told, nor what is to get
 * no new connections.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <xxhash.h>

#include "addr/ip_text.h"
#include "registry/dns/inside.h"

/* Few services have capitals in their names, and DNS does not tell them apart. */
struct service *dns_service_named(struct dns *dns, const char *name)
{
	struct service *service = NULL;

	if (strnlen(name, REG_NAME_MAX + 1) <= REG_NAME_MAX)
		service = service_find(dns->reg, name);
	return service || !dns->reg->ncapital ? service : dns_index_service(dns, name);
}

/* "_SERVICE._TAG", where _tcp is no tag. */
static struct service *of_rfc2782(struct dns *dns, const char *name, char *tag)
{
	char service[DNS_NAME_MAX + 1];
	const char *dot = NULL;

	for (const char *at = strstr(name, "._"); at; at = strstr(at + 1, "._"))
		dot = at;
	if (!dot)
		return NULL;
	snprintf(service, sizeof(service), "%.*s", (int)(dot - name - 1), name + 1);
	snprintf(tag, DNS_NAME_MAX + 1, "%s", strcmp(dot, "._tcp") == 0 ? "" : dot + 2);
	return dns_service_named(dns, service);
}

struct service *dns_service_of(struct dns *dns, const struct dns_name *name, char tag[DNS_NAME_MAX + 1])
{
	struct service *service;

	tag[0] = '\0';
	if (name->kind == DNS_RFC2782)
		return of_rfc2782(dns, name->name, tag);
	for (const char *at = name->name; at; at = strchr(at, '.')) {
		at += *at == '.';
		service = dns_service_named(dns, at);
		if (!service)
			continue;
		if (at > name->name)
			snprintf(tag, DNS_NAME_MAX + 1, "%.*s", (int)(at - 1 - name->name), name->name);
		return service;
	}
	return NULL;
}

/*
 * Which tags the instances of a service have, as a filter that says "none" for sure and "maybe" else (Bloom, CACM 1970):
 * clients can think of many tags, and each would take a walk through all instances.
 */
enum { BITS = 64 * DNS_TAG_WORDS };

static uint64_t hash_of(const struct dns *dns, const char *text)
{
	char lower[DNS_NAME_MAX + 1];
	size_t len = 0;

	for (; len < DNS_NAME_MAX && text[len]; len++)
		lower[len] = (char)tolower((unsigned char)text[len]);
	return XXH3_64bits_withSeed(lower, len, dns->cache.seed);
}

static bool has_bits(const struct dns_tags *tags, uint64_t bit)
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

static bool may_have(struct dns *dns, const struct service *service, const char *tag)
{
	struct dns_tags *tags = &dns->tags[hash_of(dns, service->def.name) % DNS_TAG_SLOTS];
	uint64_t hash = hash_of(dns, tag);

	if (!service->generation)
		return true;
	if (tags->generation != service->generation || strcmp(tags->service, service->def.name) != 0)
		fill(dns, tags, service);
	return has_bits(tags, hash) && has_bits(tags, hash >> 32);
}

static bool has_tag(const struct reg_backend *backend, const char *tag)
{
	const struct reg_metadata *metadata = backend->metadata;

	for (unsigned i = 0; metadata && i < metadata->ntag; i++)
		if (strcasecmp(metadata->tags[i], tag) == 0)
			return true;
	return !tag[0];
}

static bool is_answered(const struct dns *dns, const struct reg_backend *backend, const char *tag)
{
	if (backend->health == REG_WARNING && dns->config.only_passing)
		return false;
	return reg_backend_weight(backend) > 0 && has_tag(backend, tag);
}

/* The address as the label that stands for it below addr. */
static bool hex_of(const char *host, char hex[33])
{
	struct ip_addr address;

	if (!ip_parse(host, &address))
		return false;
	for (size_t at = 0, i = ip_is4(address) ? 12 : 0; i < sizeof(address.b); i++, at += 2)
		snprintf(hex + at, 3, "%02x", address.b[i]);
	return true;
}

/* One SRV record. The additional record of a neighbour with the same address serves for both. */
static void put_srv(struct dns_build *build, const struct reg_backend *backend, const char *host,
	char last[512], unsigned *extra)
{
	const struct dns *dns = build->dns;
	uint16_t weight = registry_told_weight(
		dns->reg, build->answer->basis.service, backend, reg_backend_weight(backend));
	bool at_node = backend->metadata && backend->metadata->host && !backend->metadata->host[0];
	char target[512], hex[33];

	const char *node = registry_node_find(dns->reg, reg_backend_node(backend))->name;

	if (at_node && dns_name_fits(dns, node))
		dns_node_name(dns, node, target);
	else if (hex_of(host, hex))
		snprintf(target, sizeof(target), "%s.addr.%s.%s", hex, dns->datacenter, dns->domain);
	else
		snprintf(target, sizeof(target), "%s", host);
	if (strcmp(target, last) != 0)
		*extra = dns_put_host(build, DNS_EXTRA, target, dns->config.ttl_s, host);
	memcpy(last, target, sizeof(target));
	dns_put_srv(build, dns->config.ttl_s, weight, backend->port, target, *extra);
}

enum { FEW = 16 }; /* instances that are gone through as soon as an answer is kept */

struct walk {
	struct dns_build *build;
	const char *tag;
	unsigned answered;
	char host[REG_HOST_MAX + 1]; /* of the last one put as an address */
	char name[REG_HOST_MAX + 1]; /* of one that has a name, not an address */
	char target[512];	     /* of the last SRV record, and the additional one that goes with it */
	unsigned extra;
};

static void take(struct walk *walk, const struct reg_backend *backend)
{
	struct dns_build *build = walk->build;
	uint32_t ttl = build->dns->config.ttl_s;
	char host[REG_HOST_MAX + 1], hex[33];

	walk->answered++;
	registry_backend_host(build->dns->reg, backend, host);
	if (!hex_of(host, hex)) {
		memcpy(walk->name, host, sizeof(host));
	} else if (strcmp(host, walk->host) != 0) {
		dns_put_host(build, DNS_ANSWER, NULL, ttl, host);
		memcpy(walk->host, host, sizeof(host));
	}
	if (dns_wants(build, LDNS_RR_TYPE_SRV))
		put_srv(build, backend, host, walk->target, &walk->extra);
}

void dns_put_service(struct dns_build *build, struct service *service, const char *tag)
{
	const struct sorted *list = &service->backends;
	struct dns_answer *answer = build->answer;
	struct walk walk = {.build = build, .tag = tag};
	/* of more than a message holds, others each time that the answer is made */
	size_t start = list->count > DNS_RECORDS ? dns_random(build->dns) % list->count : 0;
	bool none = tag[0] && list->count > FEW && !may_have(build->dns, service, tag);

	memcpy(answer->basis.service, service->def.name, sizeof(answer->basis.service));
	answer->basis.service_generation = service->generation;
	for (size_t i = 0; !none && i < list->count && answer->answer.count < DNS_RECORDS; i++) {
		const struct reg_backend *backend = list->item[(start + i) % list->count];

		if (is_answered(build->dns, backend, tag))
			take(&walk, backend);
	}
	if (service->def.measured && dns_wants(build, LDNS_RR_TYPE_SRV))
		answer->brief = true; /* what is measured changes without a generation */
	if (!walk.answered) {
		answer->rcode = LDNS_RCODE_NXDOMAIN;
		answer->brief = none || list->count <= FEW; /* clients can think of many tags */
	}
	/* a name beside which nothing else may stand (RFC 1034, section 3.6.2) */
	if (walk.name[0] && !answer->answer.count && build->query->type != LDNS_RR_TYPE_SRV)
		dns_put_name(
			build, DNS_ANSWER, NULL, LDNS_RR_TYPE_CNAME, build->dns->config.ttl_s, walk.name);
}
