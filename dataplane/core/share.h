/*
 * share.h: how the networks share the room of a table. Half of it is guaranteed, in equal parts to the
 * networks that use the table. The other half goes to whoever asks first. So each network gets its part
 * whatever the others do, and one that is alone may use all of it.
 *
 * Entries beyond the parts are counted in one word for all networks. Threads that take and give at the same
 * moment may leave it off by one. Control counts anew when the number of networks changes, and once a second.
 *
 * Any thread, except for share_set_networks() and share_recount(). A word is written only when an entry comes
 * or goes, never per packet. Two workers write the same line only when both add entries of one network, or
 * entries beyond the parts.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { SHARE_NETS = 1024 };

struct share_of {
	_Alignas(64) _Atomic(uint32_t) used;
	_Atomic(uint32_t) limit; /* the operator's own; 0: none */
};

struct share {
	uint32_t size;
	_Atomic(uint32_t) part;		       /* guaranteed to each network */
	_Atomic(uint32_t) pool;		       /* size less all parts */
	_Alignas(64) _Atomic(uint32_t) beyond; /* entries of networks that have more than their part */
	struct share_of of[SHARE_NETS];
};

/** Control thread. Room for `size` entries, all of it one network's until share_set_networks(). NULL: no memory. */
struct share *share_new(uint32_t size);
/** NULL is allowed. */
void share_free(struct share *s);

/** Control thread. How many networks use the table now. */
void share_set_networks(struct share *s, unsigned networks);
/** Control thread. Counts what is beyond the parts. */
void share_recount(struct share *s);

/** May network `net` have one entry more? Then it is counted. */
bool share_take(struct share *s, uint16_t net);
/** Counts one entry more, room or not. */
void share_force(struct share *s, uint16_t net);
void share_give(struct share *s, uint16_t net);

static inline uint32_t share_used(const struct share *s, uint16_t net)
{
	return atomic_load_explicit(&s->of[net].used, memory_order_relaxed);
}

static inline uint32_t share_part(const struct share *s)
{
	return atomic_load_explicit(&s->part, memory_order_relaxed);
}
