/*
 * apply.c: brings the registry to what Kubernetes has. So many Services a turn of the event loop, of which each is one
 * change for whoever waits; what goes is taken away first, for what comes may have its address.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "addr/ip_text.h"
#include "registry/source/kubernetes/inside.h"

enum { TURN = 128 };

/*
 * "PORT.NAME.NAMESPACE", and without the port where the Service has only one, which needs no name. Outer ports have a name
 * that no Service has.
 */
static void name_of(
	const struct kube_service *service, const struct kube_port *port, char name[REG_SERVICE_MAX + 1])
{
	const char *slash = strchr(service->key, '/');

	snprintf(name, REG_SERVICE_MAX + 1, "%s%s%s%s.%.*s", port->id.name, port->id.name[0] ? "." : "",
		port->outer ? "external_" : "", slash + 1, (int)(slash - service->key), service->key);
}

static struct kube_as wanted(const struct kube_service *service, const struct kube_port *port)
{
	return (struct kube_as){
		.vip = service->spec.vip,
		.vip6 = service->spec.vip6,
		.port = port->id.port,
		.affinity_s = service->spec.affinity_s,
		.drops = kube_is_local_only(&service->spec, port),
	};
}

static void describe(const struct kubernetes *k, const struct kube_as *as, const struct kube_port *port,
	const char *name, struct reg_service *out)
{
	*out = (struct reg_service){.vip = as->vip,
		.vip6 = as->vip6,
		.port = as->port,
		.protocol = port->id.protocol,
		.affinity_s = as->affinity_s,
		.drops = as->drops};
	snprintf(out->name, sizeof(out->name), "%s", name);
	snprintf(out->network, sizeof(out->network), "%s", k->network);
	snprintf(out->source, sizeof(out->source), "%s", KUBE_SOURCE);
}

static bool is_same(const struct kube_as *a, const struct kube_as *b)
{
	return ip_equal(a->vip, b->vip) && ip_equal(a->vip6, b->vip6) && a->port == b->port &&
	       a->affinity_s == b->affinity_s && a->drops == b->drops;
}

static void refused(struct kubernetes *k, const char *name, const struct reg_err *err)
{
	char line[REG_SERVICE_MAX + sizeof(err->text) + 32];

	snprintf(line, sizeof(line), "kubernetes: service %s: %s", name, err->text);
	registry_log(k->reg, LOG_WARNING, name, line);
}

/* Has the registry the service as we defined it? Anybody may have deleted it, and made another of its name. */
static bool is_ours(struct kubernetes *k, const char *name)
{
	const struct reg_service *service = registry_service_find(k->reg, name);

	return service && !service->discovered && strcmp(service->source, KUBE_SOURCE) == 0;
}

/* What others have registered there stays. */
static void take_away(struct kubernetes *k, const char *name, const struct kube_target *target)
{
	char id[IP_PORT_TEXT];
	const struct reg_backend *backend;
	struct reg_err err;

	ip_port_text(target->address, target->port, id);
	backend = registry_backend_find(k->reg, name, id);
	if (backend && strcmp(backend->source, KUBE_SOURCE) == 0)
		registry_backend_del(k->reg, name, id, &err);
}

static void drop_port(struct kubernetes *k, const struct kube_service *service, struct kube_port *port)
{
	char name[REG_SERVICE_MAX + 1];
	struct reg_err err;

	name_of(service, port, name);
	for (size_t i = 0; i < port->targets.n; i++)
		take_away(k, name, &port->targets.list[i]);
	free(port->targets.list);
	if (!port->made || !is_ours(k, name))
		return;
	registry_service_undefine(k->reg, name, &err);
	k->made_room = true;
}

static void drop_ports(struct kubernetes *k, struct kube_service *service)
{
	for (unsigned i = 0; i < service->nold; i++)
		drop_port(k, service, &service->old[i]);
	service->nold = 0;
}

/* False: it is not there, and is tried again when something has gone. */
static bool define(
	struct kubernetes *k, const struct kube_service *service, struct kube_port *port, const char *name)
{
	struct kube_as as = wanted(service, port);
	struct reg_service fresh;
	struct reg_err err;
	int rc;

