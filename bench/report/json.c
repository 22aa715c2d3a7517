#include <math.h>

#include "bench/host/histogram.h"
#include "bench/host/host.h"
#include "bench/report/goals.h"
#include "bench/report/report.h"
#include "bench/report/scenario.h"

static json_t *stages_json(const struct trial *t)
{
	json_t *stages = json_array();

	for (const struct trial_stage *s = t->stage; s < t->stage + t->n_stages; s++)
		json_array_append_new(stages,
			json_pack("{s:s, s:f}", "name", s->name, "cycles_per_packet", s->cycles_per_packet));
	return stages;
}

static json_t *kind_json(const struct kind *kind, const char *peer)
{
	return json_pack("{s:s, s:s, s:i, s:i, s:s, s:s}", "scenario", kind->scenario, "variant",
		kind->variant, "size", (int)kind->size, "count", (int)kind->count, "of",
		scenario_find(kind->scenario)->counts, "peer", peer);
}

static json_t *trial_json(const struct trial *t)
{
	json_t *json = kind_json(&t->kind, t->peer);
	json_t *frames = json_pack("{s:i, s:f, s:I, s:I, s:I, s:I, s:i}", "turn", (int)t->turn, "seconds",
		t->seconds, "sent", (json_int_t)t->sent, "lost", (json_int_t)t->lost, "late",
		(json_int_t)t->late, "wrong", (json_int_t)t->wrong, "stalls", (int)t->stalls);
	json_t *cores = json_pack("{s:o, s:f, s:f, s:f, s:b}", "stages", stages_json(t), "worker_share_pct",
		t->worker_share_pct, "generator_share_pct", t->generator_share_pct, "generator_wait_pct",
		t->wait_pct, "generator_bound", report_generator_bound(t));
	json_t *weather = json_pack("{s:f, s:f, s:s, s:I, s:b}", "core_to_core_before_ns", t->before_ns,
		"core_to_core_after_ns", t->after_ns, "state", t->state, "stolen_ms",
		(json_int_t)t->stolen_ms, "disturbed", report_disturbed(t));

	json_object_update_new(json, frames);
	json_object_update_new(json, cores);
	json_object_update_new(json, weather);
	for (unsigned m = 0; m < METRICS; m++)
		if (!isnan(t->value[m]))
			json_object_set_new(json, metric_info(m)->name, json_real(t->value[m]));
	if (t->latency) {
		json_object_set_new(json, "latency_us", histogram_json(t->latency, 1e6 / host_tsc_hz()));
		json_object_set_new(json, "untimed", json_integer((json_int_t)t->untimed));
	}
	return json;
}

static json_t *summary_json(const struct report *r, const struct kind *kind, const char *peer)
{
	static struct report_summary s;
	json_t *json = kind_json(kind, peer), *totals;

	report_summarize(r, (struct report_side){kind, peer}, &s);
	totals = json_pack("{s:I, s:I, s:I, s:i, s:i}", "lost", (json_int_t)s.lost, "late",
		(json_int_t)s.late, "wrong", (json_int_t)s.wrong, "generator_bound", (int)s.bound,
		"disturbed", (int)s.disturbed);
	json_object_update_new(json, totals);
	for (unsigned m = 0; m < METRICS; m++)
		if (s.value[m].n > 0)
			json_object_set_new(json, metric_info(m)->name, spread_json(&s.value[m]));
	return json;
}

static json_t *ratio_json(const struct report *r, const struct kind *kind, const char *against)
{
	static struct report_ratio ratio;
	const char *peer = r->peers[0].name;
	json_t *json = kind_json(kind, peer);

	json_object_set_new(json, "against", json_string(against));
	for (unsigned m = 0; m < METRICS; m++) {
		if (!metric_info(m)->ratio)
			continue;
		report_compare(
			r, (struct report_side){kind, peer}, (struct report_side){kind, against}, m, &ratio);
		if (ratio.like.n + ratio.unlike.n > 0)
			json_object_set_new(json, metric_info(m)->name,
				json_pack("{s:o, s:o}", "like", spread_json(&ratio.like), "unlike",
					spread_json(&ratio.unlike)));
	}
	return json;
}

static json_t *peer_json(const struct report_peer *p)
{
	return json_pack("{s:s, s:s, s:s, s:s?}", "name", p->name, "version", p->version, "command",
		p->command, "skipped", p->skipped[0] ? p->skipped : NULL);
}

/* What the peers did with one kind of trial, and how the first one compares. */
static void add_kind(const struct report *r, const struct kind *kind, json_t *summary, json_t *ratios)
{
	for (unsigned i = 0; i < r->n_peers; i++) {
		const struct report_peer *p = &r->peers[i];

		if (p->skipped[0])
			continue;
		json_array_append_new(summary, summary_json(r, kind, p->name));
		if (i > 0)
			json_array_append_new(ratios, ratio_json(r, kind, p->name));
	}
}

static json_t *ceiling_json(const struct report *r)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < r->n_ceilings; i++)
		json_array_append_new(
			list, json_pack("{s:i, s:f, s:f}", "size", (int)r->ceiling[i].size, "mpps",
				      r->ceiling[i].mpps, "core_to_core_ns", r->ceiling[i].round_trip_ns));
	return list;
}

json_t *report_json(const struct report *r)
{
	json_t *peers = json_array(), *trials = json_array(), *summary = json_array(), *ratios = json_array();
	const struct options *o = r->opt;

	for (unsigned i = 0; i < r->n_peers; i++)
		json_array_append_new(peers, peer_json(&r->peers[i]));
	for (unsigned i = 0; i < r->n_trials; i++) {
		json_array_append_new(trials, trial_json(&r->trials[i]));
		if (report_first_of_kind(r, i))
			add_kind(r, &r->trials[i].kind, summary, ratios);
	}
	return json_pack("{s:s, s:s, s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "scenario",
		o->scenario, "version", SLUICE_VERSION, "host", host_facts(), "options", options_json(o),
		"interrupted", r->interrupted, "peers", peers, "ceiling", ceiling_json(r), "trials", trials,
		"summary", summary, "ratios", ratios, "goals", goals_json(r), "not_measured",
		goals_missing_json(r));
}
