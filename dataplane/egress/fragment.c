#include "dataplane/egress/fragment.h"

#include "dataplane/core/dp.h"
#include "dataplane/egress/icmp.h"
#include "dataplane/egress/inside.h"
#include "dataplane/frame/nat.h"
#include "dataplane/frame/parse.h"
#include "dataplane/lb/fragment.h"

enum { HEADER6 = 8, OFFSET4 = 0x1fff, OFFSET6 = 0xfff8 };

/* The service stage notes the same datagrams in the same rows, of guests that are backends too. */
static const uint64_t SALT = UINT64_C(0xd6e8feb86659fd93);
static_assert(2 * (uint64_t)CONN_SIZE_MAX <= FRAGMENT_EGRESS, "an index has no such bit");

bool egress_is_fragment(struct frame *f)
{
	return icmp_is6(f) ? f->ip_proto == IPPROTO_FRAGMENT
			   : load16(frame_data(f) + f->l3_off + 6) & IP4_MF_OFFSET;
}

static bool read6(struct worker *w, struct frame *f, struct egress_fragment *out)
{
	unsigned at = f->l3_off + IP6_LEN, behind = at + HEADER6;
	const uint8_t *header;

	if (behind > icmp_packet_end(f) || frame_pull(f, (uint16_t)behind) < behind)
		return false;
	header = frame_data(f) + at;
	out->later = load16(header + 2) & OFFSET6;
	out->proto = header[0];
	out->l4_off = (uint8_t)behind;
	out->hash = service_fragment_hash6(w, f, load32(header + 4)) ^ SALT;
	return out->proto == IPPROTO_TCP || out->proto == IPPROTO_UDP || out->proto == IPPROTO_ICMPV6;
}

static bool read4(struct worker *w, struct frame *f, struct egress_fragment *out)
{
	const uint8_t *ip = frame_data(f) + f->l3_off;

	out->later = load16(ip + 6) & OFFSET4;
	out->proto = f->ip_proto;
	out->l4_off = (uint8_t)(f->l3_off + (ip[0] & 15) * 4);
	out->hash = service_fragment_hash(w, f) ^ SALT;
	return out->proto == IPPROTO_TCP || out->proto == IPPROTO_UDP || out->proto == IPPROTO_ICMP;
}

bool egress_fragment_read(struct worker *w, struct frame *f, struct egress_fragment *out)
{
	return icmp_is6(f) ? read6(w, f, out) : read4(w, f, out);
}

void egress_fragment_note(struct worker *w, const struct port *in, const struct frame *f,
	const struct egress_fragment *fragment, uint32_t index)
{
	service_fragment_note6(
		w, in, f, fragment->hash, FRAGMENT_TO_BACKEND, FRAGMENT_EGRESS | index, (struct ip_addr){0});
}

bool egress_fragment_find(struct worker *w, const struct port *in, const struct frame *f,
	const struct egress_fragment *fragment, const struct conn_ends *ends, struct conn_hit *hit)
{
	struct ip_addr none;
	uint32_t value;

	return service_fragment_find6(w, in, f, fragment->hash, &value, &none) == FRAGMENT_TO_BACKEND &&
	       (value & FRAGMENT_EGRESS) &&
	       conn_at(w->dp->egress->flows, value & ~FRAGMENT_EGRESS, ends, hit);
}

void egress_fragment_rewrite(
	struct frame *f, enum nat_end end, const uint8_t mac[6], const struct conn_hit *hit)
{
	if (icmp_is6(f))
		nat_rewrite_address6(f, end, mac, &hit->ip6);
	else
		nat_rewrite_address(f, end, mac, hit->end.ip);
}
