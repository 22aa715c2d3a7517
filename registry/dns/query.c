/*
 * query.c: from a message to what is asked (RFC 1035, RFC 6891). Read here and not by ldns, which allocates for each record: of
 * a query only the question and the OPT record count, and a message of nonsense must not take longer than one that is
 * answered.
 */
#include <ctype.h>
#include <string.h>

#include "registry/dns/inside.h"

enum {
	FLAG_RESPONSE = 0x80,
	UDP_PLAIN = 512,
	LABEL_MAX = 63,
	RECORD_FIXED = 10, /* bytes of type, class, TTL and length */
	OPTION_FIXED = 4,
	BADVERS = 16,
};

/* What is left of a message. */
struct cursor {
	const uint8_t *at, *end;
};

static bool skip(struct cursor *c, size_t n)
{
	if ((size_t)(c->end - c->at) < n)
		return false;
	c->at += n;
	return true;
}

/* Passes a name; `whole`: that has no pointer. */
static bool skip_name(struct cursor *c, bool whole)
{
	const uint8_t *begin = c->at;

	while (c->at < c->end && c->at - begin < DNS_NAME_MAX) {
		uint8_t label = *c->at;

		if (label > LABEL_MAX)
			return !whole && label >= 0xc0 && skip(c, 2);
		if (!skip(c, 1 + (size_t)label))
			return false;
		if (!label)
			return c->at - begin <= DNS_NAME_MAX;
	}
	return false;
}

/* The name as text. Bytes that no name here has, a dot within a label too, become one that no text has. */
static void name_text(const uint8_t *wire, size_t len, char *text)
{
	size_t at = 0, used = 0;

	while (at < len && wire[at]) {
		size_t label = wire[at++];

		if (used)
			text[used++] = '.';
		for (; label; label--, at++) {
			bool plain = isgraph(wire[at]) && wire[at] != '.';

			text[used++] = plain ? (char)tolower(wire[at]) : '\1';
		}
	}
	text[used] = '\0';
}

const char *dns_query_name(struct dns_query *query)
{
	if (!query->name[0])
		name_text(query->wire, query->nwire - 4, query->name);
	return query->name;
}

/* Is the name, in lower case, the domain or below it? */
static bool is_ours(const struct dns *dns, const uint8_t *name, size_t size)
{
	if (size < dns->nzone || memcmp(name + size - dns->nzone, dns->zone, dns->nzone) != 0)
		return false;
	while (size > dns->nzone) { /* where a label begins */
		size -= 1 + (size_t)*name;
		name += 1 + *name;
	}
	return size == dns->nzone;
}

/* Types that no record here has are one: all have the same answer. */
static uint16_t type_class(uint16_t type)
{
	switch (type) {
	case LDNS_RR_TYPE_A:
	case LDNS_RR_TYPE_NS:
	case LDNS_RR_TYPE_CNAME:
	case LDNS_RR_TYPE_SOA:
	case LDNS_RR_TYPE_PTR:
	case LDNS_RR_TYPE_TXT:
	case LDNS_RR_TYPE_AAAA:
	case LDNS_RR_TYPE_SRV:
	case LDNS_RR_TYPE_ANY:
		return type;
	default:
		return 0;
	}
}

/* What answers are kept by: names of the domain mean the same everywhere, others what the network makes of them. */
static void make_key(struct dns_query *query)
{
	size_t size = query->nwire - 4;
	uint16_t type = type_class(query->type);
	uint32_t scope;

	for (size_t i = 0; i < size; i++) /* lengths of labels are below any letter */
		query->key[i] = (uint8_t)(query->wire[i] + ((uint8_t)(query->wire[i] - 'A') < 26 ? 32 : 0));
	query->ours = is_ours(query->listener->dns, query->key, size);
	scope = query->ours ? 0 : query->listener->id;
	memcpy(query->key + size, &type, sizeof(type));
	memcpy(query->key + size + sizeof(type), &scope, sizeof(scope));
	query->nkey = (uint16_t)(size + sizeof(type) + sizeof(scope));
}

