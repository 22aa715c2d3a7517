/*
 * chase.c: aliases followed for the client. An instance or a node may have a host name for an address, told as
 * a CNAME; the resolvers of most programs ask one server only and do not go on from there by themselves. What stands
 * behind a name of ours is looked up here, behind any other by the recursors.
 */
#include <errno.h>
#include <string.h>

#include "registry/dns/inside.h"

enum { RECORD_FIXED = 10 }; /* bytes of type, class, TTL and length */

bool dns_chase_question(
	const struct dns_query *query, const struct dns_answer *answer, struct dns_query *target)
{
	const struct dns_record *record = answer->answer.item;
	const uint8_t *wire;

	if (answer->answer.count != 1 || query->type == LDNS_RR_TYPE_CNAME || query->type == LDNS_RR_TYPE_ANY)
		return false;
	wire = answer->data + record->at + 2; /* behind the pointer to the question */
	if (ldns_read_uint16(wire) != LDNS_RR_TYPE_CNAME)
		return false;
	dns_query_subject(target, query, wire + RECORD_FIXED, ldns_read_uint16(wire + RECORD_FIXED - 2));
	return true;
}

size_t dns_chase_message(const struct dns_query *target, uint8_t out[DNS_HEADER + DNS_NAME_MAX + 4])
{
	memset(out, 0, DNS_HEADER);
	out[2] = 1; /* recursion desired */
	out[5] = 1; /* one question */
	memcpy(out + DNS_HEADER, target->wire, target->nwire);
	return DNS_HEADER + (size_t)target->nwire;
}

/* A name of ours behind the alias: the answer as if it had been asked for. */
static size_t look_up(struct dns *dns, const struct dns_query *target, uint8_t out[DNS_UDP_MAX])
{
	struct dns_query query = *target;
	const struct dns_answer *answer;

	query.inside = true;
	query.tcp = query.edns = false;
	query.size = DNS_UDP_MAX;
	answer = dns_cache_get(dns, &query);
	return answer ? dns_reply(dns, &query, answer, out) : 0;
}

/* A failure behind the alias is none of the alias, which the client may still follow by itself. */
static bool says_something(const ldns_pkt *packet)
{
	ldns_pkt_rcode rcode = packet ? ldns_pkt_get_rcode(packet) : LDNS_RCODE_SERVFAIL;

	return rcode == LDNS_RCODE_NOERROR || rcode == LDNS_RCODE_NXDOMAIN;
}

size_t dns_chase_reply(
	struct dns *dns, struct dns_query *query, const uint8_t *found, size_t len, uint8_t *out)
{
	const struct dns_answer *answer;
	struct dns_query target;
	ldns_pkt *packet = NULL;
	size_t written;

	if (len && (ldns_wire2pkt(&packet, found, len) != LDNS_STATUS_OK || !says_something(packet))) {
		ldns_pkt_free(packet);
		packet = NULL;
	}
	answer = dns_cache_get(dns, query);
	if (!answer)
		written = dns_reply_code(dns, query, LDNS_RCODE_SERVFAIL, out);
	else if (dns_chase_question(query, answer, &target))
		written = dns_reply_with(dns, query, answer, packet, out);
	else /* it has been given an address meanwhile */
		written = dns_reply(dns, query, answer, out);
	ldns_pkt_free(packet);
	return written;
}

ssize_t dns_chase(struct dns *dns, struct dns_query *query, const struct dns_query *target, uint8_t *out)
{
	uint8_t found[DNS_UDP_MAX];
	size_t len = 0;

	if (target->ours)
		len = look_up(dns, target, found);
	else if (dns->nrecursors && query->recurse)
		return -EAGAIN;
	return (ssize_t)dns_chase_reply(dns, query, found, len, out);
}
