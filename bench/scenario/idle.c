/*
 * idle: what the switch takes of the host while nothing is sent: processor time of all its threads, in percent
 * of one core.
 */
#include <errno.h>
#include <stdint.h>
#include <time.h>

#include "bench/host/host.h"
#include "bench/peer/peer.h"
#include "bench/run/measure.h"

static int process_ns(pid_t pid, uint64_t *ns)
{
	struct timespec used;
	clockid_t clock;
	int rc = clock_getcpuclockid(pid, &clock);

	if (rc != 0)
		return -rc;
	if (clock_gettime(clock, &used) < 0)
		return -errno;
	*ns = (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
	return 0;
}

static int time_rest(struct session *s)
{
	struct trial t = report_trial(&s->kind, s->peer->name, s->turn);
	uint64_t stolen = host_stolen_ms(), before = 0, after = 0;
	int rc = process_ns(s->peer->pid, &before);

	if (rc < 0)
		return rc;
	t.paced = true;
	t.seconds = measure_wait(s, s->o->seconds);
	rc = process_ns(s->peer->pid, &after);
	if (rc < 0 || atomic_load(s->stop))
		return rc;
	t.stolen_ms = host_stolen_ms() - stolen;
	t.value[METRIC_CPU] = (double)(after - before) / 1e7 / t.seconds;
	return report_add(s->report, &t);
}

int idle_take(struct session *s)
{
	int rc = 0;

	if (s->peer->pid <= 0)
		return -ENOTSUP;
	measure_wait(s, s->o->warm_up);
	for (unsigned i = 0; i < s->o->trials && rc == 0 && !atomic_load(s->stop); i++)
		rc = time_rest(s);
	return rc;
}
