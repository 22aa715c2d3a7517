#include "dataplane/frame/nd.h"

#include <assert.h>
#include <netinet/in.h>
#include <string.h>

#include "dataplane/frame/csum.h"
#include "dataplane/frame/parse.h"

enum {
	IP6_LEN = 40,
	IP6_SOURCE = 8,
	IP6_DESTINATION = 24,
	ND_AT = ETH_LEN + IP6_LEN,
	ND_CSUM = 2,
	ND_FLAGS = 4,
	FLAG_ROUTER = 0x80,
	FLAG_SOLICITED = 0x40,
	FLAG_OVERRIDE = 0x20,
	OPTION_SOURCE = 1,
	OPTION_TARGET = 2,
	OPTION_LEN = 8, /* of a MAC */
	HOP_LIMIT = 255,
};
static_assert((int)ND_FRAME_LEN == (int)ND_AT + (int)ND_LEN + (int)OPTION_LEN, "what is written fits");
static_assert((int)ND_FRAME_LEN <= (int)HDR_MAX, "and a frame's private copy has room for it");

/* Is the message at ND_AT of `have` bytes of a frame such a one? */
static bool is_message(const uint8_t *data, uint32_t have, uint8_t type)
{
	const uint8_t *ip = data + ETH_LEN, *nd = data + ND_AT;

	if (have < ND_AT + ND_LEN || load16(data + 12) != ETHERTYPE_IP6 || ip[0] >> 4 != 6 ||
		ip[6] != IPPROTO_ICMPV6 || ip[7] != HOP_LIMIT)
		return false;
	return nd[0] == type && nd[1] == 0 && load16(ip + 4) >= ND_LEN && load16(ip + 4) <= have - ND_AT &&
	       !ip_is_multicast(ip_from6(nd + ND_TARGET));
}

const uint8_t *nd_message(struct frame *f, uint8_t type)
{
	frame_pull(f, HDR_MAX);
	if (f->hdr_len < ND_AT + ND_LEN || !is_message(frame_data(f), f->len, type))
		return NULL;
	return frame_data(f) + ND_AT;
}

struct ip_addr nd_source(const struct frame *f)
{
	return ip_from6(f->hdr + f->hdr_off + ETH_LEN + IP6_SOURCE);
}

/* The message at ND_AT becomes one of ND_FRAME_LEN bytes with `mac` in its option: lengths and checksum. */
static void finish(uint8_t *data, uint8_t option, const uint8_t mac[6])
{
	enum { PAYLOAD = ND_LEN + OPTION_LEN };
	uint8_t *ip = data + ETH_LEN, *nd = data + ND_AT;
	uint64_t sum;

	nd[ND_LEN] = option;
	nd[ND_LEN + 1] = OPTION_LEN / 8;
	memcpy(nd + ND_LEN + 2, mac, 6);
	store16(ip + 4, PAYLOAD);
	memset(nd + ND_CSUM, 0, 2);
	sum = csum_add(0, ip + IP6_SOURCE, 32) + __builtin_bswap16(PAYLOAD) +
	      __builtin_bswap16(IPPROTO_ICMPV6);
	csum_store(nd + ND_CSUM, (uint16_t)~csum_fold(csum_add(sum, nd, PAYLOAD)));
}

static void write_ip6(uint8_t *ip)
{
	memset(ip, 0, IP6_SOURCE);
	ip[0] = 0x60;
	ip[6] = IPPROTO_ICMPV6;
	ip[7] = HOP_LIMIT;
}

void nd_answer(struct frame *f, const uint8_t mac[6], bool router)
{
	static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 1}, all_macs[6] = {0x33, 0x33, [5] = 1};
	bool asks_if_free = ip_is_none(nd_source(f));
	uint8_t *data, *ip, *nd;

	memmove(f->hdr + HDR_ROOM, frame_data(f), ND_AT + ND_LEN); /* there is room for the option */
	f->hdr_off = HDR_ROOM;
	data = frame_data(f);
	ip = data + ETH_LEN;
	nd = data + ND_AT;
	memcpy(data, asks_if_free ? all_macs : data + 6, 6);
	memcpy(data + 6, mac, 6);
	write_ip6(ip);
	memcpy(ip + IP6_DESTINATION, asks_if_free ? all_nodes : ip + IP6_SOURCE, 16);
	memcpy(ip + IP6_SOURCE, nd + ND_TARGET, 16);
	nd[0] = ND_ADVERT;
	memset(nd + ND_FLAGS, 0, 4);
	nd[ND_FLAGS] =
		(uint8_t)(FLAG_OVERRIDE | (router ? FLAG_ROUTER : 0) | (asks_if_free ? 0 : FLAG_SOLICITED));
	finish(data, OPTION_TARGET, mac);
	f->nspan = 0;
	f->hdr_len = ND_FRAME_LEN;
	f->len = ND_FRAME_LEN;
	f->off = (struct offload){0};
	f->verdict = V_REPLY;
}

void nd_write_solicit(uint8_t *buf, const uint8_t mac[6], const struct ip_addr *source, struct ip_addr target)
{
	const uint8_t *to = target.b;
	const uint8_t group[16] = {0xff, 0x02, [11] = 1, 0xff, to[13], to[14], to[15]};
	const uint8_t own[16] = {
		0xfe, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]};
	const uint8_t group_mac[6] = {0x33, 0x33, 0xff, to[13], to[14], to[15]};
	uint8_t *ip = buf + ETH_LEN, *nd = buf + ND_AT;

	memset(buf, 0, ND_FRAME_LEN);
	memcpy(buf, group_mac, 6);
	memcpy(buf + 6, mac, 6);
	store16(buf + 12, ETHERTYPE_IP6);
	write_ip6(ip);
	memcpy(ip + IP6_SOURCE, source ? source->b : own, 16);
	memcpy(ip + IP6_DESTINATION, group, 16);
	nd[0] = ND_SOLICIT;
	memcpy(nd + ND_TARGET, to, 16);
	finish(buf, OPTION_SOURCE, mac);
}

bool nd_read_advert(const uint8_t *data, uint16_t len, struct ip_addr *target, uint8_t mac[6])
{
	const uint8_t *from = data + 6;
	uint32_t end;

	if (!is_message(data, len, ND_ADVERT))
		return false;
	end = ND_AT + load16(data + ETH_LEN + 4);
	for (uint32_t at = ND_AT + ND_LEN, size; at + 2 <= end; at += size) {
		size = data[at + 1] * 8u;
		if (!size || at + size > end)
			return false;
		if (data[at] == OPTION_TARGET && size >= OPTION_LEN)
			from = data + at + 2;
	}
	if (mac_multicast(from))
		return false;
	*target = ip_from6(data + ND_AT + ND_TARGET);
	memcpy(mac, from, 6);
	return true;
}
