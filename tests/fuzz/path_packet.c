#include "tests/fuzz/path_packet.h"

#include <linux/virtio_net.h>
#include <string.h>

#include "dataplane/frame/parse.h"
#include "dataplane/overlay/load.h"
#include "tests/fuzz/path_world.h"

uint8_t path_u8(struct path_input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->data++;
}

uint16_t path_u16(struct path_input *in)
{
	uint16_t low = path_u8(in);

	return (uint16_t)(path_u8(in) << 8 | low);
}

/* Guests, sinks, then those that are no port: a host behind the vtep, the router, everybody, nobody. */
static void mac_of(uint8_t mac[6], unsigned number)
{
	static const uint8_t all[6] = {255, 255, 255, 255, 255, 255}, far[6] = {2, 0, 0, 0, 2, 0},
			     group[6] = {1, 0, 94, 0, 0, 1}, nobody[6] = {2, 0, 0, 0, 9, 9};
	const uint8_t *other[] = {far, dp_router_mac, all, group, nobody};
	static const uint8_t uplink[6] = {2, 0, 0, 0, 0, 1};
	uint8_t guest[6] = {2, 0, 0, 0, 0, (uint8_t)(10 + number)};
	uint8_t sink[6] = {2, 0, 0, 0, 1, (uint8_t)(number - PATH_GUESTS)};

	if (number == PATH_TO_UPLINK)
		memcpy(mac, uplink, 6);
	else if (number < PATH_GUESTS)
		memcpy(mac, guest, 6);
	else if (number < PATH_GUESTS + PATH_SINKS)
		memcpy(mac, sink, 6);
	else
		memcpy(mac, other[(number - PATH_GUESTS - PATH_SINKS) % 5], 6);
}

/* An address of the network, the vip, the uplink's, or any. */
static uint32_t ip_of(uint8_t number)
{
	if (number == PATH_TO_UPLINK)
		return htobe32(0xc0000201);
	if (number < PATH_GUESTS)
		return htobe32(0x0a00000a + number);
	if (number < 0xc0)
		return htobe32(number & 1 ? 0x0a000064 : 0x0a000001); /* the vip, the gateway */
	return htobe32(0x0a000000u + number * 0x01010101u);
}

static uint8_t *put(struct path_packet *p, unsigned bytes)
{
	uint8_t *at = p->bytes + p->headers;

	memset(at, 0, bytes);
	p->headers += bytes;
	return at;
}

enum { TAGS = 3, DF = 4, OPTIONS = 8, FRAGMENT = 16, WRONG_LENGTH = 32 };
enum kind { ETHER, ARP, IP4, IP6, KINDS };

static void put_ip4(
	struct path_input *in, struct path_packet *p, uint8_t how, uint8_t proto, uint32_t payload)
{
	unsigned options = how & OPTIONS ? 4 * (path_u8(in) % 11) : 0;
	uint8_t *ip = put(p, 20 + options);

	ip[0] = (uint8_t)(0x45 + options / 4);
	store16(ip + 2, (uint16_t)(20 + options + payload + (how & WRONG_LENGTH ? path_u8(in) : 0)));
	store16(ip + 6, (uint16_t)((how & DF ? 0x4000 : 0) | (how & FRAGMENT ? path_u16(in) & 0x3fff : 0)));
	ip[8] = 64;
	ip[9] = proto;
	store_ip4(ip + 12, ip_of(path_u8(in)));
	store_ip4(ip + 16, ip_of(path_u8(in)));
}

static uint8_t put_extension(struct path_input *in, struct path_packet *p, uint8_t next)
{
	static const uint8_t kinds[] = {0, 43, 60, 44};
	uint8_t *header = put(p, 8);

	header[0] = next;
	header[1] = path_u8(in) % 8 ? 0 : path_u8(in);
	return kinds[path_u8(in) % 4];
}

/* The address that a machine with this MAC gives itself. */
static void link_local(uint8_t ip[16], const uint8_t mac[6])
{
	const uint8_t own[16] = {
		0xfe, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]};

	memcpy(ip, own, sizeof(own));
}

static void put_ip6(
	struct path_input *in, struct path_packet *p, uint8_t how, uint8_t proto, uint32_t payload)
{
	uint8_t *ip = put(p, 40), l4 = proto;

