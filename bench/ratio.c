#include "bench/ratio.h"

#include <string.h>

/* The n-th trial of `peer` in the turn of `like` with its size and pairs, or NULL. */
static const struct trial *find(
	const struct report *r, const struct trial *like, const char *peer, unsigned n)
{
	for (const struct trial *t = r->trials; t < r->trials + r->n_trials; t++)
		if (t->turn == like->turn && t->size == like->size && t->pairs == like->pairs &&
			strcmp(t->peer, peer) == 0 && n-- == 0)
			return t;
	return NULL;
}

static bool alike(const struct trial *a, const struct trial *b)
{
	return strcmp(a->state, b->state) == 0 && strcmp(a->state, "mixed") != 0 && !report_disturbed(a) &&
	       !report_disturbed(b);
}

void ratio_of(const struct report *r, unsigned size, unsigned pairs, const char *a, const char *b,
	struct ratio *out)
{
	unsigned turn = 0, n = 0;

	memset(out, 0, sizeof(*out));
	for (const struct trial *t = r->trials; t < r->trials + r->n_trials; t++) {
		const struct trial *other;

		if (t->size != size || t->pairs != pairs || strcmp(t->peer, a) != 0)
			continue;
		n = t->turn == turn ? n + 1 : 0;
		turn = t->turn;
		other = find(r, t, b, n);
		if (!other || other->mpps == 0)
			continue;
		if (!alike(t, other)) {
			out->unlike++;
			continue;
		}
		spread_add(&out->mpps, t->mpps / other->mpps);
		if (t->cycles_per_packet > 0 && other->cycles_per_packet > 0)
			spread_add(&out->cycles, t->cycles_per_packet / other->cycles_per_packet);
	}
}
