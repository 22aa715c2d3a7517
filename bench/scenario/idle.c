/*
 * idle: what the switch takes of the host while nothing is sent: processor time of all its threads, in percent
 * of one core.
 */
#include <errno.h>
#include <stdint.h>

#include "bench/host/host.h"
#include "bench/peer/peer.h"
#include "bench/run/measure.h"

static int time_rest(struct session *s)
{
	struct trial t = measure_own(s, "");
	uint64_t stolen = host_stolen_ms();
	double before = host_process_s(s->peer->pid), after;

	t.seconds = measure_wait(s, s->o->seconds);
	after = host_process_s(s->peer->pid);
	if (after == 0 || atomic_load(s->stop))
		return after == 0 ? -ESRCH : 0;
	t.stolen_ms = host_stolen_ms() - stolen;
	t.value[METRIC_CPU] = 100 * (after - before) / t.seconds;
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