	ip[0] = 0x60;
	if (how & OPTIONS) {
		proto = put_extension(in, p, proto);
		payload += 8;
	}
	store16(ip + 4, (uint16_t)(payload + (how & WRONG_LENGTH ? path_u8(in) : 0)));
	ip[6] = proto;
	ip[7] = proto == IPPROTO_ICMPV6 ? 255 : 64; /* neighbour discovery comes from the link itself */
	ip[8] = ip[24] = (how & FRAGMENT) ? path_u8(in) : 0xfd;
	memcpy(ip + 22, p->bytes + 10, 2); /* whose MACs these are */
	memcpy(ip + 38, p->bytes + 4, 2);
	if (mac_equal(p->bytes, dp_router_mac)) {
		ip[38] = 0;
		ip[39] = l4 == IPPROTO_TCP || l4 == IPPROTO_UDP ? PATH_VIP6 : PATH_GATEWAY6;
	}
	if (ip[8] == 0xfe)
		link_local(ip + 8, p->bytes + 6);
}

/* Neighbour discovery: the target, and an option or two. */
static void put_nd(struct path_input *in, struct path_packet *p, uint8_t *icmp)
{
	uint8_t what = path_u8(in), *rest = put(p, 16 + what / 16);

	icmp[0] = (uint8_t)(130 + what % 16); /* router solicitation is 133, redirect 137 */
	link_local(rest, p->bytes + 6);
	if (what % 3 == 0) {
		memset(rest, 0, 16);
		rest[0] = 0xfd;
		rest[15] = PATH_GATEWAY6;
	}
	for (unsigned i = 16; i < 16u + what / 16; i++)
		rest[i] = path_u8(in);
}

static void put_l4(struct path_input *in, struct path_packet *p, uint8_t proto, uint32_t payload)
{
	static const uint16_t port[] = {80, 53, 8080, 5353, 4789, 1000, 1001};
	uint8_t choice = path_u8(in), *l4 = put(p, 8);

	store16(l4, port[choice % 7]);
	store16(l4 + 2, choice < 252 ? port[choice / 7 % 7] : 8000 + choice % 2); /* those are published */
	if (proto == IPPROTO_UDP)
		store16(l4 + 4, (uint16_t)(8 + payload));
	if (proto == IPPROTO_ICMPV6)
		put_nd(in, p, l4);
	if (proto != IPPROTO_TCP)
		return;
	put(p, 12);
	l4[12] = path_u8(in) % 4 ? 0x50 : path_u8(in);
	l4[13] = path_u8(in);
}

/* Asks for the checksum of the L4 header, and for segments. */
static void ask(struct path_input *in, struct path_packet *p, uint16_t l4, uint8_t proto, bool ip4)
{
	struct virtio_net_hdr hdr = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = l4,
		.csum_offset = proto == IPPROTO_TCP ? 16 : 6};
	uint8_t how = path_u8(in);

	if (how % 4 == 0)
		return;
	if (how % 4 > 1) {
		hdr.gso_type = proto == IPPROTO_UDP ? 5
			       : ip4		    ? VIRTIO_NET_HDR_GSO_TCPV4
						    : VIRTIO_NET_HDR_GSO_TCPV6;
		hdr.gso_size = path_u16(in);
		hdr.hdr_len = l4 + 20;
	}
	if (how > 250)
		for (unsigned i = 0; i < sizeof(hdr); i++)
			((uint8_t *)&hdr)[i] = path_u8(in);
	memcpy(p->virtio, &hdr, sizeof(hdr));
}

static uint8_t proto_of(uint8_t choice)
{
	static const uint8_t proto[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6, 132, 47};

	return proto[choice % 6];
}

static void put_arp(struct path_input *in, struct path_packet *p)
{
	static const uint8_t start[6] = {0, 1, 8, 0, 6, 4};
	uint8_t *arp = put(p, 28);

	memcpy(arp, start, sizeof(start));
	arp[7] = path_u8(in) % 3;
	memcpy(arp + 8, p->bytes + 6, 6);
	store_ip4(arp + 14, ip_of(path_u8(in)));
	store_ip4(arp + 24, ip_of(path_u8(in)));
}

