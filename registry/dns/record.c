/*
 * record.c: records in wire format, by ldns. A record must stand wherever it is put in a message: its
 * owner is a pointer to the question, always at the same listener, or a whole name; names in its data are whole.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addr/ip_text.h"
#include "registry/dns/inside.h"

enum {
	POINTER = 0xc000 | DNS_HEADER, /* to the question's name */
	SRV_PRIORITY = 1,
	REFRESH_S = 3600, /* of the SOA: nobody transfers this zone, so the usual will do */
	RETRY_S = 600,
	EXPIRE_S = 86400,
};

bool dns_wants(const struct dns_build *build, ldns_rr_type type)
{
	return build->query->type == type || build->query->type == LDNS_RR_TYPE_ANY;
}

static struct dns_records *section(struct dns_build *build, enum dns_section to)
{
	struct dns_records *const lists[] = {
		&build->answer->answer, &build->answer->extra, &build->answer->soa};

	return lists[to];
}

static struct dns_record *grow(struct dns_build *build, struct dns_records *list)
{
	size_t room = list->room ? 2 * list->room : 4;
	struct dns_record *item;

	if (list->count == DNS_RECORDS)
		return NULL;
	if (list->count == list->room) {
		item = reallocarray(list->item, room, sizeof(*item));
		if (!item) {
			build->failed = true;
			return NULL;
		}
		list->item = item;
		list->room = room;
	}
	return &list->item[list->count];
}

/* The question's name in its wire format, to be put behind a pointer. */
static ldns_rdf *question_name(const struct dns_query *query)
{
	return ldns_rdf_new_frm_data(LDNS_RDF_TYPE_DNAME, query->nwire - 4, query->wire);
}

/* Encodes the record and takes it in. `rr` is freed. */
static unsigned put(struct dns_build *build, enum dns_section to, const char *owner, ldns_rr *rr)
{
	struct dns_records *list = section(build, to);
	struct dns_record *record = grow(build, list);
	size_t at = ldns_buffer_position(build->wire), skip = 0;
	ldns_buffer *one = build->dns->record; /* ldns loses its way beyond 64 KB of a buffer */

	ldns_buffer_clear(one);
	if (rr && record) {
		ldns_rr_set_owner(rr, owner ? ldns_dname_new_frm_str(owner) : question_name(build->query));
		if (!owner)
			skip = build->query->nwire - 4 - 2; /* a pointer stands for the name */
		if (ldns_rr_owner(rr) &&
			(ldns_rr2buffer_wire(one, rr, LDNS_SECTION_ANSWER) != LDNS_STATUS_OK ||
				!ldns_buffer_reserve(build->wire, ldns_buffer_position(one))))
			build->failed = true;
	}
	if (!rr || !record || !ldns_rr_owner(rr) || build->failed) {
		build->failed |= !rr;
		ldns_rr_free(rr);
		return 0;
	}
	ldns_rr_free(rr);
	*record =
		(struct dns_record){.at = (uint32_t)at, .len = (uint16_t)(ldns_buffer_position(one) - skip)};
	ldns_buffer_write(build->wire, ldns_buffer_at(one, skip), record->len);
	if (!owner)
		ldns_buffer_write_u16_at(build->wire, at, POINTER);
	return (unsigned)++list->count;
}

static ldns_rr *make(ldns_rr_type type, uint32_t ttl)
{
	ldns_rr *rr = ldns_rr_new();

	if (!rr)
		return NULL;
	ldns_rr_set_type(rr, type);
	ldns_rr_set_class(rr, LDNS_RR_CLASS_IN);
	ldns_rr_set_ttl(rr, ttl);
	return rr;
}

/* The record with this much more data; NULL when either is missing. */
static ldns_rr *with(ldns_rr *rr, ldns_rdf *data)
{
	if (rr && data && ldns_rr_push_rdf(rr, data))
		return rr;
	ldns_rdf_deep_free(data);
	ldns_rr_free(rr);
	return NULL;
}

static ldns_rr *with_16(ldns_rr *rr, uint16_t value)
{
	return with(rr, ldns_native2rdf_int16(LDNS_RDF_TYPE_INT16, value));
}

static ldns_rr *with_32(ldns_rr *rr, uint32_t value)
{
	return with(rr, ldns_native2rdf_int32(LDNS_RDF_TYPE_INT32, value));
}

unsigned dns_put_a(
	struct dns_build *build, enum dns_section to, const char *owner, uint32_t ttl, uint32_t address)
{
	return put(build, to, owner,
		with(make(LDNS_RR_TYPE_A, ttl), ldns_rdf_new_frm_data(LDNS_RDF_TYPE_A, 4, &address)));
}

unsigned dns_put_aaaa(struct dns_build *build, enum dns_section to, const char *owner, uint32_t ttl,
	const uint8_t address[16])
{
	return put(build, to, owner,
		with(make(LDNS_RR_TYPE_AAAA, ttl), ldns_rdf_new_frm_data(LDNS_RDF_TYPE_AAAA, 16, address)));
}

