/*
 * check.c: is the source of a frame its port's own? For ports with security `full`: of the frames that two
 * compares do not settle, the addresses that IPv4, IPv6, ARP, RARP and neighbour discovery speak for. What
 * cannot be found cannot be checked, and is refused.
 */
#include <netinet/icmp6.h>

#include "dataplane/core/stats.h"
#include "dataplane/frame/headers.h"
#include "dataplane/frame/reply.h"
#include "dataplane/l2/policy/guard.h"

enum {
	ETHERTYPE_RARP = 0x8035,
	RARP_REQUEST = 3, /* RFC 903 */
	ND_HEADER = 24,	  /* of solicitation and advertisement: ICMPv6, and the target */
	RS_HEADER = 8,
	OPTION_SOURCE =
		1, /* the option of a link-layer address, of the sender or of the target: RFC 4861, 4.6 */
	OPTION_TARGET = 2,
};

/* A client that has no address yet asks for one (RFC 2131). */
static bool is_dhcp_request(const uint8_t *data, const struct headers *h)
{
	const uint8_t *ip = data + h->l3, *udp = data + h->l4;

	return load_ip4(ip + 12) == 0 && load_ip4(ip + 16) == UINT32_MAX && h->proto == IPPROTO_UDP &&
	       h->l4 && load16(udp) == 68 && load16(udp + 2) == 67;
}

static enum drop_reason check_ip4(const struct guard *guard, const struct frame *f, const struct headers *h)
{
	const uint8_t *data = f->hdr + f->hdr_off, *ip = data + h->l3;

	if (h->l3 + 20 > f->hdr_len || ip[0] >> 4 != 4)
		return DROP_SPOOFED_IP;
	if (guard_has_ip4(guard, data + 6, load_ip4(ip + 12)) || is_dhcp_request(data, h))
		return DROP_COUNT;
	return DROP_SPOOFED_IP;
}

static bool has_arp_header(const uint8_t *arp)
{
	static const uint8_t ethernet_ip4[6] = {0, 1, 8, 0, 6, 4};

	return memcmp(arp, ethernet_ip4, 6) == 0;
}

/* A sender without an address asks whether one is free (RFC 5227): its own, for who asks keeps others from
 * taking it. */
static enum drop_reason check_arp(const struct guard *guard, const struct frame *f, const struct headers *h)
{
	const uint8_t *arp = f->hdr + f->hdr_off + h->l3;
	uint32_t ip;

	if (h->l3 + ARP_LEN > f->hdr_len || !has_arp_header(arp))
		return DROP_SPOOFED_ARP;
	ip = load_ip4(arp + ARP_SENDER_IP);
	if (!ip && load16(arp + ARP_OP) == ARP_REQUEST)
		ip = load_ip4(arp + ARP_TARGET_IP);
	return ip && guard_has_ip4(guard, arp + ARP_SENDER_MAC, ip) ? DROP_COUNT : DROP_SPOOFED_ARP;
}

/* "Who am I?", by which a machine that has moved says where it is. Answers are a server's. */
static enum drop_reason check_rarp(const struct guard *guard, const struct frame *f, const struct headers *h)
{
	const uint8_t *arp = f->hdr + f->hdr_off + h->l3;
	uint32_t ip;

	if (h->l3 + ARP_LEN > f->hdr_len || !has_arp_header(arp) || load16(arp + ARP_OP) != RARP_REQUEST)
		return DROP_SPOOFED_ARP;
	ip = load_ip4(arp + ARP_SENDER_IP);
	if (!guard_has_mac(guard, fdb_key(0, arp + ARP_SENDER_MAC)) ||
		!guard_has_mac(guard, fdb_key(0, arp + ARP_TARGET_MAC)) ||
		(ip && !guard_has_ip4(guard, arp + ARP_SENDER_MAC, ip)))
		return DROP_SPOOFED_ARP;
	return DROP_COUNT;
}

