/*
 * segment.h: the TCP segments of a half-open probe as bytes (RFC 9293, 3.1): the SYN that asks, and what an
 * answer says. Answers come from anybody who can send into the network, so everything is read with its bounds.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SEGMENT_SYN = 24,   /* bytes of one, with the option that all stacks send: the largest segment */
	SEGMENT_READ = 128, /* bytes of an answer that are enough */
	SEGMENT_QUOTED = 8, /* bytes of a SYN that an ICMP error quotes at least (RFC 792) */
};

enum segment_kind { SEGMENT_OTHER, SEGMENT_OPEN, SEGMENT_REFUSED };

/* A connection, seen from whoever asks. Addresses in network byte order, ports in host order. */
struct segment_ends {
	uint32_t from, to;
	uint16_t from_port, to_port;
};

/** Writes the SYN without its IP header, checksum included. */
void segment_syn(const struct segment_ends *ends, uint32_t number, uint8_t out[SEGMENT_SYN]);

/**
 * Reads an IPv4 packet of `len` bytes. SEGMENT_OPEN, SEGMENT_REFUSED: it answers a SYN, whose ends and number
 * are in *ends and *number for the caller to compare with what was sent. Checksums are the kernel's matter.
 */
enum segment_kind segment_answer(
	const uint8_t *packet, size_t len, struct segment_ends *ends, uint32_t *number);

/** Reads the beginning of a SYN, as ICMP quotes it: its ports and number. False: too short. */
bool segment_quoted(const uint8_t *bytes, size_t len, struct segment_ends *ends, uint32_t *number);
