#include "dataplane/core/moves.h"

#include <string.h>

#include "dataplane/core/dp.h"

enum { REPORTS_AT_ONCE = 4 }; /* of each worker, a timer's turn */

void moves_note(struct worker *w, const struct move *move)
{
	struct moves *m = &w->moves;
	uint32_t head = atomic_load_explicit(&m->head, memory_order_relaxed);

	if (head - atomic_load_explicit(&m->tail, memory_order_acquire) >= MOVES_SLOTS) {
		atomic_store_explicit(&m->lost, atomic_load_explicit(&m->lost, memory_order_relaxed) + 1,
			memory_order_relaxed);
		return;
	}
	m->slot[head % MOVES_SLOTS] = *move;
	atomic_store_explicit(&m->head, head + 1, memory_order_release);
}

static void tell(struct dp *dp, const struct move *move, uint64_t left_out)
{
	struct dp_move report = {
		.net = (uint16_t)(move->key >> 48),
		.from = move->from,
		.to = move->to,
		.what = move->what,
		.left_out = left_out,
	};

	memcpy(report.mac, &move->key, 6);
	dp->config.on_move(dp->config.ctx, &report);
}

static void tell_some(struct dp *dp, struct moves *m)
{
	uint32_t tail = atomic_load_explicit(&m->tail, memory_order_relaxed);

	for (unsigned i = 0; i < REPORTS_AT_ONCE; i++) {
		uint64_t lost = atomic_load_explicit(&m->lost, memory_order_relaxed);

		if (tail == atomic_load_explicit(&m->head, memory_order_acquire))
			return;
		if (dp->config.on_move)
			tell(dp, &m->slot[tail % MOVES_SLOTS], lost - m->lost_reported);
		m->lost_reported = lost;
		atomic_store_explicit(&m->tail, ++tail, memory_order_release);
	}
}

void moves_tell(struct dp *dp)
{
	for (unsigned i = 0; i < dp->nworker; i++)
		tell_some(dp, &dp->worker[i]->moves);
}
