/*
 * parse.h: where a frame's headers are. Reads the private copy only. Worker.
 */
#pragma once

#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

#include "dataplane/frame/burst.h"

enum {
	ETH_LEN = 14,
	VLAN_LEN = 4,
	ETHERTYPE_IP4 = 0x0800,
	ETHERTYPE_ARP = 0x0806,
	ETHERTYPE_IP6 = 0x86dd,
	ETHERTYPE_8021Q = 0x8100,
	ETHERTYPE_8021AD = 0x88a8,
	IP4_MF_OFFSET = 0x3fff, /* more-fragments flag and fragment offset */
	BFD_PORT = 3784,	/* RFC 5881, 4 */
	BFD_PORT_ROUTED = 4784, /* RFC 5883, 4 */
};

static inline uint16_t load16(const uint8_t *p) /* big-endian to host */
{
	uint16_t v;

	memcpy(&v, p, 2);
	return __builtin_bswap16(v);
}

static inline void store16(uint8_t *p, uint16_t v)
{
	v = __builtin_bswap16(v);
	memcpy(p, &v, 2);
}

static inline uint32_t load_ip4(const uint8_t *p) /* stays in network byte order */
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static inline void store_ip4(uint8_t *p, uint32_t ip)
{
	memcpy(p, &ip, 4);
}

static inline uint32_t load32(const uint8_t *p) /* big-endian to host */
{
	return __builtin_bswap32(load_ip4(p));
}

static inline void store32(uint8_t *p, uint32_t v)
{
	store_ip4(p, __builtin_bswap32(v));
}

/** Are the six bytes at `a` and `b` the same? */
static inline bool mac_equal(const uint8_t *a, const uint8_t *b)
{
	uint32_t a4, b4;
	uint16_t a2, b2;

	memcpy(&a4, a, 4);
	memcpy(&b4, b, 4);
	memcpy(&a2, a + 4, 2);
	memcpy(&b2, b + 4, 2);
	return ((a4 ^ b4) | (uint32_t)(a2 ^ b2)) == 0;
}

static inline bool mac_multicast(const uint8_t *mac)
{
	return mac[0] & 1;
}

/** Leaves what lies behind the Ethernet header to whoever needs it: parse_frame() then. */
static inline void parse_later(struct frame *f)
{
	f->parsed = false;
	f->l3_off = 0;
	f->l4_off = 0;
	f->ip_proto = 0;
	f->ethertype = load16(frame_data(f) + 12);
}

/**
 * Sets ethertype, l3_off, l4_off and ip_proto of a frame of at least FRAME_MIN private bytes. Offsets stay 0
 * where the header is absent, cut off or contradicts the frame's length; l4_off stays 0 for every fragment.
 */
void parse_frame(struct frame *f);

/** The same, to be inlined where each frame of a burst is parsed: IPv4 without tags and options is not worth a call. */
static inline void parse_frame_inline(struct frame *f)
{
	const uint8_t *data = frame_data(f), *ip = data + ETH_LEN;
	uint16_t total = load16(ip + 2);

	if (__builtin_expect(load16(data + 12) != ETHERTYPE_IP4 || ip[0] != 0x45 ||
				     f->hdr_len < ETH_LEN + 20 + 8 || total < 20 || total > f->len - ETH_LEN,
		    0)) {
		parse_frame(f);
		return;
	}
	f->parsed = true;
	f->ethertype = ETHERTYPE_IP4;
	f->l3_off = ETH_LEN;
	f->ip_proto = ip[9];
	f->l4_off = load16(ip + 6) & IP4_MF_OFFSET ? 0 : ETH_LEN + 20;
}

/**
 * The frame's flow hash: of addresses, protocol and ports for TCP and UDP, of addresses for other IP, of the
 * MACs for the rest. Never 0. Computed once and kept in f->hash.
 */
uint32_t flow_hash(struct frame *f);
