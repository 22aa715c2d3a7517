/*
 * memory: what the switch occupies: with two ports attached and default tables, after frames have flowed.
 */
#include <errno.h>
#include <stdio.h>

#include "bench/measure.h"
#include "bench/peer.h"

/* A line of /proc/PID/status in kB, or 0. */
static double status_kb(pid_t pid, const char *format)
{
	char path[32], line[128];
	double kb = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	while (kb == 0 && fgets(line, sizeof(line), file))
		if (sscanf(line, format, &kb) != 1)
			kb = 0;
	fclose(file);
	return kb;
}

int memory_take(struct session *s)
{
	struct generator *g;
	struct trial t;
	struct generator_result result;
	int rc;

	s->kind.size = s->o->sizes[0];
	g = generator_create(s->fronts, s->kind.size, 1, s->o->window, s->stop);
	if (!g)
		return -ENOMEM;
	t = report_trial(&s->kind, s->peer->name, s->turn);
	t.paced = true;
	generator_run(g, s->o->seconds, &result);
	t.seconds = result.seconds;
	t.sent = result.sent;
	t.lost = result.lost;
	t.wrong = result.wrong;
	if (s->peer->pid > 0) {
		t.value[METRIC_RSS_ANON] = status_kb(s->peer->pid, "RssAnon: %lf") / 1024;
		t.value[METRIC_RSS_SHARED] =
			(status_kb(s->peer->pid, "RssFile: %lf") + status_kb(s->peer->pid, "RssShmem: %lf")) /
			1024;
	}
	rc = report_add(s->report, &t);
	generator_free(g);
	return rc;
}
