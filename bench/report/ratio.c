#include "bench/report/ratio.h"

#include <math.h>
#include <string.h>

static bool belongs(const struct trial *t, struct ratio_side side)
{
	return report_same_kind(&t->kind, side.kind) && strcmp(t->peer, side.peer) == 0;
}

/* The n-th trial of `side` in `turn`, or NULL. */
static const struct trial *find(const struct report *r, struct ratio_side side, unsigned turn, unsigned n)
{
	for (const struct trial *t = r->trials; t < r->trials + r->n_trials; t++)
		if (t->turn == turn && belongs(t, side) && n-- == 0)
			return t;
	return NULL;
}

static bool alike(const struct trial *a, const struct trial *b)
{
	return strcmp(a->state, b->state) == 0 && strcmp(a->state, "mixed") != 0 && !report_disturbed(a) &&
	       !report_disturbed(b);
}

void ratio_of(const struct report *r, struct ratio_side a, struct ratio_side b, enum metric metric,
	struct ratio *out)
{
	unsigned turn = 0, n = 0;

	memset(out, 0, sizeof(*out));
	for (const struct trial *t = r->trials; t < r->trials + r->n_trials; t++) {
		const struct trial *other;

		if (!belongs(t, a))
			continue;
		n = t->turn == turn ? n + 1 : 0;
		turn = t->turn;
		other = find(r, b, turn, n);
		if (!other || !(other->value[metric] > 0) || isnan(t->value[metric]))
			continue;
		spread_add(
			alike(t, other) ? &out->like : &out->unlike, t->value[metric] / other->value[metric]);
	}
}