unsigned dns_put_name(struct dns_build *build, enum dns_section to, const char *owner, ldns_rr_type type,
	uint32_t ttl, const char *name)
{
	ldns_rdf *data = ldns_dname_new_frm_str(name);

	return data ? put(build, to, owner, with(make(type, ttl), data)) : 0;
}

unsigned dns_put_txt(struct dns_build *build, uint32_t ttl, const char *text)
{
	size_t len = strnlen(text, UINT8_MAX);
	uint8_t data[1 + UINT8_MAX] = {(uint8_t)len};

	memcpy(data + 1, text, len);
	return put(build, DNS_ANSWER, NULL,
		with(make(LDNS_RR_TYPE_TXT, ttl), ldns_rdf_new_frm_data(LDNS_RDF_TYPE_STR, 1 + len, data)));
}

unsigned dns_put_srv(struct dns_build *build, uint32_t ttl, uint16_t weight, uint16_t port,
	const char *target, unsigned extra)
{
	ldns_rdf *name = ldns_dname_new_frm_str(target);
	ldns_rr *rr;
	unsigned at;

	if (!name)
		return 0;
	rr = with_16(make(LDNS_RR_TYPE_SRV, ttl), SRV_PRIORITY);
	at = put(build, DNS_ANSWER, NULL, with(with_16(with_16(rr, weight), port), name));
	if (at)
		build->answer->answer.item[at - 1].extra = (uint16_t)extra;
	return at;
}

static unsigned make_soa(struct dns_build *build, enum dns_section to, const char *zone)
{
	const struct dns *dns = build->dns;
	uint32_t ttl = dns->config.negative_ttl_s;
	char server[512], master[DNS_NAME_MAX + 16];
	ldns_rr *rr;

	dns_node_name(dns, registry_node_find(dns->reg, "")->name, server);
	snprintf(master, sizeof(master), "hostmaster.%s", dns->domain);
	rr = with(make(LDNS_RR_TYPE_SOA, ttl), ldns_dname_new_frm_str(server));
	rr = with(rr, ldns_dname_new_frm_str(master));
	rr = with_32(rr, (uint32_t)registry_generation(dns->reg));
	rr = with_32(with_32(with_32(rr, REFRESH_S), RETRY_S), EXPIRE_S);
	return put(build, to, zone, with_32(rr, ttl));
}

unsigned dns_put_address(
	struct dns_build *build, enum dns_section to, const char *owner, uint32_t ttl, struct ip_addr address)
{
	ldns_rr_type type = ip_is4(address) ? LDNS_RR_TYPE_A : LDNS_RR_TYPE_AAAA;

	if (to == DNS_ANSWER && !dns_wants(build, type))
		return 0;
	return type == LDNS_RR_TYPE_A ? dns_put_a(build, to, owner, ttl, ip_to4(address))
				      : dns_put_aaaa(build, to, owner, ttl, address.b);
}

/* Most questions that somebody makes up are answered by nothing but this record. */
unsigned dns_put_soa(struct dns_build *build, enum dns_section to, const char *zone)
{
	struct dns *dns = build->dns;
	struct dns_soa *kept = &dns->soa[!zone		       ? DNS_SOA_QUESTION
					 : zone == dns->domain ? DNS_SOA_DOMAIN
							       : DNS_SOA_NETWORK];
	uint64_t generation = registry_generation(dns->reg) + 1;
	struct dns_record *record = grow(build, section(build, to));
	size_t at = ldns_buffer_position(build->wire);
	unsigned index;

	if (record && kept->generation == generation && strcmp(kept->zone, zone ? zone : "") == 0 &&
		ldns_buffer_reserve(build->wire, kept->len)) {
		ldns_buffer_write(build->wire, kept->wire, kept->len);
		*record = (struct dns_record){.at = (uint32_t)at, .len = kept->len};
		return (unsigned)++section(build, to)->count;
	}
	index = make_soa(build, to, zone);
	if (!index)
		return 0;
	record = &section(build, to)->item[index - 1];
	if (record->len <= sizeof(kept->wire)) {
		kept->generation = generation;
		kept->len = record->len;
		memcpy(kept->wire, ldns_buffer_at(build->wire, record->at), record->len);
		snprintf(kept->zone, sizeof(kept->zone), "%s", zone ? zone : "");
	}
	return index;
}

unsigned dns_put_host(
	struct dns_build *build, enum dns_section to, const char *owner, uint32_t ttl, const char *host)
{
	struct ip_addr address;

	if (ip_parse(host, &address))
		return dns_put_address(build, to, owner, ttl, address);
	return to == DNS_ANSWER && host[0] ? dns_put_name(build, to, owner, LDNS_RR_TYPE_CNAME, ttl, host)
					   : 0;
}

void dns_node_name(const struct dns *dns, const char *node, char out[512])
{
	snprintf(out, 512, "%s.node.%s.%s", node, dns->datacenter, dns->domain);
}
