/*
 * maglev.h: consistent hashing by a table. Every backend fills slots in an order of its own, so that the
 * slots are shared in proportion to the weights and a change of one backend moves few slots of the others.
 * Hosts that know the same backends build the same table. Source: Eisenbud et al., "Maglev: a fast and
 * reliable software network load balancer", NSDI 2016, section 3.4; weights by letting a backend take its
 * turn only when its share is due.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "addr/ip.h"

enum {
	MAGLEV_SIZE_MAX = 65537,
	MAGLEV_SLOTS_PER_BACKEND = 100, /* shares differ by about a hundredth */
};

struct maglev_backend {
	struct ip_addr address; /* with port: who it is, on every host */
	uint16_t port;
	uint16_t weight; /* 0: gets no slots */
	uint16_t id;	 /* what the slots hold: of those of a service, which it is */
};

struct maglev {
	uint32_t size; /* a prime */
	bool wide;     /* slots have two bytes: some id is above 255 */
	uint8_t slot[];
};

/** Any thread. The id in a slot. */
static inline uint16_t maglev_at(const struct maglev *table, uint32_t slot)
{
	uint16_t id;

	if (__builtin_expect(!table->wide, 1))
		return table->slot[slot];
	memcpy(&id, table->slot + 2 * (size_t)slot, sizeof(id));
	return id;
}

/**
 * Control thread. A table over the backends with a weight, NULL without memory or when there is none
 * (nbackends <= LB_BACKENDS). `backends` is sorted by (address, port), each pair once. Its size follows from
 * nbackends, those without a weight included: a backend that falls ill does not resize the table, which would
 * move most slots. Every backend with a weight has at least one slot. Freed with free().
 */
struct maglev *maglev_build(const struct maglev_backend *backends, size_t nbackends);

/** The table size for `nbackends`: the smallest of a few primes with MAGLEV_SLOTS_PER_BACKEND for each. */
uint32_t maglev_size(size_t nbackends);

/** Any thread. The slot of `hash`, all 32 bits of which are used. */
static inline uint32_t maglev_slot(const struct maglev *table, uint32_t hash)
{
	return (uint32_t)(((uint64_t)hash * table->size) >> 32);
}

/**
 * A hash of a flow that is the same on every host (it has no secret): `addresses` is client and vip, `ports`
 * the client's port, the vip's port and the protocol, in any fixed arrangement.
 */
static inline uint32_t maglev_hash(uint64_t addresses, uint64_t ports)
{
	unsigned __int128 product = (unsigned __int128)(addresses ^ UINT64_C(0x9e3779b97f4a7c15)) *
				    (ports ^ UINT64_C(0xd6e8feb86659fd93));
	uint64_t x = (uint64_t)product ^ (uint64_t)(product >> 64);

	x *= UINT64_C(0xff51afd7ed558ccd);
	return (uint32_t)(x >> 32);
}

/** `addresses` of maglev_hash() for IPv6, the same on every host too. */
static inline uint64_t maglev_addresses6(struct ip_addr client, struct ip_addr vip)
{
	unsigned __int128 product = (unsigned __int128)(client.q[0] ^ UINT64_C(0xa0761d6478bd642f)) *
				    (client.q[1] ^ UINT64_C(0xe7037ed1a0b428db));

	return ((uint64_t)product ^ (uint64_t)(product >> 64)) + vip.q[0] * UINT64_C(0x8ebc6af09c88c6e3) +
	       vip.q[1] * UINT64_C(0x589965cc75374cc3);
}
