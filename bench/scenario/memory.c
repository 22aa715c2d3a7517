/*
 * memory: what the switch occupies: with two ports attached and default tables, after frames have flowed.
 */
#include <errno.h>

#include "bench/host/host.h"
#include "bench/peer/peer.h"
#include "bench/run/measure.h"
#include "bench/traffic/pairs.h"

int memory_take(struct session *s)
{
	struct trial t = measure_own(s, "");
	struct generator *g;
	struct generator_result result;
	int rc;

	g = pairs_create(s->fronts, s->kind.size, false, 1, s->o->window, s->stop);
	if (!g)
		return -ENOMEM;
	generator_run(g, s->o->seconds, &result);
	t.seconds = result.seconds;
	t.sent = result.sent;
	t.lost = result.lost;
	t.wrong = result.wrong;
	if (s->peer->pid > 0) {
		t.value[METRIC_RSS_ANON] = host_status_kb(s->peer->pid, "RssAnon: %lf") / 1024;
		t.value[METRIC_RSS_SHARED] = (host_status_kb(s->peer->pid, "RssFile: %lf") +
						     host_status_kb(s->peer->pid, "RssShmem: %lf")) /
					     1024;
	}
	rc = report_add(s->report, &t);
	generator_free(g);
	return rc;
}
