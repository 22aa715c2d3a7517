/*
 * conn_turn.c: is a request under way on a connection? A word for each, apart from both sides' lines: whoever carries a
 * direction reads it for each packet with something in it, and writes it when the turn changes, so two workers that
 * carry one direction each share it in peace. It bears the generation of the connection, as `life` does: a packet that
 * comes late changes nothing of the next one.
 */
#include "dataplane/lb/conn_table.h"

enum { WAITING = 1 }; /* in the place of life's flags; where that has its second, the time of the request */

void conn_turn_begin(struct conn_table *t, uint32_t entry, uint32_t gen)
{
	atomic_store_explicit(&t->turn[entry], life_make(gen, WAITING, 0), memory_order_relaxed);
}

void conn_turn_end(struct conn_table *t, uint32_t entry, uint32_t gen)
{
	uint64_t turn = atomic_exchange_explicit(&t->turn[entry], life_make(gen, 0, 0), memory_order_relaxed);

	if (life_flags(turn) & WAITING)
		atomic_fetch_add_explicit(
			&t->owner[side_end(&t->side[entry * 2]).owner].turns_lost, 1, memory_order_relaxed);
}

static bool would_ask(uint64_t turn, const struct conn_hit *hit)
{
	return life_same(turn, hit->life) && (!(life_flags(turn) & WAITING) || !(uint32_t)turn);
}

bool conn_turn_would_ask(const struct conn_table *t, const struct conn_hit *hit)
{
	return would_ask(atomic_load_explicit(&t->turn[hit->index / 2], memory_order_relaxed), hit);
}

bool conn_turn_asks(struct conn_table *t, const struct conn_hit *hit, uint32_t now)
{
	_Atomic(uint64_t) *at = &t->turn[hit->index / 2];
	uint64_t turn = atomic_load_explicit(at, memory_order_relaxed);

	while (would_ask(turn, hit)) {
		uint64_t want = life_make(life_gen(turn), WAITING, now);

		if (atomic_compare_exchange_weak_explicit(
			    at, &turn, want, memory_order_relaxed, memory_order_relaxed))
			return !(life_flags(turn) & WAITING);
	}
	return false;
}

bool conn_turn_answers(struct conn_table *t, const struct conn_hit *hit, uint32_t *since)
{
	_Atomic(uint64_t) *at = &t->turn[hit->index / 2];
	uint64_t turn = atomic_load_explicit(at, memory_order_relaxed);

	while (life_same(turn, hit->life) && (life_flags(turn) & WAITING)) {
		if (!atomic_compare_exchange_weak_explicit(at, &turn, life_make(life_gen(turn), 0, 0),
			    memory_order_relaxed, memory_order_relaxed))
			continue;
		*since = (uint32_t)turn;
		return true;
	}
	return false;
}

uint32_t conn_turns_lost_of(const struct conn_table *t, uint32_t owner)
{
	return owner < t->owners ? atomic_load_explicit(&t->owner[owner].turns_lost, memory_order_relaxed)
				 : 0;
}
