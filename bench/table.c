#include <stdio.h>

#include "bench/ratio.h"
#include "bench/report.h"

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

static void print_summary(const struct report *r, unsigned size, unsigned pairs, const char *peer)
{
	static struct report_summary s;

	report_summarize(r, size, pairs, peer, &s);
	if (!s.first)
		return;
	printf("%5u %8u  %-8s %7.2f  %5.2f..%-5.2f", size, pairs, peer, spread_median(&s.mpps),
		spread_min(&s.mpps), spread_max(&s.mpps));
	if (s.cycles.n > 0)
		printf(" %7.1f  %6.1f..%-6.1f %5.0f", spread_median(&s.cycles), spread_min(&s.cycles),
			spread_max(&s.cycles), spread_median(&s.busy));
	else
		printf(" %7s  %14s %5s", "-", "", "-");
	printf(" %8llu %6llu %6llu ", (unsigned long long)s.lost, (unsigned long long)s.late,
		(unsigned long long)s.wrong);
	print_weather(&s);
	print_stages(&s);
}

static void print_ratios(const struct report *r, unsigned size, unsigned pairs)
{
	static struct ratio ratio;

	for (unsigned i = 1; i < r->n_peers; i++) {
		ratio_of(r, size, pairs, r->peers[0].name, r->peers[i].name, &ratio);
		if (ratio.mpps.n + ratio.unlike == 0)
			continue;
		printf("%5u %8u  %s / %-8s", size, pairs, r->peers[0].name, r->peers[i].name);
		if (ratio.mpps.n > 0)
			printf(" %6.2fx Mpps (%.2f..%.2f)", spread_median(&ratio.mpps),
				spread_min(&ratio.mpps), spread_max(&ratio.mpps));
		if (ratio.cycles.n > 0)
			printf("  %5.2f of its cycles (%.2f..%.2f)", spread_median(&ratio.cycles),
				spread_min(&ratio.cycles), spread_max(&ratio.cycles));
		printf("  %u compared, %u unlike\n", ratio.mpps.n, ratio.unlike);
	}
}

static void print_trials(const struct report *r)
{
	const struct options *o = r->opt;

	printf("%s: both directions summed; worker on core %d, generator on core %d, rings of %u, ",
		o->scenario, o->worker_core, o->generator_core, o->ring);
	if (o->window)
		printf("%u frames under way each way\n", o->window);
	else
		printf("open loop\n");
	printf("\nbytes    pairs  peer        Mpps     (spread)   cycles/packet (spread)  busy%%     lost   "
	       "late  "
	       "wrong  cores\n");
	for (unsigned s = 0; s < o->n_sizes; s++)
		for (unsigned p = 0; p < o->n_pairs; p++)
			for (unsigned i = 0; i < r->n_peers; i++)
				print_summary(r, o->sizes[s], o->pairs[p], r->peers[i].name);
	putchar('\n');
	for (unsigned s = 0; s < o->n_sizes; s++)
		for (unsigned p = 0; p < o->n_pairs; p++)
			print_ratios(r, o->sizes[s], o->pairs[p]);
}

void report_table(const struct report *r)
{
	if (r->n_trials > 0)
		print_trials(r);
	for (unsigned i = 0; i < r->n_peers; i++)
		if (r->peers[i].skipped[0])
			printf("%s: skipped: %s\n", r->peers[i].name, r->peers[i].skipped);
	if (r->interrupted)
		printf("interrupted\n");
}
