/*
 * sluice-bench: measures vhost-user switches side by side (docs/bench.md).
 */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "bench/host.h"
#include "bench/options.h"
#include "bench/report.h"
#include "bench/scenario.h"

const struct scenario scenarios[] = {
	{"l2", "two ports, MAC look-up, one pair of hosts or many in random order", l2_run},
	{NULL, NULL, NULL},
};

static atomic_bool stop;

static void on_signal(int number)
{
	atomic_store(&stop, true);
}

static const struct scenario *find_scenario(const char *name)
{
	for (const struct scenario *s = scenarios; s->name; s++)
		if (strcmp(s->name, name) == 0)
			return s;
	errx(2, "there is no scenario \"%s\"; sluice-bench --help lists them", name);
}

static int print_json(const struct report *report, const struct options *o)
{
	json_t *json = report_json(report);
	int rc = 0;

	if (o->json)
		json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	if (o->json)
		putchar('\n');
	if (o->output && json_dump_file(json, o->output, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) < 0) {
		warn("--output: %s", o->output);
		rc = -1;
	}
	json_decref(json);
	return rc;
}

static bool delivered(const struct report *report)
{
	for (const struct trial *t = report->trials; t < report->trials + report->n_trials; t++)
		if (t->wrong > 0)
			return false;
	return report->n_trials > 0;
}

/* Exit 0: measured, nothing wrong arrived; 1: something failed, or nothing could be measured; 2: usage. */
int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_signal};
	const struct scenario *scenario;
	struct report report;
	struct options o;
	int rc;

	options_parse(&o, argc, argv);
	scenario = find_scenario(o.scenario);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	/* What a peer's program leaves running in the background becomes our child when the program ends. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (host_pin(o.generator_core) < 0)
		err(1, "--generator-core: %d", o.generator_core);
	if (o.realtime && host_realtime() < 0)
		err(1, "--realtime");
	if (o.huge_mb)
		o.huge_mb = host_reserve_huge_pages(o.huge_mb);
	report_init(&report, &o);
	rc = scenario->run(&o, &report, &stop);
	host_restore_huge_pages();
	report.interrupted = atomic_load(&stop);
	if (!o.json)
		report_table(&report);
	if (print_json(&report, &o) < 0 || !delivered(&report) || report.interrupted)
		rc = -1;
	report_free(&report);
	return rc == 0 ? 0 : 1;
}
