#include "dataplane/core/share.h"

#include <stddef.h>

#include "dataplane/core/mem.h"

struct share *share_new(uint32_t size)
{
	struct share *s = mem_alloc(sizeof(*s));

	if (!s)
		return NULL;
	s->size = size;
	share_set_networks(s, 1);
	return s;
}

void share_free(struct share *s)
{
	if (s)
		mem_free(s, sizeof(*s));
}

void share_set_networks(struct share *s, unsigned networks)
{
	uint32_t part = s->size / 2 / (networks ? networks : 1);

	atomic_store_explicit(&s->part, part, memory_order_relaxed);
	atomic_store_explicit(&s->pool, s->size - part * (networks ? networks : 1), memory_order_relaxed);
	share_recount(s);
}

void share_recount(struct share *s)
{
	uint32_t part = share_part(s), beyond = 0;

	for (unsigned i = 0; i < SHARE_NETS; i++) {
		uint32_t used = share_used(s, (uint16_t)i);

		beyond += used > part ? used - part : 0;
	}
	atomic_store_explicit(&s->beyond, beyond, memory_order_relaxed);
}

/* Counts down by one, but never below 0: a recount may have come between. */
static void less(_Atomic(uint32_t) *count)
{
	uint32_t n = atomic_load_explicit(count, memory_order_relaxed);

	while (n && !atomic_compare_exchange_weak_explicit(
			    count, &n, n - 1, memory_order_relaxed, memory_order_relaxed))
		;
}

bool share_take(struct share *s, uint16_t net)
{
	struct share_of *of = &s->of[net];
	uint32_t limit = atomic_load_explicit(&of->limit, memory_order_relaxed);
	uint32_t used = atomic_fetch_add_explicit(&of->used, 1, memory_order_relaxed);
	uint32_t pool = atomic_load_explicit(&s->pool, memory_order_relaxed);

	if (limit && used >= limit)
		goto none;
	if (used < share_part(s))
		return true;
	if (atomic_fetch_add_explicit(&s->beyond, 1, memory_order_relaxed) < pool)
		return true;
	less(&s->beyond);
none:
	atomic_fetch_sub_explicit(&of->used, 1, memory_order_relaxed);
	return false;
}

void share_force(struct share *s, uint16_t net)
{
	if (atomic_fetch_add_explicit(&s->of[net].used, 1, memory_order_relaxed) >= share_part(s))
		atomic_fetch_add_explicit(&s->beyond, 1, memory_order_relaxed);
}

void share_give(struct share *s, uint16_t net)
{
	if (atomic_fetch_sub_explicit(&s->of[net].used, 1, memory_order_relaxed) > share_part(s))
		less(&s->beyond);
}
