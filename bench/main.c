/*
 * sluice-bench: measures vhost-user switches side by side (docs/bench.md).
 */
#include <err.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/host/host.h"
#include "bench/host/probe.h"
#include "bench/report/options.h"
#include "bench/report/report.h"
#include "bench/report/scenario.h"
#include "bench/run/turns.h"

static atomic_bool stop;

static void on_signal(int number)
{
	atomic_store(&stop, true);
}

static int run(const struct options *o, struct report *report)
{
	const struct scenario *scenario = scenario_find(o->scenario);

	if (scenario)
		return turns_run(scenario, o, 1, report, &stop);
	return turns_run_goals(scenarios, o, report, &stop);
}

/* A front takes seven descriptors. */
static void allow_many_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* Pictures, by a program that reads JSON and says itself what went wrong. */
static int plot(json_t *json, const char *dir)
{
	FILE *program;

	setenv("BENCH_PLOT",
		access(BENCH_PLOT_INSTALLED, X_OK) == 0 ? BENCH_PLOT_INSTALLED : BENCH_PLOT_SOURCE, 1);
	setenv("BENCH_PLOT_DIR", dir, 1);
	signal(SIGPIPE, SIG_IGN); /* one that has not read all has said why */
	program = popen("exec \"$BENCH_PLOT\" \"$BENCH_PLOT_DIR\"", "we");
	if (!program) {
		warn("--plot");
		return -1;
	}
	json_dumpf(json, program, 0);
	return pclose(program) == 0 ? 0 : -1;
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
	if (o->plot && plot(json, o->plot) < 0)
		rc = -1;
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

/* A mixture has frames of TRAFFIC_MIN. */
static void check_sizes(const struct options *o)
{
	const struct scenario *scenario = scenario_find(o->scenario);

	for (unsigned i = 0; scenario && i < o->n_sizes; i++)
		if (o->sizes[i] < scenario->least)
			errx(2, "--size: %s has frames of %u bytes and more, and no mixture", o->scenario,
				scenario->least);
}

/* Has the worker where a line takes longest to come from the generator's core. 0 or -1: there is no such core. */
static int place_far(struct options *o)
{
	double furthest = 0;
	cpu_set_t allowed;

	if (sched_getaffinity(getpid(), sizeof(allowed), &allowed) < 0)
		return -1;
	for (int core = 0; core < CPU_SETSIZE; core++) {
		double ns;

		if (core == o->generator_core || !CPU_ISSET(core, &allowed))
			continue;
		ns = probe_round_trip_ns(o->generator_core, core);
		if (ns > furthest) {
			furthest = ns;
			o->worker_core = core;
		}
	}
	return strcmp(probe_state(furthest, furthest), "far") == 0 ? 0 : -1;
}

/* Exit 0: measured, nothing wrong arrived; 1: something failed, or nothing could be measured; 2: usage. */
int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_signal};
	struct report report;
	struct options o;
	int rc;

	options_parse(&o, argc, argv);
	if (!scenario_find(o.scenario) && strcmp(o.scenario, "goals") != 0)
		errx(2, "there is no scenario \"%s\"; sluice-bench --help lists them", o.scenario);
	check_sizes(&o);
	allow_many_descriptors();
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	/* What a peer's program leaves running in the background becomes our child when the program ends. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (o.far && place_far(&o) < 0)
		errx(1, "--far: no core is far from core %d", o.generator_core);
	if (host_pin(o.generator_core) < 0)
		err(1, "--generator-core: %d", o.generator_core);
	if (o.realtime && host_realtime(true) < 0)
		err(1, "--realtime");
	if (o.huge_mb)
		o.huge_mb = host_reserve_huge_pages(o.huge_mb);
	report_init(&report, &o);
	rc = run(&o, &report);
	host_restore_huge_pages();
	report.interrupted = atomic_load(&stop);
	if (!o.json)
		report_table(&report);
	if (print_json(&report, &o) < 0 || !delivered(&report) || report.interrupted)
		rc = -1;
	report_free(&report);
	return rc == 0 ? 0 : 1;
}
