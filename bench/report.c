#include "bench/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_ENOUGH_PCT 95.0
#define SHARE_ENOUGH_PCT 97.0

void report_init(struct report *r, const struct options *opt)
{
	*r = (struct report){.opt = opt};
}

void report_free(struct report *r)
{
	free(r->trials);
	r->trials = NULL;
	r->n_trials = r->room = 0;
}

int report_add(struct report *r, const struct trial *t)
{
	if (r->n_trials == r->room) {
		unsigned room = r->room ? 2 * r->room : 64;
		struct trial *trials = reallocarray(r->trials, room, sizeof(*trials));

		if (!trials)
			return -ENOMEM;
		r->trials = trials;
		r->room = room;
	}
	r->trials[r->n_trials++] = *t;
	return 0;
}

void report_peer(
	struct report *r, const char *name, const char *version, const char *command, const char *skipped)
{
	struct report_peer *p = r->peers;

	while (p < r->peers + r->n_peers && strcmp(p->name, name) != 0)
		p++;
	if (p == r->peers + r->n_peers) {
		if (r->n_peers == OPTIONS_MAX_PEERS)
			return;
		r->n_peers++;
	}
	snprintf(p->name, sizeof(p->name), "%s", name);
	snprintf(p->version, sizeof(p->version), "%s", version);
	snprintf(p->command, sizeof(p->command), "%s", command);
	snprintf(p->skipped, sizeof(p->skipped), "%s", skipped);
}

bool report_disturbed(const struct trial *t)
{
	return (t->worker_share_pct > 0 && t->worker_share_pct < SHARE_ENOUGH_PCT) ||
	       t->generator_share_pct < SHARE_ENOUGH_PCT;
}

bool report_generator_bound(const struct trial *t)
{
	return !report_disturbed(t) && t->busy_pct > 0 && t->busy_pct < BUSY_ENOUGH_PCT;
}

static void add_trial(struct report_summary *s, const struct trial *t)
{
	if (!s->first)
		s->first = t;
	spread_add(&s->mpps, t->mpps);
	if (t->cycles_per_packet > 0)
		spread_add(&s->cycles, t->cycles_per_packet);
	if (t->busy_pct > 0)
		spread_add(&s->busy, t->busy_pct);
	for (unsigned i = 0; i < t->n_stages; i++)
		spread_add(&s->stage[i], t->stage[i].cycles_per_packet);
	s->lost += t->lost;
	s->late += t->late;
	s->wrong += t->wrong;
	s->near += strcmp(t->state, "near") == 0;
	s->far += strcmp(t->state, "far") == 0;
	s->mixed += strcmp(t->state, "mixed") == 0;
	s->bound += report_generator_bound(t);
	s->disturbed += report_disturbed(t);
	s->stolen += t->stolen_ms > 0;
}

void report_summarize(
	const struct report *r, unsigned size, unsigned pairs, const char *peer, struct report_summary *s)
{
	memset(s, 0, sizeof(*s));
	for (const struct trial *t = r->trials; t < r->trials + r->n_trials; t++)
		if (t->size == size && t->pairs == pairs && strcmp(t->peer, peer) == 0)
			add_trial(s, t);
}
