/*
 * reply.c: from an answer to a message. Answers are shuffled by beginning at a random one; what does not
 * fit is left out and, of the answers, said so (TC), so that the client asks again by TCP.
 */
#include <string.h>

#include "registry/dns/inside.h"

enum {
	FLAG_QR = 0x8000,
	FLAG_AA = 0x0400,
	FLAG_TC = 0x0200,
	FLAG_RD = 0x0100,
	FLAG_RA = 0x0080,
	FLAG_CD = 0x0010,
	OUR_UDP_SIZE = 1232, /* that a query may have without being cut on its way */
};

struct writer {
	uint8_t *out;
	size_t len, room; /* room: without the OPT record */
	const struct dns_answer *answer;
	unsigned nanswer, nauthority, nextra;
	bool cut;
};

static bool put(struct writer *w, const struct dns_record *record)
{
	if (w->len + record->len > w->room)
		return false;
	memcpy(w->out + w->len, w->answer->data + record->at, record->len);
	w->len += record->len;
	return true;
}

/* All of them, from `start` on and then those before it, as they stand. */
static bool put_flat(struct writer *w, size_t start, size_t limit)
{
	const struct dns_answer *answer = w->answer;
	const struct dns_record *item = answer->answer.item;
	size_t count = answer->answer.count, end = item[count - 1].at + item[count - 1].len, at;

	if (count > limit || w->len + end > w->room)
		return false;
	at = item[start].at;
	memcpy(w->out + w->len, answer->data + at, end - at);
	memcpy(w->out + w->len + end - at, answer->data, at);
	w->len += end;
	w->nanswer += (unsigned)count;
	return true;
}

static void put_answers(struct writer *w, const struct dns_records *list, size_t start, size_t limit)
{
	if (w->answer->flat && put_flat(w, start, limit))
		return;
	for (size_t i = 0; i < list->count; i++) {
		if (w->nanswer == limit || !put(w, &list->item[(start + i) % list->count])) {
			w->cut = true;
			return;
		}
		w->nanswer++;
	}
}

/* Those that go with the answers that are in. One that does not fit is no loss (RFC 2181, section 9). */
static void put_extras(struct writer *w, size_t start)
{
	const struct dns_records *list = &w->answer->answer;
	uint8_t seen[DNS_RECORDS / 8] = {0}; /* those that are in */

	for (size_t i = 0; i < w->nanswer; i++) {
		unsigned extra = list->item[(start + i) % list->count].extra;

		if (!extra--)
			continue;
		if (seen[extra / 8] & 1 << extra % 8)
			continue;
		if (!put(w, &w->answer->extra.item[extra]))
			return;
		seen[extra / 8] |= (uint8_t)(1 << extra % 8);
		w->nextra++;
	}
}

/* What somebody else said, without the names that it left out for brevity. */
static void put_others(struct writer *w, const ldns_pkt *packet, uint16_t type)
{
	const ldns_rr_list *list = ldns_pkt_answer(packet);
	ldns_buffer *wire = ldns_buffer_new(256);

	for (size_t i = 0; wire && !w->cut && i < ldns_rr_list_rr_count(list); i++) {
		const ldns_rr *rr = ldns_rr_list_rr(list, i);

		if (ldns_rr_get_type(rr) != type && ldns_rr_get_type(rr) != LDNS_RR_TYPE_CNAME)
			continue;
		ldns_buffer_clear(wire);
		if (ldns_rr2buffer_wire(wire, rr, LDNS_SECTION_ANSWER) != LDNS_STATUS_OK ||
			w->len + ldns_buffer_position(wire) > w->room) {
			w->cut = true;
			continue;
		}
		memcpy(w->out + w->len, ldns_buffer_begin(wire), ldns_buffer_position(wire));
		w->len += ldns_buffer_position(wire);
		w->nanswer++;
	}
	ldns_buffer_free(wire);
}

static void put_opt(struct writer *w, const struct dns_query *query, int rcode)
{
	uint8_t *opt = w->out + w->len;

	memset(opt, 0, DNS_OPT);
	ldns_write_uint16(opt + 1, LDNS_RR_TYPE_OPT);
	ldns_write_uint16(opt + 3, OUR_UDP_SIZE);
	opt[5] = (uint8_t)(rcode >> 4);
	opt[7] = query->dnssec ? 0x80 : 0; /* RFC 3225, section 3 */
	w->len += DNS_OPT;
	w->nextra++;
}

static void begin(struct writer *w, const struct dns_query *query)
{
	w->room = query->size - (query->edns ? DNS_OPT : 0);
	memcpy(w->out + DNS_HEADER, query->wire, query->nwire);
	w->len = DNS_HEADER + query->nwire;
}

static size_t end(struct writer *w, struct dns *dns, const struct dns_query *query, int rcode, bool ours)
{
	unsigned flags = FLAG_QR | (unsigned)query->opcode << 11 | (unsigned)(rcode & 15);

	if (!query->inside) {
		dns->info.answers[query->tcp][rcode < DNS_CODES - 1 ? rcode : DNS_CODES - 1]++;
		dns->info.cut += w->cut;
	}
	if (ours)
		flags |= FLAG_AA;
	if (w->cut && !dns->config.unmarked)
		flags |= FLAG_TC;
	if (query->recurse)
		flags |= FLAG_RD;
	if (dns->nrecursors)
		flags |= FLAG_RA;
	if (query->no_check)
		flags |= FLAG_CD;
	if (query->edns)
		put_opt(w, query, rcode);
	ldns_write_uint16(w->out, query->id);
	ldns_write_uint16(w->out + 2, (uint16_t)flags);
	ldns_write_uint16(w->out + 4, query->nwire ? 1 : 0);
	ldns_write_uint16(w->out + 6, (uint16_t)w->nanswer);
	ldns_write_uint16(w->out + 8, (uint16_t)w->nauthority);
	ldns_write_uint16(w->out + 10, (uint16_t)w->nextra);
	return w->len;
}

size_t dns_reply(
	struct dns *dns, const struct dns_query *query, const struct dns_answer *answer, uint8_t *out)
{
	struct writer w = {.out = out, .answer = answer};
	size_t start = answer->answer.count > 1 ? dns_random(dns) % answer->answer.count : 0;
	bool limited = !query->tcp && !query->edns && dns->config.udp_answers;

	begin(&w, query);
	put_answers(&w, &answer->answer, start, limited ? dns->config.udp_answers : SIZE_MAX);
	if (answer->soa.count && put(&w, answer->soa.item))
		w.nauthority = 1;
	if (answer->extra.count)
		put_extras(&w, start);
	return end(&w, dns, query, answer->rcode, true);
}

size_t dns_reply_with(struct dns *dns, const struct dns_query *query, const struct dns_answer *answer,
	const ldns_pkt *more, uint8_t *out)
{
	struct writer w = {.out = out, .answer = answer};
	int rcode = answer->rcode;

	begin(&w, query);
	put_answers(&w, &answer->answer, 0, SIZE_MAX);
	if (more) {
		put_others(&w, more, query->type);
		w.cut |= ldns_pkt_tc(more);
		rcode = ldns_pkt_get_rcode(more);
	}
	return end(&w, dns, query, rcode, true);
}

size_t dns_reply_code(struct dns *dns, const struct dns_query *query, int rcode, uint8_t *out)
{
	struct writer w = {.out = out};

	begin(&w, query);
	return end(&w, dns, query, rcode, false);
}
