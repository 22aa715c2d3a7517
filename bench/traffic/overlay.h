/*
 * overlay.h: the bench as another host of a VXLAN overlay (RFC 7348): the outer headers that it puts before a
 * frame, and those that it expects of the switch's tunnel end point.
 *
 *	underlay 192.0.2.0/24: the switch is .1, the bench .2 with MAC 02:5b:ff:00:00:02
 *	VNI 4242, UDP port 4789, no UDP checksum; the source port is the inner flow's
 */
#pragma once

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
	OVERLAY_OUTER = 14 + 20 + 8 + 8,
	OVERLAY_VNI = 4242,
	OVERLAY_PORT = 4789,
	OVERLAY_FIRST_PORT = 49152, /* source ports are the dynamic ones (RFC 7348, 5) */
};

struct overlay {
	uint8_t mine[OVERLAY_OUTER];   /* as the bench sends it, but for lengths and source port */
	uint8_t theirs[OVERLAY_OUTER]; /* as the switch must send it, but for what it may choose */
	uint16_t sum;		       /* of the IPv4 header of `mine` */
};

/** The switch's tunnel end point has `mac`. */
void overlay_init(struct overlay *o, const uint8_t mac[6]);

/** The bench's own MAC, if `ip` is its address: for arp_take(). */
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

/** Writes the outer headers of an inner frame of `len` bytes, which stands right behind them, of flow `flow`.
 */
static inline void overlay_write(const struct overlay *o, uint8_t *outer, uint32_t len, uint32_t flow)
{
	uint16_t ip_len = htons((uint16_t)(len + OVERLAY_OUTER - 14));
	uint16_t udp_len = htons((uint16_t)(len + OVERLAY_OUTER - 34));
	uint32_t sum = (uint32_t)o->sum + ip_len;
	uint16_t check = (uint16_t) ~(sum + (sum >> 16));
	uint16_t source = htons((uint16_t)(OVERLAY_FIRST_PORT + (flow * UINT32_C(0x9e3779b1) >> 18)));

	memcpy(outer, o->mine, OVERLAY_OUTER);
	memcpy(outer + 16, &ip_len, 2);
	memcpy(outer + 24, &check, 2);
	memcpy(outer + 34, &source, 2);
	memcpy(outer + 38, &udp_len, 2);
}

/**
 * True when a frame of `len` bytes begins with the outer headers that the switch must put before a frame for
 * the bench: MACs, IPv4 (with its checksum, not a fragment), UDP to the port of VXLAN, the VNI, and lengths
 * that agree with `len`. Type of service, id, time to live (not 0) and source port are the switch's choice.
 */
static inline bool overlay_read(const struct overlay *o, const uint8_t *outer, uint32_t len)
{
	uint16_t ip_len, udp_len, ports[2], fragment;

	if (len <= OVERLAY_OUTER)
		return false;
	memcpy(&ip_len, outer + 16, 2);
	memcpy(&fragment, outer + 20, 2);
	memcpy(&udp_len, outer + 38, 2);
	memcpy(ports, outer + 34, 4);
	return memcmp(outer, o->theirs, 15) == 0 && ntohs(ip_len) == len - 14 &&
	       (ntohs(fragment) & 0x3fff) == 0 && outer[22] != 0 && outer[23] == o->theirs[23] &&
	       memcmp(outer + 26, o->theirs + 26, 8) == 0 && overlay_ip_sum(outer + 14) == 0xffff &&
	       ports[0] != 0 && ports[1] == htons(OVERLAY_PORT) && ntohs(udp_len) == len - 34 &&
	       memcmp(outer + 42, o->theirs + 42, 8) == 0;
}

/** True when the UDP checksum of such a frame, which overlay_read has accepted, is absent or right. */
bool overlay_udp_intact(const uint8_t *outer, uint32_t len);
