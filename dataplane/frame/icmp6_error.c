#include "dataplane/frame/icmp6_error.h"

#include "dataplane/frame/csum.h"
#include "dataplane/frame/parse.h"

enum {
	UNREACHABLE = 1,
	PARAMETER_PROBLEM = 4, /* the last of the errors with a quotation */
	ICMP_LEN = 8,
	ICMP_CSUM = 2,
	IP_LEN = 40,
	IP_NEXT = 6,
	IP_SOURCE = 8,
	L4_QUOTED = 8, /* bytes with the ports, and UDP's checksum */
	TCP_CSUM = 16,
	UDP_CSUM = 6,
	ECHO = 128,  /* a ping, which has an id where it has */
	ECHO_ID = 4, /* and no ports */
};

static bool has_ports(uint8_t proto, uint8_t first)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP ||
	       (proto == IPPROTO_ICMPV6 && first == ECHO);
}

static bool is_error(uint8_t type)
{
	return type >= UNREACHABLE && type <= PARAMETER_PROBLEM;
}

/* The private bytes of the IP packet end here. */
static uint32_t packet_end(struct frame *f)
{
	uint32_t end = f->l3_off + (uint32_t)IP_LEN + load16(frame_data(f) + f->l3_off + 4);

	return end < f->hdr_len ? end : f->hdr_len;
}

bool icmp6_error_read(struct frame *f, struct icmp6_error *e)
{
	const uint32_t off = f->l4_off + (uint32_t)ICMP_LEN, l4 = off + IP_LEN;
	const uint8_t *ip;
	uint32_t end;
	bool ping;

	if (!is_error(frame_data(f)[f->l4_off]))
		return false;
	frame_pull(f, HDR_MAX);
	end = packet_end(f);
	ip = frame_data(f) + off;
	if (l4 + L4_QUOTED > end || ip[0] >> 4 != 6 || !has_ports(ip[IP_NEXT], ip[IP_LEN]))
		return false;
	ping = ip[IP_NEXT] == IPPROTO_ICMPV6;
	*e = (struct icmp6_error){
		.src = ip_from6(ip + IP_SOURCE),
		.dst = ip_from6(ip + IP_SOURCE + 16),
		.src_port = csum_load(ip + IP_LEN + (ping ? ECHO_ID : 0)),
		.dst_port = ping ? 0 : csum_load(ip + IP_LEN + 2),
		.proto = ip[IP_NEXT],
		.ip_off = (uint8_t)off,
		.l4_off = (uint8_t)l4,
		/* of SCTP as in icmp_error.c */
		.has_csum = ip[IP_NEXT] != IPPROTO_SCTP &&
			    (ip[IP_NEXT] != IPPROTO_TCP || l4 + TCP_CSUM + 2 <= end),
	};
	return true;
}

/* What a new address adds to a sum. */
static uint32_t write_address(uint8_t *field, const struct ip_addr *ip)
{
	const struct ip_addr old = ip_from6(field);
	uint32_t change = 0;

	for (unsigned i = 0; i < 4; i++)
		change += csum_change32(old.w[i], ip->w[i]);
	memcpy(field, ip->b, sizeof(*ip));
	return change;
}

static uint8_t *csum_of(uint8_t *l4, const struct icmp6_error *e)
{
	if (e->proto == IPPROTO_ICMPV6)
		return l4 + ICMP_CSUM;
	return l4 + (e->proto == IPPROTO_UDP ? UDP_CSUM : TCP_CSUM);
}

/* The quoted checksum; returns what its own change adds to a sum. */
static uint32_t quote_csum(uint8_t *l4, const struct icmp6_error *e, uint32_t by)
{
	uint8_t *field = csum_of(l4, e);
	uint16_t was;

	if (!e->has_csum)
		return 0;
	was = csum_load(field);
	csum_update(field, by);
	if (e->proto == IPPROTO_UDP && csum_load(field) == 0)
		csum_store(field, 0xffff);
	return csum_change16(was, csum_load(field));
}

void icmp6_error_rewrite(struct frame *f, const struct icmp6_error *e, enum nat_end end, const uint8_t mac[6],
	const struct ip_addr *ip, uint16_t port)
{
	enum nat_end other = end == NAT_SOURCE ? NAT_DESTINATION : NAT_SOURCE;
	uint8_t *data = frame_data(f), *l4 = data + e->l4_off,
		*quoted_port = l4 + (e->proto == IPPROTO_ICMPV6 ? ECHO_ID : 2 * (int)other);
	uint32_t outer = write_address(data + f->l3_off + IP_SOURCE + 16 * end, ip);
	uint32_t inner = write_address(data + e->ip_off + IP_SOURCE + 16 * other, ip);
	uint32_t ports = csum_change16(csum_load(quoted_port), port);

	memcpy(data + (end == NAT_SOURCE ? 6 : 0), mac, 6);
	csum_store(quoted_port, port);
	csum_update(data + f->l4_off + ICMP_CSUM, outer + inner + ports + quote_csum(l4, e, inner + ports));
}
