/*
 * ip.h: an IP address of either family, as one value of 16 bytes in network byte order. An IPv4 address is kept as
 * ::ffff:a.b.c.d (RFC 4291, section 2.5.5.2), so that each address has one value, whoever writes it: "10.1.0.1" and
 * "::ffff:10.1.0.1" are the same. Text and sockets: ip_text.h. Pure functions, any thread.
 *
 * It lies in none of the folders: dataplane and registry know nothing of each other, and both tell control of
 * addresses. It is no room of its own, since everything is inline: a test of one room has nothing more to link.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* All zero ("::"): none. */
struct ip_addr {
	union {
		uint8_t b[16];
		uint32_t w[4];
		uint64_t q[2];
	};
};

/* The addresses of one family that have their first bits in common. */
struct ip_prefix {
	struct ip_addr address; /* maybe with bits beyond `len` */
	uint8_t len;		/* bits, of IPv4 too out of 128: 96 + those of the four bytes */
};

enum { IP_PREFIX4 = 96 }; /* of what all IPv4 addresses have in common */

static inline struct ip_addr ip_from4(uint32_t ip4)
{
	struct ip_addr address = {.b = {[10] = 0xff, [11] = 0xff}};

	address.w[3] = ip4;
	return address;
}

static inline struct ip_addr ip_from6(const uint8_t ip6[16])
{
	struct ip_addr address;

	memcpy(address.b, ip6, sizeof(address.b));
	return address;
}

static inline bool ip_is4(struct ip_addr address)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(address.b, mapped, sizeof(mapped)) == 0;
}

/** 0 when it is none of IPv4. */
static inline uint32_t ip_to4(struct ip_addr address)
{
	return ip_is4(address) ? address.w[3] : 0;
}

static inline bool ip_is_none(struct ip_addr address)
{
	return (address.q[0] | address.q[1]) == 0;
}

static inline bool ip_equal(struct ip_addr a, struct ip_addr b)
{
	return ((a.q[0] ^ b.q[0]) | (a.q[1] ^ b.q[1])) == 0;
}

/** As memcmp(): IPv4 addresses by their number, below nearly all of IPv6. */
static inline int ip_compare(struct ip_addr a, struct ip_addr b)
{
	return memcmp(a.b, b.b, sizeof(a.b));
}

/** Never true of different families: ::/0 holds no IPv4 address. */
static inline bool ip_inside(struct ip_addr address, struct ip_prefix prefix)
{
	unsigned whole = prefix.len / 8, rest = prefix.len % 8;

	if (ip_is4(address) != ip_is4(prefix.address) || memcmp(address.b, prefix.address.b, whole) != 0)
		return false;
	return !rest || (address.b[whole] ^ prefix.address.b[whole]) >> (8 - rest) == 0;
}

/** Are there addresses that are in both? */
static inline bool ip_prefixes_overlap(struct ip_prefix a, struct ip_prefix b)
{
	return a.len < b.len ? ip_inside(b.address, a) : ip_inside(a.address, b);
}

/** Is `part` a part of `whole`, or all of it? Of none there is no part. */
static inline bool ip_prefix_within(struct ip_prefix part, struct ip_prefix whole)
{
	return !ip_is_none(whole.address) && part.len >= whole.len && ip_inside(part.address, whole);
}

/** "::" or 0.0.0.0: what listens everywhere, and where nobody is. */
static inline bool ip_is_unspecified(struct ip_addr address)
{
	return ip_is_none(address) || (ip_is4(address) && address.w[3] == 0);
}

static inline bool ip_is_multicast(struct ip_addr address)
{
	return ip_is4(address) ? address.b[12] >> 4 == 0xe : address.b[0] == 0xff;
}

/** May one host have it? Neither unspecified nor multicast nor, of IPv4, reserved (240.0.0.0/4, which has the broadcast
 * address). */
static inline bool ip_is_unicast(struct ip_addr address)
{
	bool reserved = ip_is4(address) && address.b[12] >> 4 == 0xf;

	return !ip_is_unspecified(address) && !ip_is_multicast(address) && !reserved;
}

/** ::1, and all of 127.0.0.0/8. */
static inline bool ip_is_loopback(struct ip_addr address)
{
	if (ip_is4(address))
		return address.b[12] == 127;
	return ip_equal(address, (struct ip_addr){.b = {[15] = 1}});
}

/** fe80::/10 and 169.254.0.0/16. */
static inline bool ip_is_link_local(struct ip_addr address)
{
	if (ip_is4(address))
		return address.b[12] == 169 && address.b[13] == 254;
	return address.b[0] == 0xfe && address.b[1] >> 6 == 2;
}
