/*
 * overlay.h: the bench as another host of a VXLAN overlay (RFC 7348): the outer headers that it puts before a
 * frame, and those that it expects of the switch's tunnel end point.
 *
 *	overlay n has the underlay 192.0.<2 + n>.0/24, over IPv6 fd5b::192.0.<2 + n>.0/120: the switch is .1, the
 *	bench .2 with MAC 02:5b:ff:00:00:02; the switch's MAC ends with 2 * n more than in overlay 0
 *	VNI 4242 + n, UDP port 4789; the source port is the inner flow's
 *	over IPv4 no UDP checksum, over IPv6 one, or where it is agreed (RFC 6935) none
 */
#pragma once

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "bench/traffic/sum.h"

enum {
	OVERLAY_OUTER = 14 + 20 + 8 + 8,
	OVERLAY_OUTER6 = OVERLAY_OUTER + 20,
	OVERLAY_VNI = 4242,
	OVERLAY_PORT = 4789,
	OVERLAY_FIRST_PORT = 49152, /* source ports are the dynamic ones (RFC 7348, 5) */
};

enum overlay_kind { OVERLAY_IPV4, OVERLAY_IPV6, OVERLAY_IPV6_NO_SUM };

struct overlay {
	uint8_t mine[OVERLAY_OUTER6];	/* as the bench sends it, but for lengths and source port */
	uint8_t theirs[OVERLAY_OUTER6]; /* as the switch must send it, but for what it may choose */
	unsigned outer;			/* bytes of them */
	enum overlay_kind kind;
	uint32_t sum; /* of the IPv4 header of `mine`; of the UDP header and its pseudo header of IPv6 */
};

/** Overlay `n` of this kind; the switch's tunnel end point has `mac` in overlay 0. */
void overlay_init(struct overlay *o, enum overlay_kind kind, unsigned n, const uint8_t mac[6]);

/** The bench's own MAC, if `ip` is its address in some overlay: for arp_take(). */
bool overlay_host(uint32_t ip, uint8_t mac[6]);

/** The one's complement sum of the IPv4 header at `ip`, which has no options: 0xffff when its checksum is
 * right. */
static inline uint16_t overlay_ip_sum(const uint8_t *ip)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < 20; i += 4) {
		uint32_t word;

		memcpy(&word, ip + i, 4);
		sum += word;
	}
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static inline uint16_t overlay_source_port(uint32_t flow)
{
	return htons((uint16_t)(OVERLAY_FIRST_PORT + (flow * UINT32_C(0x9e3779b1) >> 18)));
}

/* Over IPv6. The length counts twice in a checksum: in the UDP header and before it. */
static inline void overlay_write6(
	const struct overlay *o, uint8_t *outer, uint32_t len, uint32_t flow, uint32_t inner_sum)
{
	uint16_t udp_len = htons((uint16_t)(len + OVERLAY_OUTER6 - 54)), source = overlay_source_port(flow);
	uint16_t check = sum_udp(o->sum + 2U * udp_len + source + inner_sum);

	memcpy(outer, o->mine, OVERLAY_OUTER6);
	memcpy(outer + 18, &udp_len, 2);
	memcpy(outer + 54, &source, 2);
	memcpy(outer + 58, &udp_len, 2);
	if (o->kind == OVERLAY_IPV6)
		memcpy(outer + 60, &check, 2);
}

/**
 * Writes the outer headers of an inner frame of `len` bytes, which stands right behind them, of flow `flow`.
 * `inner_sum` is the one's complement sum of the frame's words; OVERLAY_IPV6 asks for it.
 */
static inline void overlay_write(
	const struct overlay *o, uint8_t *outer, uint32_t len, uint32_t flow, uint32_t inner_sum)
{
	uint16_t ip_len = htons((uint16_t)(len + OVERLAY_OUTER - 14));
	uint16_t udp_len = htons((uint16_t)(len + OVERLAY_OUTER - 34));
	uint32_t sum = (uint32_t)o->sum + ip_len;
	uint16_t check = (uint16_t) ~(sum + (sum >> 16));
	uint16_t source = overlay_source_port(flow);

	if (o->kind != OVERLAY_IPV4) {
		overlay_write6(o, outer, len, flow, inner_sum);
		return;
	}
	memcpy(outer, o->mine, OVERLAY_OUTER);
	memcpy(outer + 16, &ip_len, 2);
	memcpy(outer + 24, &check, 2);
	memcpy(outer + 34, &source, 2);
	memcpy(outer + 38, &udp_len, 2);
}

/* The IPv4 header that the switch must send: total length `ip_len`, not a fragment, time to live not 0. */
static inline bool overlay_read_ip(const struct overlay *o, const uint8_t *outer, uint32_t len)
{
	uint16_t ip_len, fragment;

	memcpy(&ip_len, outer + 16, 2);
	memcpy(&fragment, outer + 20, 2);
	return memcmp(outer, o->theirs, 15) == 0 && ntohs(ip_len) == len - 14 &&
	       (ntohs(fragment) & 0x3fff) == 0 && outer[22] != 0 && outer[23] == o->theirs[23] &&
	       memcmp(outer + 26, o->theirs + 26, 8) == 0 && overlay_ip_sum(outer + 14) == 0xffff;
}

/* The IPv6 header: traffic class and flow label are the switch's choice. */
static inline bool overlay_read_ip6(const struct overlay *o, const uint8_t *outer, uint32_t len)
{
	uint16_t payload;

	memcpy(&payload, outer + 18, 2);
	return memcmp(outer, o->theirs, 14) == 0 && outer[14] >> 4 == 6 && ntohs(payload) == len - 54 &&
	       outer[20] == o->theirs[20] && outer[21] != 0 && memcmp(outer + 22, o->theirs + 22, 32) == 0 &&
	       ((outer[60] | outer[61]) != 0) == (o->kind == OVERLAY_IPV6);
}

/**
 * True when a frame of `len` bytes begins with the outer headers that the switch must put before a frame for
 * the bench: MACs, IPv4 (with its checksum, not a fragment) or IPv6, UDP to the port of VXLAN, over IPv6 with a
 * checksum or without as agreed, the VNI, and lengths that agree with `len`. Type of service, id, time to live
 * (not 0) and source port are the switch's choice.
 */
static inline bool overlay_read(const struct overlay *o, const uint8_t *outer, uint32_t len)
{
	const uint8_t *udp = outer + o->outer - 16;
	uint16_t udp_len, ports[2];

	if (len <= o->outer)
		return false;
	memcpy(&udp_len, udp + 4, 2);
	memcpy(ports, udp, 4);
	return (o->kind == OVERLAY_IPV4 ? overlay_read_ip : overlay_read_ip6)(o, outer, len) &&
	       ports[0] != 0 && ports[1] == htons(OVERLAY_PORT) && ntohs(udp_len) == len - (o->outer - 16) &&
	       memcmp(udp + 8, o->theirs + o->outer - 8, 8) == 0;
}

/** True when the UDP checksum of such a frame, which overlay_read has accepted, is absent or right. */
bool overlay_udp_intact(const struct overlay *o, const uint8_t *outer, uint32_t len);