/* The options from `at` to `end`: each link-layer address among them must be one that may speak for `ip`. */
static bool options_are_own(
	const struct guard *guard, const uint8_t *data, unsigned at, unsigned end, const uint8_t *ip)
{
	while (at + 2 <= end) {
		unsigned len = data[at + 1] * 8u;
		bool address = data[at] == OPTION_SOURCE || data[at] == OPTION_TARGET;

		if (!len || at + len > end || (address && !guard_has_ip6(guard, data + at + 2, ip)))
			return false;
		at += len;
	}
	return true;
}

static bool is_unspecified(const uint8_t *ip)
{
	static const uint8_t zero[16];

	return memcmp(ip, zero, 16) == 0;
}

/* A whole message of neighbour discovery that a host may send. Receivers are to refuse fragments of one (RFC
 * 6980), but not all do. */
static bool nd_is_own(const struct guard *guard, const struct frame *f, const struct headers *h)
{
	const uint8_t *data = f->hdr + f->hdr_off, *ip = data + h->l3, *nd = data + h->l4, *from = ip + 8;
	unsigned end = h->l3 + 40u + load16(ip + 4),
		 header = nd[0] == ND_ROUTER_SOLICIT ? RS_HEADER : ND_HEADER;
	const uint8_t *target = nd + 8;

	if (h->fragment || h->l4 + header > end || end > f->hdr_len)
		return false;
	if (nd[0] == ND_ROUTER_SOLICIT)
		return is_unspecified(from) ? h->l4 + header == end
					    : options_are_own(guard, data, h->l4 + header, end, from);
	if (nd[0] == ND_NEIGHBOR_SOLICIT && !is_unspecified(from))
		return options_are_own(guard, data, h->l4 + header, end, from);
	return guard_has_ip6(guard, data + 6, target) &&
	       options_are_own(guard, data, h->l4 + header, end, target);
}

/* What a host sends before it has an address: is one free, which groups it joins, where are routers. */
static bool is_start(const uint8_t *ip, const uint8_t *icmp)
{
	return ip[24] == 0xff && ip[25] == 0x02 &&
	       (icmp[0] == ND_NEIGHBOR_SOLICIT || icmp[0] == ND_ROUTER_SOLICIT ||
		       icmp[0] == MLD_LISTENER_REPORT || icmp[0] == MLD_LISTENER_REDUCTION || icmp[0] == 143);
}

static enum drop_reason check_ip6(const struct guard *guard, const struct frame *f, const struct headers *h)
{
	const uint8_t *data = f->hdr + f->hdr_off, *ip = data + h->l3, *icmp = data + h->l4;
	bool is_icmp = h->l4 && h->proto == IPPROTO_ICMPV6;

	if (h->l3 + 40 > f->hdr_len || ip[0] >> 4 != 6 || h->l3 + 40u + load16(ip + 4) > f->len)
		return DROP_SPOOFED_IP;
	if (is_unspecified(ip + 8) ? !is_icmp || !is_start(ip, icmp)
				   : !guard_has_ip6(guard, data + 6, ip + 8))
		return DROP_SPOOFED_IP;
	if (!is_icmp || icmp[0] < ND_ROUTER_SOLICIT || icmp[0] > ND_REDIRECT)
		return DROP_COUNT;
	if (icmp[0] == ND_ROUTER_ADVERT || icmp[0] == ND_REDIRECT) /* a router's */
		return guard->trusted ? DROP_COUNT : DROP_SPOOFED_ARP;
	return nd_is_own(guard, f, h) ? DROP_COUNT : DROP_SPOOFED_ARP;
}

enum drop_reason guard_check(const struct guard *guard, struct frame *f, const struct headers *h)
{
	switch (h->type) {
	case ETHERTYPE_IP4:
		return check_ip4(guard, f, h);
	case ETHERTYPE_IP6:
		return check_ip6(guard, f, h);
	case ETHERTYPE_ARP:
		return check_arp(guard, f, h);
	case ETHERTYPE_RARP:
		return check_rarp(guard, f, h);
	default:
		return h->hidden ? DROP_SPOOFED_IP : DROP_COUNT;
	}
}
