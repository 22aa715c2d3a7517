#include "bench/host.h"
#include "bench/ratio.h"
#include "bench/report.h"

static json_t *stages_json(const struct trial *t)
{
	json_t *stages = json_array();

	for (const struct trial_stage *s = t->stage; s < t->stage + t->n_stages; s++)
		json_array_append_new(stages,
			json_pack("{s:s, s:f}", "name", s->name, "cycles_per_packet", s->cycles_per_packet));
	return stages;
}

static json_t *trial_json(const struct trial *t)
{
	json_t *json = json_pack("{s:s, s:i, s:i, s:i, s:f, s:f, s:I, s:I, s:I, s:I}", "peer", t->peer,
		"size", (int)t->size, "pairs", (int)t->pairs, "turn", (int)t->turn, "seconds", t->seconds,
		"mpps", t->mpps, "sent", (json_int_t)t->sent, "lost", (json_int_t)t->lost, "late",
		(json_int_t)t->late, "wrong", (json_int_t)t->wrong);
	json_t *worker = json_pack("{s:f, s:o, s:f, s:f}", "cycles_per_packet", t->cycles_per_packet,
		"stages", stages_json(t), "busy_pct", t->busy_pct, "worker_share_pct", t->worker_share_pct);
	json_t *generator = json_pack("{s:f, s:f, s:b}", "generator_share_pct", t->generator_share_pct,
		"generator_wait_pct", t->wait_pct, "generator_bound", report_generator_bound(t));
	json_t *weather = json_pack("{s:f, s:f, s:s, s:I, s:b}", "core_to_core_before_ns", t->before_ns,
		"core_to_core_after_ns", t->after_ns, "state", t->state, "stolen_ms",
		(json_int_t)t->stolen_ms, "disturbed", report_disturbed(t));

	json_object_update_new(json, worker);
	json_object_update_new(json, generator);
	json_object_update_new(json, weather);
	return json;
}

static json_t *summary_json(const struct report *r, unsigned size, unsigned pairs, const char *peer)
{
	static struct report_summary s;

	report_summarize(r, size, pairs, peer, &s);
	return json_pack("{s:i, s:i, s:s, s:o, s:o, s:o, s:I, s:I, s:I, s:i, s:i}", "size", (int)size,
		"pairs", (int)pairs, "peer", peer, "mpps", spread_json(&s.mpps), "cycles_per_packet",
		spread_json(&s.cycles), "busy_pct", spread_json(&s.busy), "lost", (json_int_t)s.lost, "late",
		(json_int_t)s.late, "wrong", (json_int_t)s.wrong, "generator_bound", (int)s.bound,
		"disturbed", (int)s.disturbed);
}

static json_t *ratio_json(const struct report *r, unsigned size, unsigned pairs, const char *against)
{
	static struct ratio ratio;

	ratio_of(r, size, pairs, r->peers[0].name, against, &ratio);
	return json_pack("{s:i, s:i, s:s, s:s, s:o, s:o, s:i}", "size", (int)size, "pairs", (int)pairs,
		"peer", r->peers[0].name, "against", against, "mpps", spread_json(&ratio.mpps),
		"cycles_per_packet", spread_json(&ratio.cycles), "unlike", (int)ratio.unlike);
}

static json_t *peer_json(const struct report_peer *p)
{
	return json_pack("{s:s, s:s, s:s, s:s?}", "name", p->name, "version", p->version, "command",
		p->command, "skipped", p->skipped[0] ? p->skipped : NULL);
}

/* What the peers did with one size and number of pairs, and how the first one compares. */
static void add_kind(const struct report *r, unsigned size, unsigned pairs, json_t *summary, json_t *ratios)
{
	for (unsigned i = 0; i < r->n_peers; i++) {
		const struct report_peer *p = &r->peers[i];

		if (p->skipped[0])
			continue;
		json_array_append_new(summary, summary_json(r, size, pairs, p->name));
		if (i > 0)
			json_array_append_new(ratios, ratio_json(r, size, pairs, p->name));
	}
}

json_t *report_json(const struct report *r)
{
	json_t *peers = json_array(), *trials = json_array(), *summary = json_array(), *ratios = json_array();
	const struct options *o = r->opt;

	for (unsigned i = 0; i < r->n_peers; i++)
		json_array_append_new(peers, peer_json(&r->peers[i]));
	for (unsigned i = 0; i < r->n_trials; i++)
		json_array_append_new(trials, trial_json(&r->trials[i]));
	for (unsigned s = 0; s < o->n_sizes; s++)
		for (unsigned p = 0; p < o->n_pairs; p++)
			add_kind(r, o->sizes[s], o->pairs[p], summary, ratios);
	return json_pack("{s:s, s:s, s:o, s:o, s:b, s:o, s:o, s:o, s:o}", "scenario", o->scenario, "version",
		SLUICE_VERSION, "host", host_facts(), "options", options_json(o), "interrupted",
		r->interrupted, "peers", peers, "trials", trials, "summary", summary, "ratios", ratios);
}
