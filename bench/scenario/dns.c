/*
 * dns: names of `count` services with three instances each, asked of Sluice and of name servers that have the same names, by
 * dnsperf: what is answered to 32 clients, and to as many with 500 questions under way; what names cost that somebody makes
 * up; and what is answered when twice as much is asked as the most of these. The server has the worker's core.
 */
#include <err.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/client/offer.h"
#include "bench/host/host.h"
#include "bench/peer/peer.h"
#include "bench/run/measure.h"

enum { CLIENTS = 32, UNDER_WAY = 500, MADE_UP = 200000 };

struct scene {
	struct session *s;
	double peak;
};

/* Questions as dnsperf reads them: of the services in turn, or each of another name. */
static int write_questions(const struct scene *d, const char *path, bool made_up)
{
	static const char *const forms[] = {
		"x%u.service.consul A\n", "x%u.node.consul A\n", "x%u.s1.service.consul A\n"};
	unsigned count = made_up ? MADE_UP : d->s->kind.count;
	FILE *file = fopen(path, "w");

	if (!file)
		return -errno;
	for (unsigned i = 0; i < count; i++)
		if (made_up)
			fprintf(file, forms[i % 3], i);
		else
			fprintf(file, "s%u.service.consul A\n", i);
	return fclose(file) == 0 ? 0 : -EIO;
}

static double find(const char *text, const char *what)
{
	const char *at = strstr(text, what);

	return at ? strtod(at + strlen(what), NULL) : NAN;
}

/* What dnsperf says, as text. 0 or -errno. */
static int run_dnsperf(const struct scene *d, const char *path, unsigned under_way, char *text, size_t size)
{
	char command[512];
	char *line = NULL;
	size_t used = 0, room = 0;
	FILE *program;

	snprintf(command, sizeof(command),
		"exec dnsperf -s 127.0.0.1 -p %u -d %s -l %u -c %u -q %u -T 1 -t 1 2>&1",
		d->s->peer->registry_dns, path, (unsigned)(d->s->o->seconds < 1 ? 1 : d->s->o->seconds + 0.5),
		CLIENTS, under_way);
	program = popen(command, "re");
	if (!program)
		return -errno;
	text[0] = '\0';
	while (getline(&line, &room, program) > 0) /* a line begins with a bracket for each that was lost */
		if (line[0] != '[' && used < size)
			used += (size_t)snprintf(text + used, size - used, "%s", line);
	free(line);
	pclose(program); /* it fails when a question had no answer: that is a figure */
	return strstr(text, "Queries per second:") ? 0 : -EIO;
}

static int take_answers(struct scene *d, const char *variant, unsigned under_way, bool made_up)
{
	struct session *s = d->s;
	char path[300], text[8192];
	struct trial t = measure_own(s, variant);
	double used;
	int rc;

	snprintf(path, sizeof(path), "%s/questions", s->peer->dir);
	rc = write_questions(d, path, made_up);
	used = host_process_s(s->peer->pid);
	if (rc == 0)
		rc = run_dnsperf(d, path, under_way, text, sizeof(text));
	used = host_process_s(s->peer->pid) - used;
	unlink(path);
	if (rc < 0 || atomic_load(s->stop))
		return rc;
	t.seconds = find(text, "Run time (s):");
	t.sent = (uint64_t)find(text, "Queries sent:");
	t.lost = (uint64_t)find(text, "Queries lost:");
	t.value[METRIC_ANSWERS] = find(text, "Queries per second:");
	t.value[METRIC_ANSWER] = 1e6 * used / find(text, "Queries completed:");
	if (!made_up && t.value[METRIC_ANSWERS] > d->peak)
		d->peak = t.value[METRIC_ANSWERS];
	return report_add(s->report, &t);
}

static int take_overload(struct scene *d)
{
	struct session *s = d->s;
	struct offer_result result;
	struct trial t = measure_own(s, "twice");
	double used;
	int rc;

	used = host_process_s(s->peer->pid);
	rc = offer_run(s->peer->registry_dns, s->kind.count, 2 * d->peak, s->o->seconds, s->stop, &result);
	used = host_process_s(s->peer->pid) - used;
	if (rc < 0 || atomic_load(s->stop))
		return rc;
	t.seconds = result.seconds;
	t.sent = result.questions;
	t.lost = result.questions > result.answers ? result.questions - result.answers : 0;
	t.value[METRIC_ANSWERS] = (double)result.answers / result.seconds;
	t.value[METRIC_ANSWER] = 1e6 * used / (double)(result.answers ? result.answers : 1);
	t.value[METRIC_OFFERED] = (double)result.questions / result.seconds / d->peak;
	t.value[METRIC_OF_PEAK] = t.value[METRIC_ANSWERS] / d->peak;
	return report_add(s->report, &t);
}

int dns_take(struct session *s)
{
	struct scene d = {.s = s};
	int rc = 0;

	if (!s->peer->registry_dns)
		return -ENOTSUP;
	for (unsigned k = 0; k < s->o->trials && rc == 0 && !atomic_load(s->stop); k++) {
		d.peak = 0;
		rc = take_answers(&d, "32 clients", CLIENTS, false);
		if (rc == 0)
			rc = take_answers(&d, "500 under way", UNDER_WAY, false);
		if (rc == 0)
			rc = take_answers(&d, "made up", UNDER_WAY, true);
		if (rc == 0)
			rc = take_overload(&d);
	}
	if (rc < 0)
		warnx("%s: %s: %s", s->peer->name, s->kind.variant, strerror(-rc));
	return rc;
}