	if (port->made && !is_ours(k, name)) {
		port->made = false;
		port->targets.n = 0;
	}
	if (port->made && is_same(&as, &port->as))
		return true;
	describe(k, &as, port, name, &fresh);
	rc = port->made ? registry_service_set(k->reg, &fresh, &err)
			: registry_service_add(k->reg, &fresh, &err);
	if (rc < 0 && port->made) { /* ports that change places are in each other's way */
		registry_service_undefine(k->reg, name, &err);
		port->made = false;
		k->made_room = true;
		rc = registry_service_add(k->reg, &fresh, &err);
	}
	if (rc < 0) {
		refused(k, fresh.name, &err);
		return false;
	}
	port->made = true;
	port->as = as;
	return true;
}

/* False: it is not there, since somebody else has registered that address. */
static bool put(struct kubernetes *k, const char *name, const struct kube_target *target)
{
	struct reg_backend backend = {
		.address = target->address, .port = target->port, .weight = 1, .drained = target->drained};
	struct reg_err err;

	snprintf(backend.source, sizeof(backend.source), "%s", KUBE_SOURCE);
	if (registry_backend_put(k->reg, name, &backend, &err) == 0)
		return true;
	refused(k, name, &err);
	return false;
}

/* Both are sorted. Of `fresh` stays what the registry has taken. False: it has not taken all. */
static bool move_targets(
	struct kubernetes *k, const char *name, struct kube_port *port, struct kube_targets *fresh)
{
	const struct kube_targets *old = &port->targets;
	size_t i = 0, j = 0, kept = 0;
	bool all;

	while (i < old->n || j < fresh->n) {
		int order = i == old->n	    ? 1
			    : j == fresh->n ? -1
					    : kube_target_compare(&old->list[i], &fresh->list[j]);

		if (order < 0)
			take_away(k, name, &old->list[i]);
		else if ((order == 0 && !port->lost && old->list[i].drained == fresh->list[j].drained) ||
			 put(k, name, &fresh->list[j]))
			fresh->list[kept++] = fresh->list[j];
		i += order <= 0;
		j += order >= 0;
	}
	all = kept == fresh->n;
	fresh->n = kept;
	return all;
}

static void fill(struct kubernetes *k, struct kube_service *service, struct kube_port *port)
{
	char name[REG_SERVICE_MAX + 1];
	struct kube_targets fresh;

	name_of(service, port, name);
	if (!define(k, service, port, name)) {
		service->waits = true;
		return;
	}
	if (!kube_choose(service, port, &fresh))
		return;
	if (!move_targets(k, name, port, &fresh))
		service->waits = true;
	port->lost = false;
	free(port->targets.list);
	port->targets = fresh;
}

/* What could not be made may have its place now. */
static void try_again(struct kubernetes *k)
{
	struct kube_service *service, *next;

	k->made_room = false;
	HASH_ITER(hh, k->services, service, next)
	if (service->waits)
		kube_changed(k, service);
}

/* Somebody has taken something of ours away: what the server says holds. */
static void put_all_again(struct kubernetes *k)
{
	struct kube_service *service, *next;

	k->lost = false;
	HASH_ITER(hh, k->services, service, next)
	{
		for (unsigned i = 0; i < service->spec.nport; i++)
			service->spec.ports[i].lost = true;
		kube_changed(k, service);
	}
}

void kube_apply(struct kubernetes *k)
{
	struct kube_service *service, *next;
	unsigned n = 0;

	if (k->lost)
		put_all_again(k);
	k->applies = true;
	registry_batch_begin(k->reg);
	TAILQ_FOREACH (service, &k->changed, link) {
		drop_ports(k, service);
		if (++n == TURN)
			break;
	}
	for (service = TAILQ_FIRST(&k->changed); service && n--; service = next) {
		next = TAILQ_NEXT(service, link);
		TAILQ_REMOVE(&k->changed, service, link);
		service->changed = service->waits = false;
		for (unsigned i = 0; i < service->spec.nport; i++)
			fill(k, service, &service->spec.ports[i]);
		kube_service_settle(k, service);
	}
	registry_batch_end(k->reg);
	k->applies = false;
	if (k->made_room)
		try_again(k);
	if (!TAILQ_EMPTY(&k->changed))
		event_active(k->turn, 0, 0);
	kube_lead_due(k);
}
