#include "dataplane/frame/parse.h"

#include <x86intrin.h>

static void parse_ip4(struct frame *f, const uint8_t *data, uint16_t off)
{
	const uint8_t *ip = data + off;
	uint16_t header, total;

	if (f->hdr_len < off + 20 || ip[0] >> 4 != 4)
		return;
	header = (ip[0] & 15) * 4;
	total = load16(ip + 2);
	if (header < 20 || total < header || total > f->len - off)
		return;
	f->l3_off = (uint8_t)off;
	f->ip_proto = ip[9];
	if ((load16(ip + 6) & IP4_MF_OFFSET) == 0 && off + header + 8 <= f->hdr_len)
		f->l4_off = (uint8_t)(off + header);
}

static void parse_ip6(struct frame *f, const uint8_t *data, uint16_t off)
{
	const uint8_t *ip = data + off;

	if (f->hdr_len < off + 40 || ip[0] >> 4 != 6 || load16(ip + 4) + 40u > f->len - off)
		return;
	f->l3_off = (uint8_t)off;
	f->ip_proto = ip[6];
	if (off + 40 + 8 <= f->hdr_len &&
		(ip[6] == IPPROTO_TCP || ip[6] == IPPROTO_UDP || ip[6] == IPPROTO_ICMPV6))
		f->l4_off = (uint8_t)(off + 40);
}

void parse_frame(struct frame *f)
{
	const uint8_t *data = frame_data(f);
	uint16_t off = ETH_LEN, type = load16(data + 12);

	f->parsed = true;
	f->l3_off = 0;
	f->l4_off = 0;
	f->ip_proto = 0;
	for (int tags = 0; tags < 2 && (type == ETHERTYPE_8021Q || type == ETHERTYPE_8021AD); tags++) {
		if (f->hdr_len < off + VLAN_LEN)
			break;
		type = load16(data + off + 2);
		off += VLAN_LEN;
	}
	f->ethertype = type;
	if (type == ETHERTYPE_IP4)
		parse_ip4(f, data, off);
	else if (type == ETHERTYPE_IP6)
		parse_ip6(f, data, off);
}

static uint32_t mix(uint32_t hash, const uint8_t *p, unsigned words)
{
	for (unsigned i = 0; i < words; i++, p += 4)
		hash = _mm_crc32_u32(hash, load_ip4(p));
	return hash;
}

/* CRC is linear: without this, flows that differ in few bits differ in few bits of the hash. Never 0. */
static inline uint32_t spread(uint32_t hash)
{
	hash *= UINT32_C(0x9e3779b1);
	hash ^= hash >> 16;
	return hash ? hash : 1;
}

/* As flow_hash() below, for what most frames are: TCP or UDP in an IPv4 packet that is whole and has no
 * options. 0: some other. */
static inline uint32_t plain_hash(const struct frame *f, const uint8_t *data)
{
	const uint8_t *ip = data + ETH_LEN;
	uint64_t addresses;
	uint16_t total;

	if (f->hdr_len < ETH_LEN + 20 + 8 || load16(data + 12) != ETHERTYPE_IP4 || ip[0] != 0x45 ||
		(ip[9] != IPPROTO_UDP && ip[9] != IPPROTO_TCP) || (load16(ip + 6) & IP4_MF_OFFSET))
		return 0;
	total = load16(ip + 2);
	if (total < 20 || total > f->len - ETH_LEN)
		return 0;
	memcpy(&addresses, ip + 12, 8);
	return spread(_mm_crc32_u32((uint32_t)_mm_crc32_u64(ip[9], addresses), load_ip4(ip + 20)));
}

uint32_t flow_hash(struct frame *f)
{
	const uint8_t *data = frame_data(f);
	uint32_t hash;

	if (!f->hash && !f->parsed)
		f->hash = plain_hash(f, data);
	if (f->hash)
		return f->hash;
	if (!f->parsed)
		parse_frame(f);
	hash = f->ip_proto;
	if (!f->l3_off)
		hash = mix(hash, data, 3);
	else if (f->ethertype == ETHERTYPE_IP4)
		hash = mix(hash, data + f->l3_off + 12, 2);
	else
		hash = mix(hash, data + f->l3_off + 8, 8);
	if (f->l4_off && (f->ip_proto == IPPROTO_TCP || f->ip_proto == IPPROTO_UDP))
		hash = mix(hash, data + f->l4_off, 1);
	f->hash = spread(hash);
	return f->hash;
}
