/*
 * addr.h: addresses as text and as numbers, and the choice of free ones. Pure functions, any thread.
 *
 * IPv4 addresses alone are in network byte order; what may be IPv6 is a struct ip_addr.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr/ip_text.h"

enum { ADDR_IP4_TEXT = 16, ADDR_PREFIX_TEXT = 20, ADDR_IP_PREFIX_TEXT = IP_TEXT + 4, ADDR_MAC_TEXT = 18 };

struct addr_prefix {
	uint32_t address; /* with host bits when it is an interface's address */
	uint8_t len;	  /* bits */
};

/* A MAC, and maybe a prefix that it may speak for. */
struct addr_source {
	uint8_t mac[6];
	bool has_prefix;
	struct ip_prefix prefix;
};

/* Text to number; false and nothing written when `text` is NULL or not one. */
bool addr_ip4(const char *text, uint32_t *ip);
bool addr_prefix(const char *text, struct addr_prefix *prefix);
bool addr_mac(const char *text, uint8_t mac[6]);
/** Of either family: "10.1.0.0/24", "fd00::/64". */
bool addr_ip_prefix(const char *text, struct ip_prefix *prefix);
/** "MAC", "MAC IP/len" or "MAC IP", which is the one address. */
bool addr_source(const char *text, struct addr_source *source);

/** Are bits set beyond the prefix length? */
bool addr_prefix_has_host_bits(const struct ip_prefix *prefix);

/* Number to text, into `buf`, which is returned. */
const char *addr_ip4_text(uint32_t ip, char buf[ADDR_IP4_TEXT]);
const char *addr_prefix_text(struct addr_prefix prefix, char buf[ADDR_PREFIX_TEXT]);
const char *addr_ip_prefix_text(struct ip_prefix prefix, char buf[ADDR_IP_PREFIX_TEXT]);
const char *addr_mac_text(const uint8_t mac[6], char buf[ADDR_MAC_TEXT]);

/** Is `ip` in the prefix? */
bool addr_inside(struct addr_prefix subnet, uint32_t ip);

/** May a host have `ip`: in the subnet and neither its own nor its broadcast address (RFC 3021: both in a
 * /31)? */
bool addr_is_host(struct addr_prefix subnet, uint32_t ip);

/** The same of either family. IPv6 has no broadcast address; the subnet's own is that of all its routers (RFC 4291,
 * 2.6.1), but in a /127 (RFC 6164). */
bool addr_is_host_of(struct ip_prefix subnet, struct ip_addr ip);

/** The lowest host address of `subnet` that is not among the `n` in `taken`, which get sorted; none: there is none. However
 * large the subnet is, at most n + 1 are looked at. */
struct ip_addr addr_next_free(struct ip_prefix subnet, struct ip_addr *taken, size_t n);

/**
 * The MAC of whoever is called `name`: 02, then the low 40 bits, high byte first, of XXH64 of the name with
 * `attempt` (0 unless that one is taken) as the seed.
 */
void addr_mac_of_name(const char *name, unsigned attempt, uint8_t mac[6]);
