#include "bench/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/host.h"
#include "bench/ratio.h"
#include "bench/spread.h"

#define BUSY_ENOUGH_PCT 95.0

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

bool report_generator_bound(const struct trial *t)
{
	return t->busy_pct > 0 && t->busy_pct < BUSY_ENOUGH_PCT;
}

/* All trials of one size, number of pairs and peer, together. */
struct summary {
	struct spread mpps, cycles, busy;
	uint64_t lost, late, wrong;
	unsigned near, far, mixed, bound, stolen;
};

static void summarize(
	const struct report *r, unsigned size, unsigned pairs, const char *peer, struct summary *s)
{
	memset(s, 0, sizeof(*s));
	for (const struct trial *t = r->trials; t < r->trials + r->n_trials; t++) {
		if (t->size != size || t->pairs != pairs || strcmp(t->peer, peer) != 0)
			continue;
		spread_add(&s->mpps, t->mpps);
		if (t->cycles_per_packet > 0)
			spread_add(&s->cycles, t->cycles_per_packet);
		if (t->busy_pct > 0)
			spread_add(&s->busy, t->busy_pct);
		s->lost += t->lost;
		s->late += t->late;
		s->wrong += t->wrong;
		s->near += strcmp(t->state, "near") == 0;
		s->far += strcmp(t->state, "far") == 0;
		s->mixed += strcmp(t->state, "mixed") == 0;
		s->bound += report_generator_bound(t);
		s->stolen += t->stolen_ms > 0;
	}
}

static void print_states(const struct summary *s)
{
	printf(" %s", s->near && !s->far && !s->mixed	? "near"
		      : s->far && !s->near && !s->mixed ? "far"
							: "");
	if (!!s->near + !!s->far + !!s->mixed > 1)
		printf("%u near, %u far, %u mixed", s->near, s->far, s->mixed);
	if (s->bound)
		printf("; generator-bound %u of %u", s->bound, s->mpps.n);
	if (s->stolen)
		printf("; time stolen in %u", s->stolen);
	putchar('\n');
}

static void print_summary(const struct report *r, unsigned size, unsigned pairs, const char *peer)
{
	static struct summary s;

	summarize(r, size, pairs, peer, &s);
	if (s.mpps.n == 0)
		return;
	printf("%5u %8u  %-8s %7.2f  %5.2f..%-5.2f", size, pairs, peer, spread_median(&s.mpps),
		spread_min(&s.mpps), spread_max(&s.mpps));
	if (s.cycles.n > 0)
		printf(" %7.1f  %6.1f..%-6.1f %5.0f", spread_median(&s.cycles), spread_min(&s.cycles),
			spread_max(&s.cycles), spread_median(&s.busy));
	else
		printf(" %7s  %14s %5s", "-", "", "-");
	printf(" %8llu %6llu %6llu", (unsigned long long)s.lost, (unsigned long long)s.late,
		(unsigned long long)s.wrong);
	print_states(&s);
}

static void print_ratios(const struct report *r, unsigned size, unsigned pairs)
{
	static struct ratio ratio;

	for (unsigned i = 1; i < r->n_peers; i++) {
		ratio_of(r, size, pairs, r->peers[0].name, r->peers[i].name, &ratio);
		if (ratio.mpps.n == 0)
			continue;
		printf("%5u %8u  %s / %-8s %6.2fx Mpps (%.2f..%.2f)", size, pairs, r->peers[0].name,
			r->peers[i].name, spread_median(&ratio.mpps), spread_min(&ratio.mpps),
			spread_max(&ratio.mpps));
		if (ratio.cycles.n > 0)
			printf("  %5.2f of its cycles (%.2f..%.2f)", spread_median(&ratio.cycles),
				spread_min(&ratio.cycles), spread_max(&ratio.cycles));
		printf("  %u pairs, %u left out\n", ratio.mpps.n, ratio.unlike);
	}
}

