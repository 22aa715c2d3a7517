/*
 * sum.h: the one's complement sums of IP and UDP (RFC 1071), and the addresses that the bench's hosts have in
 * IPv6: those that they have in IPv4 behind a prefix of 96 bits, so that both families differ in as little.
 */
#pragma once

#include <stdint.h>
#include <string.h>

enum { SUM_PREFIX_BYTES = 12 };

/** fd5b::/96, before the four bytes of an IPv4 address. */
static const uint8_t sum_prefix[SUM_PREFIX_BYTES] = {0xfd, 0x5b};

/** The sum of the 16-bit words of a number. */
static inline uint32_t sum_words(uint64_t value)
{
	return (uint32_t)(value & 0xffff) + (uint32_t)(value >> 16 & 0xffff) +
	       (uint32_t)(value >> 32 & 0xffff) + (uint32_t)(value >> 48);
}

static inline uint16_t sum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)(sum + (sum >> 16));
}

/** What stands in a UDP header for `sum`: 0 would say that there is no checksum. */
static inline uint16_t sum_udp(uint32_t sum)
{
	uint16_t check = (uint16_t)~sum_fold(sum);

	return check ? check : 0xffff;
}

/** The sum of the 16-bit words at `at`, the last of them filled up with 0. */
static inline uint32_t sum_bytes(const uint8_t *at, unsigned bytes)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < bytes; i += 2) {
		uint16_t word = at[i];

		word |= (uint16_t)((i + 1 < bytes ? at[i + 1] : 0) << 8);
		sum += word;
	}
	return sum;
}

/**
 * The sum of a packet at `l4`, `len` bytes from there, of protocol `protocol`, and of its pseudo header: the two
 * `addresses` take `address_bytes` together. 0xffff when its checksum is right.
 */
static inline uint16_t sum_packet(
	const uint8_t *addresses, unsigned address_bytes, unsigned protocol, const uint8_t *l4, unsigned len)
{
	uint32_t sum = sum_bytes(addresses, address_bytes) + (protocol << 8) +
		       (uint16_t)((len & 0xff) << 8 | len >> 8);

	return sum_fold(sum + sum_bytes(l4, len));
}
