/*
 * block.h: who may give which addresses of a network, as the store has it: blocks of 64, each address of which is one
 * host's or nobody's. Pure.
 *
 *   ipam/NETWORK/ADDRESS      {"v": 1, "network": "web", "block": "10.1.0.64", "hosts": {"h1": "ffffffff00000000"}}
 *   HOST/ask/NETWORK/PREFIX   {"v": 1, "network": "web", "within": "10.1.0.0/24", "round": 1}
 *
 * A host's part is 64 bits in hexadecimal, the lowest for the first address. The key is changed only by who knows it as it
 * is, and a host adds to its own part what is nobody's, or takes from it, maybe for another one: so no address is ever two
 * hosts'. It is on no lease, since a host that is cut off goes on to use what it has.
 */
#pragma once

#include "control/cluster/value.h"

enum { BLOCK_BITS = 6, BLOCK_SIZE = 1 << BLOCK_BITS };

struct block_part {
	char host[VALUE_NAME];
	uint64_t bits; /* never 0 */
};

struct block_value {
	char network[VALUE_NAME];
	struct ip_addr base;
	unsigned n;
	struct block_part parts[]; /* BLOCK_SIZE at most */
};

/* A host that has no free address asks the others for some of theirs. */
struct block_ask {
	char network[VALUE_NAME];
	struct ip_prefix within;
};

static inline struct ip_addr block_base(struct ip_addr ip)
{
	ip.b[15] &= (uint8_t) ~(BLOCK_SIZE - 1);
	return ip;
}

static inline uint64_t block_bit(struct ip_addr ip)
{
	return UINT64_C(1) << (ip.b[15] & (BLOCK_SIZE - 1));
}

/** `place`: "NETWORK/ADDRESS", what follows "ipam/" in its key. To be freed; NULL with *why. */
struct block_value *block_read(const char *text, size_t len, const char *place, const char **why);
/** As text, to be freed; NULL: no memory. */
char *block_text(const struct block_value *block);
/** A copy with room for all parts there can be, to be freed; of NULL an empty one. NULL: no memory. */
struct block_value *block_copy(const struct block_value *block);
/** The host's part, 0: none. */
uint64_t block_part_of(const struct block_value *block, const char *host);
/** All parts. */
uint64_t block_taken(const struct block_value *block);
/** Changes a host's part of a copy; it has to fit beside the others'. */
void block_set(struct block_value *block, const char *host, uint64_t bits);

/** `place`: "NETWORK/PREFIX", what follows "ask/" in its key. To be freed; NULL with *why. */
struct block_ask *block_ask_read(const char *text, size_t len, const char *place, const char **why);
char *block_ask_text(const struct block_ask *ask, unsigned round);
