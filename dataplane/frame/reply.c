#include "dataplane/frame/reply.h"

#include <string.h>

#include "dataplane/frame/csum.h"
#include "dataplane/frame/parse.h"

static const uint8_t arp_ethernet_ip4[6] = {0, 1, 8, 0, 6, 4};

const uint8_t *reply_arp_packet(struct frame *f)
{
	const uint8_t *data = frame_data(f);

	if (load16(data + 12) != ETHERTYPE_ARP || f->hdr_len < ETH_LEN + ARP_LEN)
		return NULL;
	return memcmp(data + ETH_LEN, arp_ethernet_ip4, 6) == 0 ? data + ETH_LEN : NULL;
}

void reply_arp(struct frame *f, const uint8_t mac[6])
{
	uint8_t *data = frame_data(f), *arp = data + ETH_LEN;
	uint32_t asked = load_ip4(arp + ARP_TARGET_IP);

	memcpy(data, data + 6, 6);
	memcpy(data + 6, mac, 6);
	store16(arp + ARP_OP, ARP_REPLY);
	memmove(arp + ARP_TARGET_MAC, arp + ARP_SENDER_MAC, 10);
	memcpy(arp + ARP_SENDER_MAC, mac, 6);
	store_ip4(arp + ARP_SENDER_IP, asked);
	f->verdict = V_REPLY;
}

bool reply_icmp_echo(struct frame *f, const uint8_t mac[6])
{
	enum { ECHO_REPLY = 0, ECHO_REQUEST = 8 };
	uint8_t *data = frame_data(f), *ip = data + f->l3_off, *icmp = data + f->l4_off;
	uint32_t from, sum;

	if (f->ethertype != ETHERTYPE_IP4 || !f->l4_off || f->ip_proto != IPPROTO_ICMP ||
		icmp[0] != ECHO_REQUEST)
		return false;
	memcpy(data, data + 6, 6);
	memcpy(data + 6, mac, 6);
	from = load_ip4(ip + 12);
	memcpy(ip + 12, ip + 16, 4);
	store_ip4(ip + 16, from);
	/* addresses changed places, so the IP checksum stands; the ICMP one loses the type: RFC 1624 */
	icmp[0] = ECHO_REPLY;
	sum = load16(icmp + 2) + (ECHO_REQUEST << 8);
	store16(icmp + 2, (uint16_t)(sum + (sum >> 16)));
	f->verdict = V_REPLY;
	return true;
}

void reply_write_ip4(
	uint8_t *ip, uint8_t tos, uint16_t len, uint8_t proto, uint32_t source, uint32_t destination)
{
	enum { DF = 0x4000, TTL = 64 };

	memset(ip, 0, REPLY_IP4_LEN);
	ip[0] = 0x45;
	ip[1] = tos;
	store16(ip + 2, len);
	store16(ip + 6, DF);
	ip[8] = TTL;
	ip[9] = proto;
	store_ip4(ip + 12, source);
	store_ip4(ip + 16, destination);
	csum_store(ip + 10, (uint16_t)~csum_fold(csum_add(0, ip, REPLY_IP4_LEN)));
}

bool reply_icmp6_echo(struct frame *f, const uint8_t mac[6])
{
	enum { ECHO_REQUEST = 128, ECHO_REPLY = 129 };
	uint8_t *data = frame_data(f), *ip = data + f->l3_off, *icmp = data + f->l4_off;
	uint8_t from[16];

	if (f->ethertype != ETHERTYPE_IP6 || !f->l4_off || f->ip_proto != IPPROTO_ICMPV6 ||
		icmp[0] != ECHO_REQUEST)
		return false;
	memcpy(data, data + 6, 6);
	memcpy(data + 6, mac, 6);
	memcpy(from, ip + 8, 16);
	memcpy(ip + 8, ip + 24, 16);
	memcpy(ip + 24, from, 16);
	icmp[0] = ECHO_REPLY; /* of the sum only this changes */
	csum_update(icmp + 2,
		csum_change16(__builtin_bswap16(ECHO_REQUEST << 8), __builtin_bswap16(ECHO_REPLY << 8)));
	f->verdict = V_REPLY;
	return true;
}

void reply_write_ip6(
	uint8_t *ip, uint16_t len, uint8_t proto, const uint8_t source[16], const uint8_t destination[16])
{
	enum { HOP_LIMIT = 64 };

	memset(ip, 0, 8);
	ip[0] = 0x60;
	store16(ip + 4, len);
	ip[6] = proto;
	ip[7] = HOP_LIMIT;
	memcpy(ip + 8, source, 16);
	memcpy(ip + 24, destination, 16);
}

void reply_write_arp_request(uint8_t *buf, const uint8_t mac[6], uint32_t sender_ip, uint32_t target_ip)
{
	uint8_t *arp = buf + ETH_LEN;

	memset(buf, 0, ARP_FRAME_LEN);
	memset(buf, 0xff, 6);
	memcpy(buf + 6, mac, 6);
	store16(buf + 12, ETHERTYPE_ARP);
	memcpy(arp, arp_ethernet_ip4, 6);
	store16(arp + ARP_OP, ARP_REQUEST);
	memcpy(arp + ARP_SENDER_MAC, mac, 6);
	store_ip4(arp + ARP_SENDER_IP, sender_ip);
	store_ip4(arp + ARP_TARGET_IP, target_ip);
}
