#include "dataplane/frame/icmp_error.h"

#include "dataplane/frame/csum.h"
#include "dataplane/frame/parse.h"

enum {
	UNREACHABLE = 3,
	TIME_EXCEEDED = 11,
	PARAMETER_PROBLEM = 12,
	ICMP_LEN = 8,
	ICMP_CSUM = 2,
	IP_LEN = 20,
	IP_CSUM = 10,
	IP_SOURCE = 12,
	IP_OFFSET = 0x1fff,
	L4_QUOTED = 8, /* bytes that every error quotes */
	TCP_CSUM = 16,
	UDP_CSUM = 6,
	ECHO = 8,    /* a ping, which has an id where it has */
	ECHO_ID = 4, /* and no ports */
};

static bool is_error(uint8_t type)
{
	return type == UNREACHABLE || type == TIME_EXCEEDED || type == PARAMETER_PROBLEM;
}

/* The private bytes of the IP packet end here. */
static uint16_t packet_end(const struct frame *f, const uint8_t *data)
{
	uint32_t end = f->l3_off + (uint32_t)load16(data + f->l3_off + 2);

	return end < f->hdr_len ? (uint16_t)end : f->hdr_len;
}

static bool has_ports(uint8_t proto, uint8_t first)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP ||
	       (proto == IPPROTO_ICMP && first == ECHO);
}

static bool read_quotation(const uint8_t *data, uint16_t off, uint16_t end, struct icmp_error *e)
{
	const uint8_t *ip = data + off;
	uint16_t header, l4;

	if (off + IP_LEN > end || ip[0] >> 4 != 4 || (load16(ip + 6) & IP_OFFSET))
		return false;
	header = (ip[0] & 15) * 4;
	l4 = off + header;
	if (header < IP_LEN || l4 + L4_QUOTED > end || !has_ports(ip[9], data[l4]))
		return false;
	*e = (struct icmp_error){
		.src = load_ip4(ip + IP_SOURCE),
		.dst = load_ip4(ip + IP_SOURCE + 4),
		.src_port = csum_load(data + l4 + (ip[9] == IPPROTO_ICMP ? ECHO_ID : 0)),
		.dst_port = ip[9] == IPPROTO_ICMP ? 0 : csum_load(data + l4 + 2),
		.proto = ip[9],
		.ip_off = (uint8_t)off,
		.l4_off = (uint8_t)l4,
		/* what is quoted of SCTP does not reach to it, or nobody could check it */
		.has_csum = ip[9] != IPPROTO_SCTP && (ip[9] != IPPROTO_TCP || l4 + TCP_CSUM + 2 <= end),
	};
	return true;
}

bool icmp_error_read(struct frame *f, struct icmp_error *e)
{
	const uint8_t *data = frame_data(f);

	if (load16(data + f->l3_off + 6) & IP4_MF_OFFSET)
		return false;
	if (f->l4_off && !is_error(data[f->l4_off]))
		return false;
	frame_pull(f, HDR_MAX);
	if (!f->l4_off)
		parse_frame(f); /* behind IP options */
	data = frame_data(f);
	return f->l4_off && is_error(data[f->l4_off]) &&
	       read_quotation(data, f->l4_off + ICMP_LEN, packet_end(f, data), e);
}

/* Writes a field of the quotation; the difference joins that of the ICMP checksum. */
static void quote16(uint8_t *field, uint16_t value, uint32_t *change)
{
	*change += csum_change16(csum_load(field), value);
	csum_store(field, value);
}

static void quote_update(uint8_t *field, uint32_t by, uint32_t *change)
{
	uint16_t was = csum_load(field);

	csum_update(field, by);
	*change += csum_change16(was, csum_load(field));
}

static uint8_t *l4_csum(uint8_t *l4, const struct icmp_error *e)
{
	if (e->proto == IPPROTO_ICMP)
		return l4 + ICMP_CSUM;
	return l4 + (e->proto == IPPROTO_UDP ? UDP_CSUM : TCP_CSUM);
}

/* `address` is what the change of the address, which ICMP's does not cover, adds to the sum, `by` that of the port. */
static void quote_l4_csum(
	uint8_t *l4, const struct icmp_error *e, uint32_t address, uint32_t by, uint32_t *change)
{
	uint8_t *field = l4_csum(l4, e);

	if (!e->has_csum || (e->proto == IPPROTO_UDP && csum_load(field) == 0))
		return;
	quote_update(field, by + (e->proto == IPPROTO_ICMP ? 0 : address), change);
	if (e->proto == IPPROTO_UDP && csum_load(field) == 0)
		quote16(field, 0xffff, change);
}

void icmp_error_rewrite(struct frame *f, const struct icmp_error *e, enum nat_end end, const uint8_t mac[6],
	uint32_t ip, uint16_t port)
{
	enum nat_end other = end == NAT_SOURCE ? NAT_DESTINATION : NAT_SOURCE;
	uint8_t *data = frame_data(f), *outer = data + f->l3_off, *inner = data + e->ip_off,
		*l4 = data + e->l4_off;
	uint8_t *address = outer + IP_SOURCE + 4 * end, *quoted = inner + IP_SOURCE + 4 * other;
	uint8_t *port_field = l4 + (e->proto == IPPROTO_ICMP ? ECHO_ID : 2 * (int)other);
	uint32_t by = csum_change32(load_ip4(quoted), ip), change = by, old_port = csum_load(port_field);

	memcpy(data + (end == NAT_SOURCE ? 6 : 0), mac, 6);
	csum_update(outer + IP_CSUM, csum_change32(load_ip4(address), ip));
	store_ip4(address, ip);
	store_ip4(quoted, ip);
	quote_update(inner + IP_CSUM, by, &change);
	quote16(port_field, port, &change);
	quote_l4_csum(l4, e, by, csum_change16((uint16_t)old_port, port), &change);
	csum_update(data + f->l4_off + ICMP_CSUM, change);
}