void path_packet_read(struct path_input *in, struct path_packet *p, unsigned from)
{
	enum kind kind = path_u8(in) % KINDS;
	uint8_t to = path_u8(in), how = path_u8(in), proto = proto_of(path_u8(in));
	uint32_t len = path_u16(in), payload;
	uint16_t l4;

	memset(p, 0, sizeof(*p));
	mac_of(p->bytes, to);
	mac_of(p->bytes + 6, from);
	p->headers = 12;
	for (unsigned i = 0; i < (how & TAGS); i++)
		store16(put(p, 4), i ? ETHERTYPE_8021Q : ETHERTYPE_8021AD);
	store16(put(p, 2), kind == IP4	 ? ETHERTYPE_IP4
			   : kind == IP6 ? ETHERTYPE_IP6
			   : kind == ARP ? ETHERTYPE_ARP
					 : 0x88b5);
	p->l3 = p->headers;
	payload = len > p->headers + 60u ? len - p->headers - 20 : 40;
	if (kind == ARP)
		put_arp(in, p);
	if (kind == IP4)
		put_ip4(in, p, how, proto, payload);
	if (kind == IP6)
		put_ip6(in, p, how, proto, payload);
	l4 = p->headers;
	if (kind == IP4 || kind == IP6) {
		p->len = l4 + payload;
		put_l4(in, p, proto, payload - 8);
		ask(in, p, l4, proto, kind == IP4);
	} else {
		p->len = len;
	}
	if (p->len > FRAME_MAX)
		p->len = FRAME_MAX;
	if (p->len < p->headers)
		p->headers = (uint16_t)p->len;
}

void path_packet_aim(struct path_packet *p, unsigned to)
{
	mac_of(p->bytes, to);
}

/* What the host at the vtep tells of its backends (overlay/load.h), and of others', in place of the packet. */
static void tell(struct path_input *in, struct path_packet *p)
{
	uint8_t how = path_u8(in), entries = how % 9;
	bool six = how & 64;

	p->headers = 0;
	store32(put(p, 4), path_u16(in));
	memcpy(put(p, 4), (uint8_t[]){proto_of(how / 16), six ? 6 : 4, entries, how >> 7}, 4);
	for (unsigned i = 0; i < entries; i++) {
		uint8_t *at = put(p, six ? 22 : 10);

		if (six)
			memcpy(at, PATH_IP6(path_u8(in)).b, 16);
		else
			store_ip4(at, ip_of(path_u8(in)));
		at += six ? 16 : 4;
		store16(at, how & 1 ? 8080 : 5353);
		store16(at + 2, path_u8(in));
		store16(at + 4, path_u8(in));
	}
	if (how == 255) /* it is not as long as it says */
		p->headers -= path_u8(in) % p->headers;
	p->len = p->headers;
}

void path_packet_wrap(struct path_input *in, struct path_packet *p)
{
	static const uint8_t mac[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
	uint8_t outer[50] = {0}, wrong = path_u8(in);
	uint32_t inner;

	if (wrong >= 250)
		tell(in, p);
	inner = p->len;
	if (p->headers + sizeof(outer) > sizeof(p->bytes) || inner + sizeof(outer) > FRAME_MAX)
		return;
	memcpy(outer, mac, sizeof(mac));
	store16(outer + 12, ETHERTYPE_IP4);
	outer[14] = 0x45;
	store16(outer + 16,
		(uint16_t)(36 + inner + (wrong == 1 ? path_u8(in) : 0) - (wrong == 2 ? path_u8(in) : 0)));
	outer[22] = 64;
	outer[23] = IPPROTO_UDP;
	store_ip4(outer + 26, htobe32(0xc0000202u + (wrong == 3)));
	store_ip4(outer + 30, htobe32(0xc0000201u + (wrong == 4)));
	store16(outer + 34, 50000);
	store16(outer + 36, 4789);
	store16(outer + 38, (uint16_t)(16 + inner));
	outer[42] = wrong == 5 || wrong >= 250 ? 0 : 8;
	outer[43] = wrong >= 250 ? LOAD_MARK : 0;
	outer[48] = (uint8_t)(PATH_VNI + (wrong == 6));
	memmove(p->bytes + sizeof(outer), p->bytes, p->headers);
	memcpy(p->bytes, outer, sizeof(outer));
	p->headers += sizeof(outer);
	p->len += sizeof(outer);
	if (p->virtio[0] && wrong != 7) {
		struct virtio_net_hdr hdr;

		memcpy(&hdr, p->virtio, sizeof(hdr));
		hdr.csum_start += sizeof(outer);
		memcpy(p->virtio, &hdr, sizeof(hdr));
	}
}
