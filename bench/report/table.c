#include <stdio.h>
#include <string.h>

#include "bench/host/probe.h"
#include "bench/report/goals.h"
#include "bench/report/report.h"
#include "bench/report/scenario.h"
#include "bench/traffic/traffic.h"

enum { COLUMN = 8, SPREAD_COLUMN = 17 };

static void print_weather(const struct report_summary *s)
{
	if (s->near)
		printf(" %u near", s->near);
	if (s->far)
		printf(" %u far", s->far);
	if (s->mixed)
		printf(" %u mixed", s->mixed);
	if (s->bound)
		printf(", %u generator-bound", s->bound);
	if (s->disturbed)
		printf(", %u disturbed", s->disturbed);
	if (s->stalled)
		printf(", %u stalled", s->stalled);
	if (s->stolen)
		printf(", time stolen in %u", s->stolen);
	putchar('\n');
}

static void print_stages(struct report_summary *s)
{
	if (s->first->n_stages == 0)
		return;
	printf("%24s", "cycles by stage:");
	for (unsigned i = 0; i < s->first->n_stages; i++)
		printf(" %s %.1f", s->first->stage[i].name, spread_median(&s->stage[i]));
	putchar('\n');
}

/* Which metrics any trial of the scenario has. */
static void find_columns(const struct report *r, const char *scenario, bool shown[METRICS])
{
	memset(shown, 0, METRICS * sizeof(*shown));
	for (const struct trial *t = r->trials; t < r->trials + r->n_trials; t++)
		for (unsigned m = 0; m < METRICS; m++)
			if (strcmp(t->kind.scenario, scenario) == 0 && t->value[m] == t->value[m])
				shown[m] = true;
}

static void print_kind(const struct kind *kind)
{
	char size[16];

	snprintf(size, sizeof(size), "%u", kind->size);
	printf("%6s %8u  %-11s", kind->size == TRAFFIC_IMIX ? "imix" : size, kind->count, kind->variant);
}

static void print_header(const char *scenario, const bool shown[METRICS])
{
	const struct scenario *s = scenario_find(scenario);

	printf("\n%s: %s\n%6s %8s  %-11s %-8s", scenario, s->help, "bytes", s->counts, "", "peer");
	for (unsigned m = 0; m < METRICS; m++)
		if (shown[m])
			printf(" %*s%*s", COLUMN, metric_info(m)->heading,
				metric_info(m)->spread ? SPREAD_COLUMN : 0, "");
	printf("     lost   late  wrong  cores\n");
}

static void print_value(enum metric metric, struct spread *s)
{
	const struct metric_info *info = metric_info(metric);
	char range[40];

	if (s->n == 0) {
		printf(" %*s%*s", COLUMN, "-", info->spread ? SPREAD_COLUMN : 0, "");
		return;
	}
	printf(" %*.*f", COLUMN, info->digits, spread_median(s));
	if (!info->spread)
		return;
	snprintf(
		range, sizeof(range), "%.*f..%.*f", info->digits, spread_min(s), info->digits, spread_max(s));
	printf("  %-*s", SPREAD_COLUMN - 2, range);
}

static void print_summary(
	const struct report *r, const struct kind *kind, const char *peer, const bool shown[METRICS])
{
	static struct report_summary s;

	report_summarize(r, (struct report_side){kind, peer}, &s);
	if (!s.first)
		return;
	print_kind(kind);
	printf(" %-8s", peer);
	for (unsigned m = 0; m < METRICS; m++)
		if (shown[m])
			print_value(m, &s.value[m]);
	printf(" %8llu %6llu %6llu ", (unsigned long long)s.lost, (unsigned long long)s.late,
		(unsigned long long)s.wrong);
	print_weather(&s);
	print_stages(&s);
}

