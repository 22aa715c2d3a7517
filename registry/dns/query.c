/*
 * query.c: from a message to what is asked. ldns takes the message apart; here is only what a query of
 * ours may be (RFC 1035, RFC 6891).
 */
#include <ctype.h>
#include <string.h>

#include "registry/dns/inside.h"

enum { FLAG_RESPONSE = 0x80, UDP_PLAIN = 512 };

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

static int read_question(struct dns_query *query, const ldns_rr *rr)
{
	const ldns_rdf *owner = ldns_rr_owner(rr);
	size_t size = ldns_rdf_size(owner);

	if (size > DNS_NAME_MAX)
		return LDNS_RCODE_FORMERR;
	query->type = (uint16_t)ldns_rr_get_type(rr);
	query->klass = (uint16_t)ldns_rr_get_class(rr);
	memcpy(query->wire, ldns_rdf_data(owner), size);
	ldns_write_uint16(query->wire + size, query->type);
	ldns_write_uint16(query->wire + size + 2, query->klass);
	query->nwire = (uint16_t)(size + 4);
	name_text(query->wire, size, query->name);
	return LDNS_RCODE_NOERROR;
}

void dns_query_subject(
	struct dns_query *query, const struct dns_query *like, const uint8_t *name, size_t size)
{
	*query = *like;
	memcpy(query->wire, name, size);
	ldns_write_uint16(query->wire + size, query->type);
	ldns_write_uint16(query->wire + size + 2, query->klass);
	query->nwire = (uint16_t)(size + 4);
	name_text(query->wire, size, query->name);
}

static void read_edns(struct dns_query *query, const ldns_pkt *packet)
{
	uint16_t size = ldns_pkt_edns_udp_size(packet);

	query->edns = ldns_pkt_edns(packet);
	if (!query->edns || query->tcp)
		return;
	if (size > UDP_PLAIN)
		query->size = size < DNS_UDP_MAX ? size : DNS_UDP_MAX;
}

/* What is well-formed, but not for us. */
static int judge(const struct dns_query *query)
{
	if (query->type == LDNS_RR_TYPE_AXFR || query->type == LDNS_RR_TYPE_IXFR)
		return LDNS_RCODE_NOTIMPL;
	if (query->klass != LDNS_RR_CLASS_IN && query->klass != LDNS_RR_CLASS_ANY)
		return LDNS_RCODE_REFUSED;
	return LDNS_RCODE_NOERROR;
}

int dns_query_read(struct dns_query *query, const uint8_t *data, size_t len)
{
	ldns_pkt *packet = NULL;
	int rcode;

	if (len < DNS_HEADER || data[2] & FLAG_RESPONSE)
		return -1;
	query->id = ldns_read_uint16(data);
	query->opcode = data[2] >> 3 & 15;
	query->recurse = data[2] & 1;
	query->no_check = data[3] & 0x10;
	query->size = query->tcp ? DNS_TCP_MAX : UDP_PLAIN;
	if (query->opcode != LDNS_PACKET_QUERY)
		return LDNS_RCODE_NOTIMPL;
	if (ldns_read_uint16(data + 4) != 1)
		return LDNS_RCODE_FORMERR;
	if (ldns_wire2pkt(&packet, data, len) != LDNS_STATUS_OK)
		return LDNS_RCODE_FORMERR;
	rcode = read_question(query, ldns_rr_list_rr(ldns_pkt_question(packet), 0));
	if (rcode == LDNS_RCODE_NOERROR) {
		read_edns(query, packet);
		rcode = query->edns && ldns_pkt_edns_version(packet) ? 16 /* BADVERS */ : judge(query);
	}
	ldns_pkt_free(packet);
	return rcode;
}
