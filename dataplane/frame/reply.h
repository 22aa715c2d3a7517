/*
 * reply.h: the switch's own answers, made of the frame that asks. Worker. They work on the private copy and
 * leave the payload where it lies.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/frame/burst.h"

/* An Ethernet ARP packet for IPv4 after the Ethernet header (RFC 826): offsets of its fields. */
enum {
	ARP_LEN = 28,
	ARP_OP = 6,
	ARP_SENDER_MAC = 8,
	ARP_SENDER_IP = 14,
	ARP_TARGET_MAC = 18,
	ARP_TARGET_IP = 24,
	ARP_REQUEST = 1,
	ARP_REPLY = 2,
};

/** The ARP packet of an untagged frame, NULL if it is none, is cut off, or is not for Ethernet and IPv4. */
const uint8_t *reply_arp_packet(struct frame *f);

/** Turns an ARP request into the answer that `mac` has the address asked for; verdict V_REPLY. */
void reply_arp(struct frame *f, const uint8_t mac[6]);

/**
 * Turns an ICMP echo request into its answer (RFC 792), sent from `mac`; verdict V_REPLY. Returns false, and
 * leaves the frame, when it is something else.
 */
bool reply_icmp_echo(struct frame *f, const uint8_t mac[6]);

/** The same for ICMPv6 (RFC 4443, 4.1). */
bool reply_icmp6_echo(struct frame *f, const uint8_t mac[6]);

enum { REPLY_IP4_LEN = 20 };

/** Writes the IPv4 header, with its checksum, of a packet of `len` bytes that the switch sends itself. Addresses in network
 * byte order. */
void reply_write_ip4(
	uint8_t *ip, uint8_t tos, uint16_t len, uint8_t proto, uint32_t source, uint32_t destination);

/** The same for IPv6, with `len` bytes behind the header of 40. */
void reply_write_ip6(
	uint8_t *ip, uint16_t len, uint8_t proto, const uint8_t source[16], const uint8_t destination[16]);

/** Writes an ARP request for `target_ip` into buf[42]; sender_ip 0 makes it a probe that teaches nobody (RFC
 * 5227). */
void reply_write_arp_request(uint8_t *buf, const uint8_t mac[6], uint32_t sender_ip, uint32_t target_ip);
enum { ARP_FRAME_LEN = 42 };