void report_table(const struct report *r)
{
	const struct options *o = r->opt;

	printf("%s: both directions summed; worker on core %d, generator on core %d, rings of %u, ",
		o->scenario, o->worker_core, o->generator_core, o->ring);
	if (o->window)
		printf("%u frames under way each way\n", o->window);
	else
		printf("open loop\n");
	printf("\n bytes    pairs  peer        Mpps     (spread)  cycles/packet   (spread)  busy%%     lost  "
	       "wrong\n");
	for (unsigned s = 0; s < o->n_sizes; s++)
		for (unsigned p = 0; p < o->n_pairs; p++)
			for (unsigned i = 0; i < r->n_peers; i++)
				print_summary(r, o->sizes[s], o->pairs[p], r->peers[i].name);
	putchar('\n');
	for (unsigned s = 0; s < o->n_sizes; s++)
		for (unsigned p = 0; p < o->n_pairs; p++)
			print_ratios(r, o->sizes[s], o->pairs[p]);
	for (unsigned i = 0; i < r->n_peers; i++)
		if (r->peers[i].skipped[0])
			printf("%s: skipped: %s\n", r->peers[i].name, r->peers[i].skipped);
	if (r->interrupted)
		printf("interrupted\n");
}

static json_t *trial_json(const struct trial *t)
{
	return json_pack("{s:s, s:i, s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:b, s:f, s:f, s:s, s:I, s:I, s:I, "
			 "s:I, s:I, s:i}",
		"peer", t->peer, "size", (int)t->size, "pairs", (int)t->pairs, "turn", (int)t->turn,
		"seconds", t->seconds, "mpps", t->mpps, "cycles_per_packet", t->cycles_per_packet, "busy_pct",
		t->busy_pct, "generator_wait_pct", t->wait_pct, "generator_bound", report_generator_bound(t),
		"core_to_core_before_ns", t->before_ns, "core_to_core_after_ns", t->after_ns, "state",
		t->state, "sent", (json_int_t)t->sent, "lost", (json_int_t)t->lost, "late",
		(json_int_t)t->late, "wrong", (json_int_t)t->wrong, "stolen_ms", (json_int_t)t->stolen_ms,
		"generator_switches", (int)t->switches);
}

static json_t *summary_json(const struct report *r, unsigned size, unsigned pairs, const char *peer)
{
	static struct summary s;

	summarize(r, size, pairs, peer, &s);
	return json_pack("{s:i, s:i, s:s, s:o, s:o, s:o, s:I, s:I, s:I, s:i}", "size", (int)size, "pairs",
		(int)pairs, "peer", peer, "mpps", spread_json(&s.mpps), "cycles_per_packet",
		spread_json(&s.cycles), "busy_pct", spread_json(&s.busy), "lost", (json_int_t)s.lost, "late",
		(json_int_t)s.late, "wrong", (json_int_t)s.wrong, "generator_bound", (int)s.bound);
}

static json_t *ratio_json(const struct report *r, unsigned size, unsigned pairs, const char *peer)
{
	static struct ratio ratio;

	ratio_of(r, size, pairs, r->peers[0].name, peer, &ratio);
	return json_pack("{s:i, s:i, s:s, s:s, s:o, s:o, s:i}", "size", (int)size, "pairs", (int)pairs,
		"peer", r->peers[0].name, "against", peer, "mpps", spread_json(&ratio.mpps),
		"cycles_per_packet", spread_json(&ratio.cycles), "left_out", (int)ratio.unlike);
}

json_t *report_json(const struct report *r)
{
	json_t *peers = json_array(), *trials = json_array(), *summary = json_array(), *ratios = json_array();
	const struct options *o = r->opt;

	for (const struct report_peer *p = r->peers; p < r->peers + r->n_peers; p++)
		json_array_append_new(
			peers, json_pack("{s:s, s:s, s:s, s:s?}", "name", p->name, "version", p->version,
				       "command", p->command, "skipped", p->skipped[0] ? p->skipped : NULL));
	for (const struct trial *t = r->trials; t < r->trials + r->n_trials; t++)
		json_array_append_new(trials, trial_json(t));
	for (unsigned s = 0; s < o->n_sizes; s++) {
		for (unsigned p = 0; p < o->n_pairs; p++) {
			for (unsigned i = 0; i < r->n_peers; i++) {
				const char *name = r->peers[i].name;

				if (r->peers[i].skipped[0])
					continue;
				json_array_append_new(
					summary, summary_json(r, o->sizes[s], o->pairs[p], name));
				if (i > 0)
					json_array_append_new(
						ratios, ratio_json(r, o->sizes[s], o->pairs[p], name));
			}
		}
	}
	return json_pack("{s:s, s:s, s:o, s:o, s:b, s:o, s:o, s:o, s:o}", "scenario", o->scenario, "version",
		SLUICE_VERSION, "host", host_facts(), "options", options_json(o), "interrupted",
		r->interrupted, "peers", peers, "trials", trials, "summary", summary, "ratios", ratios);
}
