/*
 * lead.c: what leads to Services from outside. The source does not lead packets itself: it hands on what is to lead where,
 * all of it whenever some has changed, since what leads in is exchanged as a whole.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "registry/base/wheel.h"
#include "registry/source/kubernetes/inside.h"

enum {
	RETRY_MS = 5000,
	PAUSE = 10, /* as many times as long as it takes to hand on everything */
};

struct kube_lead {
	bool (*fn)(void *arg, const struct kubernetes_ways *ways, char why[KUBERNETES_WHY]);
	void *arg;
	struct event *timer;
	bool due;
	uint64_t not_before_us;
	size_t n;
	char why[KUBERNETES_WHY]; /* "": what there is leads in */
};

static void fail(struct kubernetes *k, const char *why)
{
	char line[KUBERNETES_WHY + 64];

	if (!k->lead->why[0]) {
		snprintf(line, sizeof(line), "kubernetes: not all leads in from outside: %s", why);
		registry_log(k->reg, LOG_ERR, "kubernetes", line);
	}
	snprintf(k->lead->why, sizeof(k->lead->why), "%s", why);
}

/* All that there is room for leads in. */
static void told(struct kubernetes *k, const struct kube_ways *ways)
{
	char why[KUBERNETES_WHY];

	if (ways->over) {
		snprintf(why, sizeof(why),
			"there is room for %d, and %zu are left out, %zu of them of Service %s", KUBE_WAYS,
			ways->over, ways->most_over, ways->most);
		fail(k, why);
	} else {
		k->lead->why[0] = '\0';
	}
}

static void wait_for(struct kube_lead *lead, unsigned ms)
{
	struct timeval when = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	if (!evtimer_pending(lead->timer, NULL))
		evtimer_add(lead->timer, &when);
}

static void hand_on(struct kubernetes *k)
{
	struct kube_lead *lead = k->lead;
	struct kube_ways ways;
	uint64_t began = wheel_now_us(), took;
	char why[KUBERNETES_WHY] = "out of memory";

	kube_health_update(k);
	if (kube_gather(k, &ways) &&
		lead->fn(
			lead->arg, &(struct kubernetes_ways){ways.list, ways.n, ways.vips, ways.nvip}, why)) {
		lead->due = false;
		lead->n = ways.n;
		told(k, &ways);
	} else {
		fail(k, why);
		wait_for(lead, RETRY_MS);
	}
	kube_ways_free(&ways);
	took = wheel_now_us() - began;
	lead->not_before_us = began + took + PAUSE * took;
}

/* Not while more is to come, and never most of the time: all of it is written each time. */
void kube_lead_due(struct kubernetes *k)
{
	struct kube_lead *lead = k->lead;
	uint64_t now = wheel_now_us();

	if (!lead)
		return;
	lead->due = true;
	if (!TAILQ_EMPTY(&k->changed) || evtimer_pending(lead->timer, NULL))
		return;
	if (now < lead->not_before_us)
		wait_for(lead, (unsigned)((lead->not_before_us - now) / 1000 + 1));
	else
		hand_on(k);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct kubernetes *k = arg;

	if (k->lead->due)
		hand_on(k);
}

int kube_lead_open(struct kubernetes *k, const struct kubernetes_config *config)
{
	if (!config->lead)
		return 0;
	k->lead = calloc(1, sizeof(*k->lead));
	if (!k->lead)
		return -ENOMEM;
	k->lead->fn = config->lead;
	k->lead->arg = config->lead_arg;
	k->lead->timer = evtimer_new(k->base, on_timer, k);
	return k->lead->timer ? 0 : -ENOMEM;
}

void kube_lead_close(struct kubernetes *k)
{
	if (k->lead && k->lead->timer)
		event_free(k->lead->timer);
	free(k->lead);
	k->lead = NULL;
}

const char *kube_lead_why(const struct kubernetes *k, size_t *n, bool *due)
{
	*due = k->lead && k->lead->due;
	*n = k->lead ? k->lead->n : 0;
	return k->lead && k->lead->why[0] ? k->lead->why : NULL;
}
