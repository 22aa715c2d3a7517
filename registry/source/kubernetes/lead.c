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

/* What is gathered. */
struct gathering {
	struct kubernetes_way *ways;
	struct ip_addr *vips;
	size_t n, max, nvip, max_vip, over; /* over: for which there is no room */
	bool failed;
};

/* `list` with room for one more than its n elements. NULL: no memory, and it is as it was. */
static void *grown(struct gathering *g, void *list, size_t n, size_t *max, size_t size)
{
	size_t more = *max ? 2 * *max : 64;

	if (n < *max)
		return list;
	list = realloc(list, more * size);
	g->failed = g->failed || !list;
	if (list)
		*max = more;
	return list;
}

static void add_way(struct gathering *g, const struct kubernetes_way *way)
{
	struct kubernetes_way *list;

	if (g->n == KUBE_WAYS) {
		g->over++;
		return;
	}
	list = grown(g, g->ways, g->n, &g->max, sizeof(*list));
	if (!list)
		return;
	g->ways = list;
	g->ways[g->n++] = *way;
}

static void add_vip(struct gathering *g, struct ip_addr vip)
{
	struct ip_addr *list;

	if (ip_is_none(vip))
		return;
	list = grown(g, g->vips, g->nvip, &g->max_vip, sizeof(*list));
	if (!list)
		return;
	g->vips = list;
	g->vips[g->nvip++] = vip;
}

static const struct kube_port *outer_of(const struct kube_spec *spec, const struct kube_port *port)
{
	for (unsigned i = 0; i < spec->nport; i++)
		if (spec->ports[i].outer && kube_is_same_port(&spec->ports[i].id, &port->id))
			return &spec->ports[i];
	return port;
}

static bool is_elsewhere(const struct kube_port *port)
{
	for (size_t i = 0; i < port->targets.n; i++)
		if (!port->targets.list[i].local)
			return true;
	return false;
}

/* All that lead to one port by one family. */
static void gather_port(
	struct gathering *g, const struct kube_spec *spec, const struct kube_port *port, struct ip_addr vip)
{
	const struct kube_outside *out = &spec->outside;
	const struct kube_port *outer = outer_of(spec, port),
			       *near = kube_is_local_only(spec, outer) ? port : outer;
	struct kubernetes_way way = {
		.to = vip,
		.to_port = outer->id.port,
		.near_port = near->made ? near->id.port : outer->id.port,
		.protocol = (uint8_t)port->id.protocol,
		.masquerade = !out->local_only && is_elsewhere(outer),
	};

	if (!outer->made || ip_is_none(vip))
		return;
	if (port->node_port) {
		way.port = port->node_port;
		add_way(g, &way);
	}
	way.port = port->id.port;
	for (unsigned i = 0; i < out->naddress; i++) {
		if (ip_is4(out->addresses[i].address) != ip_is4(vip))
			continue;
		way.address = out->addresses[i].address;
		way.limited = out->addresses[i].limited;
		way.from = way.limited ? out->from : NULL;
		way.nfrom = way.limited ? (uint16_t)out->nfrom : 0;
		add_way(g, &way);
	}
}

static struct ip_addr vip_of(const struct kube_as *as, bool ip6)
{
	if (!ip_is_none(as->vip) && ip_is4(as->vip) != ip6)
		return as->vip;
	return ip6 ? as->vip6 : (struct ip_addr){0};
}

static void gather(struct kubernetes *k, struct gathering *g)
{
	struct kube_service *service, *next;

	HASH_ITER(hh, k->services, service, next)
	{
		bool made = false;

		for (unsigned i = 0; i < service->spec.nport; i++) {
			const struct kube_port *port = &service->spec.ports[i];

			made = made || port->made;
			for (unsigned ip6 = 0; !port->outer && port->made && ip6 < 2; ip6++)
				gather_port(g, &service->spec, port, vip_of(&port->as, ip6));
		}
		for (unsigned ip6 = 0; made && ip6 < 2; ip6++)
			add_vip(g, ip6 ? service->spec.vip6 : service->spec.vip);
	}
}

/* By what is asked for, and then by where it leads: of two Services that claim one address, one always wins. */
static int compare(const void *a, const void *b)
{
	const struct kubernetes_way *x = a, *y = b;
	int order = ip_compare(x->address, y->address);

	if (!order)
		order = (int)ip_is4(x->to) - (int)ip_is4(y->to);
	if (!order)
		order = (int)x->protocol - (int)y->protocol;
	if (!order)
		order = (int)x->port - (int)y->port;
	if (!order)
		order = ip_compare(x->to, y->to);
	return order ? order : (int)x->to_port - (int)y->to_port;
}

static bool is_same_door(const struct kubernetes_way *a, const struct kubernetes_way *b)
{
	return ip_equal(a->address, b->address) && ip_is4(a->to) == ip_is4(b->to) &&
	       a->protocol == b->protocol && a->port == b->port;
}

static int compare_vips(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct ip_addr));
}

static void sort(struct gathering *g)
{
	size_t kept = 0;

	if (g->n)
		qsort(g->ways, g->n, sizeof(*g->ways), compare);
	for (size_t i = 0; i < g->n; i++)
		if (!kept || !is_same_door(&g->ways[kept - 1], &g->ways[i]))
			g->ways[kept++] = g->ways[i];
	g->n = kept;
	if (g->nvip)
		qsort(g->vips, g->nvip, sizeof(*g->vips), compare_vips);
}

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
static void told(struct kubernetes *k, const struct gathering *g)
{
	char why[KUBERNETES_WHY];

	if (g->over) {
		snprintf(why, sizeof(why), "there is room for %d, and %zu are left out", KUBE_WAYS, g->over);
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
	struct gathering g = {0};
	uint64_t began = wheel_now_us(), took;
	char why[KUBERNETES_WHY] = "out of memory";

	kube_health_update(k);
	gather(k, &g);
	sort(&g);
	if (!g.failed && lead->fn(lead->arg, &(struct kubernetes_ways){g.ways, g.n, g.vips, g.nvip}, why)) {
		lead->due = false;
		lead->n = g.n;
		told(k, &g);
	} else {
		fail(k, why);
		wait_for(lead, RETRY_MS);
	}
	free(g.ways);
	free(g.vips);
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
