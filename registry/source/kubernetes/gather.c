/*
 * gather.c: what leads to Services from outside, of all of them, and the addresses that they have. There is room for so
 * many ways. If all do not fit, each Service has the same number of them, or all if it has fewer: one that asks for a
 * thousand keeps nobody else out. What room is left then goes to those that were heard of first.
 */
#include <stdlib.h>
#include <string.h>

#include "registry/source/kubernetes/inside.h"

/* What is being gathered. Of the Service that is looked at `n` ways were there, and `room` more are taken. */
struct gathering {
	struct kube_ways *ways;
	size_t max, max_vip, room, n;
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

	g->n++;
	if (!g->room)
		return;
	list = grown(g, g->ways->list, g->ways->n, &g->max, sizeof(*list));
	if (!list)
		return;
	g->room--;
	g->ways->list = list;
	list[g->ways->n++] = *way;
}

static void add_vip(struct gathering *g, struct ip_addr vip)
{
	struct ip_addr *list;

	if (ip_is_none(vip))
		return;
	list = grown(g, g->ways->vips, g->ways->nvip, &g->max_vip, sizeof(*list));
	if (!list)
		return;
	g->ways->vips = list;
	list[g->ways->nvip++] = vip;
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

/* As many ways to the Service as `room` has. Returns how many there are. */
static size_t gather_service(struct gathering *g, const struct kube_spec *spec, size_t room)
{
	g->room = room;
	g->n = 0;
	for (unsigned i = 0; i < spec->nport; i++)
		for (unsigned ip6 = 0; !spec->ports[i].outer && spec->ports[i].made && ip6 < 2; ip6++)
			gather_port(g, spec, &spec->ports[i], vip_of(&spec->ports[i].as, ip6));
	return g->n;
}

/* What each Service asks for, in the order of the table. NULL: no memory. */
static size_t *count_all(const struct kubernetes *k)
{
	size_t *counts = calloc(HASH_COUNT(k->services) + 1, sizeof(*counts)), at = 0;
	struct gathering g = {0};
	struct kube_service *service, *next;

	HASH_ITER(hh, k->services, service, next)
	if (counts)
		counts[at++] = gather_service(&g, &service->spec, 0);
	return counts;
}

/* What all get if none gets more than `share`. */
static size_t sum_of(const size_t *counts, size_t n, size_t share)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += counts[i] < share ? counts[i] : share;
	return sum;
}

/* The largest share for which there is room. */
static size_t share_of(const size_t *counts, size_t n)
{
	size_t low = 0, high = KUBE_WAYS;

	while (low < high) {
		size_t middle = (low + high + 1) / 2;

		if (sum_of(counts, n, middle) <= KUBE_WAYS)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

static void gather_ways(const struct kubernetes *k, struct gathering *g, const size_t *counts)
{
	size_t n = HASH_COUNT(k->services), share = share_of(counts, n), at = 0,
	       more = KUBE_WAYS - sum_of(counts, n, share); /* fewer than those that ask for more */
	struct kube_ways *ways = g->ways;
	struct kube_service *service, *next;

	HASH_ITER(hh, k->services, service, next)
	{
		size_t room = share, asked = counts[at++], over;

		if (asked > share && more) {
			room++;
			more--;
		}
		gather_service(g, &service->spec, room);
		over = asked > room ? asked - room : 0;
		ways->over += over;
		if (over > ways->most_over) {
			ways->most_over = over;
			ways->most = service->key;
		}
	}
}

static void gather_vips(const struct kubernetes *k, struct gathering *g)
{
	struct kube_service *service, *next;

	HASH_ITER(hh, k->services, service, next)
	{
		bool made = false;

		for (unsigned i = 0; i < service->spec.nport; i++)
			made = made || service->spec.ports[i].made;
		if (made) {
			add_vip(g, service->spec.vip);
			add_vip(g, service->spec.vip6);
		}
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

static void sort(struct kube_ways *ways)
{
	size_t kept = 0;

	if (ways->n)
		qsort(ways->list, ways->n, sizeof(*ways->list), compare);
	for (size_t i = 0; i < ways->n; i++)
		if (!kept || !is_same_door(&ways->list[kept - 1], &ways->list[i]))
			ways->list[kept++] = ways->list[i];
	ways->n = kept;
	if (ways->nvip)
		qsort(ways->vips, ways->nvip, sizeof(*ways->vips), compare_vips);
}

bool kube_gather(const struct kubernetes *k, struct kube_ways *out)
{
	struct gathering g = {.ways = out};
	size_t *counts = count_all(k);

	*out = (struct kube_ways){0};
	if (!counts)
		return false;
	gather_ways(k, &g, counts);
	free(counts);
	gather_vips(k, &g);
	sort(out);
	return !g.failed;
}

void kube_ways_free(struct kube_ways *ways)
{
	free(ways->list);
	free(ways->vips);
}