static bool read_question(struct dns_query *query, struct cursor *c)
{
	const uint8_t *name = c->at;

	if (!skip_name(c, true) || !skip(c, 4))
		return false;
	query->nwire = (uint16_t)(c->at - name);
	memcpy(query->wire, name, query->nwire);
	query->type = ldns_read_uint16(c->at - 4);
	query->klass = ldns_read_uint16(c->at - 2);
	make_key(query);
	return true;
}

void dns_query_subject(
	struct dns_query *query, const struct dns_query *like, const uint8_t *name, size_t size)
{
	*query = *like;
	memcpy(query->wire, name, size);
	ldns_write_uint16(query->wire + size, query->type);
	ldns_write_uint16(query->wire + size + 2, query->klass);
	query->nwire = (uint16_t)(size + 4);
	query->name[0] = '\0';
	make_key(query);
}

/* Its options are not ours to know, and must be ones. */
static bool read_opt(struct dns_query *query, const uint8_t *fixed, struct cursor options)
{
	uint16_t size = ldns_read_uint16(fixed + 2);

	query->edns = true;
	query->version = fixed[5];
	query->dnssec = fixed[6] & 0x80;
	if (!query->tcp && size > UDP_PLAIN)
		query->size = size < DNS_UDP_MAX ? size : DNS_UDP_MAX;
	while (options.at < options.end) {
		const uint8_t *option = options.at;

		if (!skip(&options, OPTION_FIXED) || !skip(&options, ldns_read_uint16(option + 2)))
			return false;
	}
	return true;
}

/* Passes a record; the one of EDNS, of which there may be one, is taken in. */
static bool read_record(struct dns_query *query, struct cursor *c)
{
	const uint8_t *name = c->at, *fixed;
	bool root;

	if (!skip_name(c, false))
		return false;
	root = !*name;
	fixed = c->at;
	if (!skip(c, RECORD_FIXED) || !skip(c, ldns_read_uint16(fixed + 8)))
		return false;
	if (ldns_read_uint16(fixed) != LDNS_RR_TYPE_OPT)
		return true;
	return root && !query->edns && read_opt(query, fixed, (struct cursor){fixed + RECORD_FIXED, c->at});
}

/* What is well-formed, but not for us. */
static int judge(const struct dns_query *query)
{
	if (query->version)
		return BADVERS;
	if (query->type == LDNS_RR_TYPE_AXFR || query->type == LDNS_RR_TYPE_IXFR)
		return LDNS_RCODE_NOTIMPL;
	if (query->klass != LDNS_RR_CLASS_IN && query->klass != LDNS_RR_CLASS_ANY)
		return LDNS_RCODE_REFUSED;
	return LDNS_RCODE_NOERROR;
}

int dns_query_read(struct dns_query *query, const uint8_t *data, size_t len)
{
	struct cursor c = {data + DNS_HEADER, data + len};
	unsigned records;

	if (len < DNS_HEADER || data[2] & FLAG_RESPONSE)
		return -1;
	query->id = ldns_read_uint16(data);
	query->opcode = data[2] >> 3 & 15;
	query->recurse = data[2] & 1;
	query->no_check = data[3] & 0x10;
	query->size = query->tcp ? DNS_TCP_MAX : UDP_PLAIN;
	if (query->opcode != LDNS_PACKET_QUERY)
		return LDNS_RCODE_NOTIMPL;
	if (ldns_read_uint16(data + 4) != 1 || !read_question(query, &c))
		return LDNS_RCODE_FORMERR;
	records = ldns_read_uint16(data + 6) + ldns_read_uint16(data + 8) + ldns_read_uint16(data + 10);
	for (; records; records--)
		if (!read_record(query, &c))
			return LDNS_RCODE_FORMERR;
	return judge(query);
}
