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

enum { NAP_MS = 10 };

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

/* Returns the seconds that passed, fewer than asked for when the run is stopped. */
static double wait_for(const struct session *s, double seconds)
{
	const struct timespec nap = {.tv_nsec = NAP_MS * 1000000L};
	uint64_t start = host_now_ns(), now = start;

	while ((double)(now - start) < seconds * 1e9 && !atomic_load(s->stop)) {
		nanosleep(&nap, NULL);
		now = host_now_ns();
	}
	return (double)(now - start) / 1e9;
}

static int time_rest(struct session *s)
{
	struct trial t = report_trial(&s->kind, s->peer->name, s->turn);
	uint64_t stolen = host_stolen_ms(), before = 0, after = 0;
	int rc = process_ns(s->peer->pid, &before);

	if (rc < 0)
		return rc;
	t.paced = true;
	t.seconds = wait_for(s, s->o->seconds);
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
	wait_for(s, s->o->warm_up);
	for (unsigned i = 0; i < s->o->trials && rc == 0 && !atomic_load(s->stop); i++)
		rc = time_rest(s);
	return rc;
}