static void print_ratio(const struct report *r, const struct kind *kind, const char *a, const char *b)
{
	static struct report_ratio ratio;

	for (unsigned m = 0; m < METRICS; m++) {
		if (!metric_info(m)->ratio)
			continue;
		report_compare(r, (struct report_side){kind, a}, (struct report_side){kind, b}, m, &ratio);
		if (ratio.like.n + ratio.unlike.n == 0)
			continue;
		printf("%-8s", kind->scenario);
		print_kind(kind);
		printf(" %s / %s: %s", a, b, metric_info(m)->heading);
		if (ratio.like.n > 0)
			printf(" %.2f (%.2f..%.2f) in %u like trials", spread_median(&ratio.like),
				spread_min(&ratio.like), spread_max(&ratio.like), ratio.like.n);
		if (ratio.like.n > 0 && ratio.unlike.n > 0)
			putchar(',');
		if (ratio.unlike.n > 0)
			printf(" %.2f in %u unlike", spread_median(&ratio.unlike), ratio.unlike.n);
		putchar('\n');
	}
}

static void print_ceiling(const struct report *r)
{
	for (unsigned i = 0; i < r->n_ceilings; i++) {
		const struct report_ceiling *c = &r->ceiling[i];

		printf("%s", i ? ", " : "The generator's ceiling, against a null switch: ");
		if (c->size == TRAFFIC_IMIX)
			printf("imix");
		else
			printf("%u bytes", c->size);
		printf(" %.1f Mpps (%s)", c->mpps, probe_state(c->round_trip_ns, c->round_trip_ns));
	}
	if (r->n_ceilings > 0)
		putchar('\n');
}

static void print_kinds(const struct report *r)
{
	const char *scenario = "";
	bool shown[METRICS] = {0};

	for (unsigned i = 0; i < r->n_trials; i++) {
		const struct kind *kind = &r->trials[i].kind;

		if (!report_first_of_kind(r, i))
			continue;
		if (strcmp(kind->scenario, scenario) != 0) {
			scenario = kind->scenario;
			find_columns(r, scenario, shown);
			print_header(scenario, shown);
		}
		for (unsigned p = 0; p < r->n_peers; p++)
			print_summary(r, kind, r->peers[p].name, shown);
	}
	putchar('\n');
	for (unsigned i = 0; i < r->n_trials; i++)
		for (unsigned p = 1; p < r->n_peers && report_first_of_kind(r, i); p++)
			print_ratio(r, &r->trials[i].kind, r->peers[0].name, r->peers[p].name);
}

/* How far apart the cores were, in trials of either state. */
static void print_cores(const struct report *r)
{
	static struct spread state[2];
	static const char *const names[2] = {"near", "far"};

	memset(state, 0, sizeof(state));
	for (const struct trial *t = r->trials; t < r->trials + r->n_trials; t++)
		for (unsigned i = 0; i < 2; i++)
			if (strcmp(t->state, names[i]) == 0)
				spread_add(&state[i], t->before_ns);
	for (unsigned i = 0; i < 2; i++)
		if (state[i].n > 0)
			printf("Cores %s in %u trials: a line there and back in %.0f ns (%.0f..%.0f)\n",
				names[i], state[i].n, spread_median(&state[i]), spread_min(&state[i]),
				spread_max(&state[i]));
}

void report_table(const struct report *r)
{
	const struct options *o = r->opt;

	if (r->n_trials > 0) {
		printf("Both directions summed; worker on core %d, generator on core %d, rings of %u, ",
			o->worker_core, o->generator_core, o->ring);
		if (o->window)
			printf("%u frames under way each way\n", o->window);
		else
			printf("open loop\n");
		print_ceiling(r);
		print_cores(r);
		print_kinds(r);
	}
	goals_print(r);
	for (unsigned i = 0; i < r->n_peers; i++)
		if (r->peers[i].skipped[0])
			printf("%s: skipped: %s\n", r->peers[i].name, r->peers[i].skipped);
	if (r->interrupted)
		printf("interrupted\n");
}
