/*
 * choose.c: which endpoints a port of a Service has, as Kubernetes' proxies agree on it: those that are ready; if none is,
 * those that still serve while they end (KEP-1669). Of these only this node's where the Service asks for it, and those
 * that are meant for this node or zone, if every one says for whom it is (KEP-2433, KEP-3015). One that has served and is not
 * chosen any longer, but is still there, keeps the connections that it has.
 */
#include <stdlib.h>
#include <string.h>

#include "registry/source/kubernetes/inside.h"

struct candidate {
	struct kube_target target;
	uint8_t flags;
};

int kube_target_compare(const struct kube_target *a, const struct kube_target *b)
{
	int order = ip_compare(a->address, b->address);

	return order ? order : (a->port > b->port) - (a->port < b->port);
}

static int rank(uint8_t flags)
{
	return flags & KUBE_READY ? 0 : flags & KUBE_STANDBY ? 1 : 2;
}

/* Of one that is in two slices for a moment, the one that serves best comes first. */
static int compare(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	int order = kube_target_compare(&x->target, &y->target);

	return order ? order : rank(x->flags) - rank(y->flags);
}

static const struct kube_port_id *port_in(const struct kube_slice *slice, const struct kube_port *port)
{
	for (unsigned i = 0; i < slice->nport; i++)
		if (kube_is_same_port(&slice->ports[i], &port->id))
			return &slice->ports[i];
	return NULL;
}

/* All that the slices have for the port, sorted, each once. NULL: no memory. */
static struct candidate *gather(const struct kube_service *service, const struct kube_port *port, size_t *n)
{
	const struct kube_port_id *at;
	const struct kube_slice *slice;
	struct candidate *list;
	size_t max = 0, kept = 0;

	TAILQ_FOREACH (slice, &service->slices, link)
		max += slice->n;
	list = calloc(max ? max : 1, sizeof(*list));
	if (!list)
		return NULL;
	max = 0;
	TAILQ_FOREACH (slice, &service->slices, link) {
		at = port_in(slice, port);
		for (unsigned i = 0; at && i < slice->n; i++)
			list[max++] =
				(struct candidate){{slice->endpoints[i].address, at->port, false,
							   (slice->endpoints[i].flags & KUBE_LOCAL) != 0},
					slice->endpoints[i].flags};
	}
	qsort(list, max, sizeof(*list), compare);
	for (size_t i = 0; i < max; i++)
		if (!kept || kube_target_compare(&list[kept - 1].target, &list[i].target) != 0)
			list[kept++] = list[i];
	*n = kept;
	return list;
}

/* How many of those with all of `of` have one of `flags` (0: any). */
static size_t count(const struct candidate *list, size_t n, uint8_t of, uint8_t flags)
{
	size_t found = 0;

	for (size_t i = 0; i < n; i++)
		found += (list[i].flags & of) == of && (!flags || (list[i].flags & flags));
	return found;
}

bool kube_is_local_only(const struct kube_spec *spec, const struct kube_port *port)
{
	return port->outer ? spec->outside.local_only : spec->local_only;
}

/* What one must have to be chosen. */
static uint8_t rule(bool local_only, const struct candidate *list, size_t n)
{
	uint8_t must = local_only ? KUBE_LOCAL : 0;

	must |= count(list, n, must | KUBE_READY, 0) ? KUBE_READY : KUBE_STANDBY;
	if (local_only || count(list, n, must, 0) != count(list, n, must, KUBE_HINTED))
		return must;
	if (count(list, n, must, KUBE_FOR_NODE))
		return must | KUBE_FOR_NODE;
	return count(list, n, must, KUBE_FOR_ZONE) ? must | KUBE_FOR_ZONE : must;
}

static bool has(const struct kube_targets *targets, const struct kube_target *target)
{
	size_t low = 0, high = targets->n;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = kube_target_compare(&targets->list[middle], target);

		if (!order)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

bool kube_choose(const struct kube_service *service, const struct kube_port *port, struct kube_targets *out)
{
	size_t n;
	struct candidate *list = gather(service, port, &n);
	uint8_t must;

	if (!list)
		return false;
	must = rule(kube_is_local_only(&service->spec, port), list, n);
	*out = (struct kube_targets){.list = calloc(n ? n : 1, sizeof(*out->list))};
	for (size_t i = 0; out->list && i < n; i++) {
		list[i].target.drained = (list[i].flags & must) != must;
		if (!list[i].target.drained || has(&port->targets, &list[i].target))
			out->list[out->n++] = list[i].target;
	}
	free(list);
	return out->list != NULL;
}
