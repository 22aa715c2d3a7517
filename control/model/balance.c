#include "control/model/balance.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/base/log.h"
#include "control/model/objects.h"
#include "control/model/publish.h"

struct model_service *model_service(struct model *model, const char *name)
{
	struct model_service *service;

	HASH_FIND_STR(model->services, name, service);
	return service;
}

struct model_service *model_service_by_id(struct model *model, uint32_t id)
{
	return id < MODEL_IDS ? model->service_by_id[id] : NULL;
}

int model_backend_info(struct model *model, const struct model_service *service, struct ip_addr address,
	uint16_t port, struct dp_backend_info *info)
{
	int found = -ENOENT;

	*info = (struct dp_backend_info){0};
	for (unsigned i = 0; i < service->nport; i++) {
		const struct model_service_port *at = &service->ports[i];
		struct dp_backend_info one;

		if (at->ip6 == ip_is4(address))
			continue;
		if (dp_backend_info(model->dp, at->id, address, at->target ? at->target : port, &one) < 0)
			continue;
		found = 0;
		info->packets += one.packets;
		info->bytes += one.bytes;
		info->connections += one.connections;
		info->opened += one.opened;
		info->answered += one.answered;
		info->refused += one.refused;
		info->withdrawn += one.withdrawn;
		info->in_flight += one.in_flight;
		if (info->latency_us < one.latency_us)
			info->latency_us = one.latency_us;
		info->told_in_flight += one.told_in_flight;
		if (one.told && (!info->told || info->told_age_ms > one.told_age_ms))
			info->told_age_ms = one.told_age_ms;
		info->told |= one.told;
		info->resolved = one.resolved;
		info->drains = one.drains;
		info->drain_left_ms = one.drain_left_ms;
	}
	return found;
}

static void port_drop(struct model *model, struct model_service *service, unsigned i)
{
	int rc = dp_service_del(model->dp, service->ports[i].id);

	if (rc < 0)
		log_line(LOG_ERR, "service %s stays in the dataplane: %s", service->name, strerror(-rc));
	model->service_by_id[service->ports[i].id] = NULL;
	service->ports[i] = service->ports[--service->nport];
}

static void service_drop(struct model *model, struct model_service *service)
{
	while (service->nport)
		port_drop(model, service, service->nport - 1);
	HASH_DEL(model->services, service);
	free(service->ports);
	free(service);
}

/* By its name; the dataplane does not have it yet. NULL: no memory. */
static struct model_service *service_make(struct model *model, const char *name, uint16_t net)
{
	struct model_service *service = calloc(1, sizeof(*service));

	if (!service)
		return NULL;
	snprintf(service->name, sizeof(service->name), "%.*s", REG_DEFINED_MAX, name);
	service->net = net;
	HASH_ADD_STR(model->services, name, service);
	if (service->hh.tbl)
		return service;
	free(service);
	return NULL;
}

/* What the node's metadata says; "": nothing. */
static const char *zone_of(struct registry *registry, const char *node)
{
	const struct reg_node *found = registry_node_find(registry, node);

	for (unsigned i = 0; found && i < found->nmeta; i++)
		if (strcmp(found->meta[i].key, "zone") == 0)
			return found->meta[i].value;
	return "";
}

const char *model_backend_zone(struct model *model, const struct reg_backend *backend)
{
	return zone_of(model->registry, reg_backend_node(backend));
}

enum dp_distance model_backend_distance(
	struct model *model, const struct reg_service *service, const struct reg_backend *backend)
{
	struct model_network *network = model_network(model, service->network);
	const char *own;

	if (network && model_port_of_ip(model, network, backend->address))
		return DP_SAME_HOST;
	own = zone_of(model->registry, "");
	return own[0] && strcmp(own, model_backend_zone(model, backend)) == 0 ? DP_SAME_ZONE : DP_FAR;
}

/*
 * The backends that a vip balances, those of its family, in the registry's order. Several with one address count as
 * one, with the best of their weights: one of them may be left over from a container that has been replaced long ago.
 */
static size_t take_backends(struct model *model, const struct reg_service *service, bool ip6,
	const struct reg_backend *const *from, size_t n, struct dp_backend *to)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		struct dp_backend backend = {
			.address = from[i]->address,
			.port = from[i]->port,
			.weight = reg_backend_weight(from[i]),
			.dead = from[i]->port_down ||
				(service->critical_ends && from[i]->health == REG_CRITICAL),
			.draining = from[i]->health == REG_DRAINING,
			.resets = service->drain_reset,
			.distance = service->near ? model_backend_distance(model, service, from[i]) : 0,
			.drain_ms = from[i]->has_drain_ms ? from[i]->drain_ms : service->drain_ms,
		};
		struct dp_backend *last = kept ? &to[kept - 1] : NULL;

		if (!from[i]->balanced || ip_is4(from[i]->address) == ip6)
			continue;
		if (!last || !ip_equal(last->address, backend.address) || last->port != backend.port)
			to[kept++] = backend;
		else if (last->weight < backend.weight)
			*last = backend;
	}
	return kept;
}

/* The same for another port of the vip: one for each address, whatever ports of its own it is registered with. */
static size_t retarget(const struct dp_backend *from, size_t n, uint16_t target, struct dp_backend *to)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (!kept || !ip_equal(to[kept - 1].address, from[i].address))
			to[kept++] = from[i];
		else if (to[kept - 1].weight < from[i].weight)
			to[kept - 1] = from[i];
		to[kept - 1].port = target;
	}
	return kept;
}

static struct model_service_port wanted(const struct reg_service *service, unsigned i, bool ip6)
{
	const struct reg_port *port = &service->ports[i ? i - 1 : 0];

	if (i == 0)
		return (struct model_service_port){DP_SERVICE_NONE, service->port, 0,
			reg_more_ports(service->port, service->end), service->protocol, ip6};
	return (struct model_service_port){DP_SERVICE_NONE, port->port, port->target,
		reg_more_ports(port->port, port->end), port->protocol, ip6};
}

static struct model_service_port *port_of(struct model_service *at, const struct model_service_port *key)
{
	for (unsigned i = 0; i < at->nport; i++)
		if (at->ports[i].port == key->port && at->ports[i].protocol == key->protocol &&
			at->ports[i].ip6 == key->ip6)
			return &at->ports[i];
	return NULL;
}

static bool is_wanted(const struct reg_service *service, const struct model_service_port *port)
{
	for (unsigned i = 0; i <= service->nport && !ip_is_none(reg_service_vip(service, port->ip6)); i++) {
		struct model_service_port key = wanted(service, i, port->ip6);

		if (key.port == port->port && key.protocol == port->protocol)
			return true;
	}
	return false;
}

/* The ports that it has no more make room first: what took them may be another of its own. */
static void drop_unwanted(struct model *model, struct model_service *at, const struct reg_service *service)
{
	for (unsigned i = at->nport; i-- > 0;)
		if (!is_wanted(service, &at->ports[i]))
			port_drop(model, at, i);
}

struct members {
	const struct dp_backend *backends;
	size_t n;
	struct dp_backend *scratch; /* [n] */
};

static int port_put(struct model *model, struct model_service *at, const struct reg_service *service,
	const struct members *members, const struct model_service_port *want, struct dp_err *why)
{
	struct dp_service spec = {
		.net = at->net,
		.vip = reg_service_vip(service, want->ip6),
		.port = want->port,
		.protocol = (enum dp_protocol)want->protocol,
		.rejects = !service->drops,
		.least = reg_service_is_least(service),
		.affinity_s = service->affinity_s,
		.slow_start_ms = service->slow_start_ms,
		.more_ports = want->more,
		.near = service->near,
		.backends = want->target ? members->scratch : members->backends,
		.nbackends = members->n,
	};
	struct model_service_port *port = port_of(at, want), fresh = *want;
	struct model_service_port *grown;
	int rc;

	if (!port) {
		grown = reallocarray(at->ports, at->nport + 1u, sizeof(*grown));
		if (!grown)
			return dp_fail(why, -ENOMEM, "out of memory");
		at->ports = grown;
	}
	if (want->target)
		spec.nbackends = retarget(members->backends, members->n, want->target, members->scratch);
	rc = dp_service_put(model->dp, &spec, port ? &port->id : &fresh.id, why);
	if (port && !rc) {
		port->target = want->target;
		port->more = want->more;
	}
	if (port || rc < 0)
		return rc;
	at->ports[at->nport++] = fresh;
	model->service_by_id[fresh.id] = at;
	return 0;
}

/* Has the port fewer that follow it than before? Such ones come first: what they give up may be another's of the vip. */
static bool shrinks(struct model_service *at, const struct model_service_port *want)
{
	const struct model_service_port *port = port_of(at, want);

	return port && want->more < port->more;
}

/* All ports of one vip. `table` has room for the backends twice. */
static int vip_put(struct model *model, struct model_service *at, const struct reg_service *service, bool ip6,
	const struct reg_backend *const *backends, size_t nbackend, struct dp_backend *table)
{
	struct members members = {
		table, take_backends(model, service, ip6, backends, nbackend, table), table + nbackend};
	int rc = 0;

	for (unsigned i = 0; i <= service->nport && !rc; i++) {
		struct model_service_port want = wanted(service, i, ip6);

		if (shrinks(at, &want))
			rc = port_put(model, at, service, &members, &want, &model->apply_err);
	}
	for (unsigned i = 0; i <= service->nport && !rc; i++) {
		struct model_service_port want = wanted(service, i, ip6);

		rc = port_put(model, at, service, &members, &want, &model->apply_err);
	}
	return rc;
}

static int service_put(struct model *model, const struct reg_service *service, uint16_t net,
	const struct reg_backend *const *backends, size_t nbackend, struct dp_backend *table)
{
	struct model_service *at = model_service(model, service->name);
	int rc = 0;

	if (!at)
		at = service_make(model, service->name, net);
	if (!at)
		return dp_fail(&model->apply_err, -ENOMEM, "out of memory");
	drop_unwanted(model, at, service);
	for (unsigned ip6 = 0; ip6 < 2 && !rc; ip6++)
		if (!ip_is_none(reg_service_vip(service, ip6)))
			rc = vip_put(model, at, service, ip6, backends, nbackend, table);
	if (!at->nport)
		service_drop(model, at);
	return rc;
}

static void put_or_drop(struct model *model, const struct reg_service *service,
	const struct reg_backend *const *backends, size_t nbackend, bool gone)
{
	struct model_network *network = service->network[0] ? model_network(model, service->network) : NULL;
	struct model_service *known = model_service(model, service->name);
	struct dp_backend *table;

	model->apply_err.text[0] = '\0';
	if (known && (gone || ip_is_none(service->vip) || !network || known->net != network->id))
		service_drop(model, known);
	if (gone || ip_is_none(service->vip) || !network)
		return;

	table = calloc(nbackend ? nbackend * 2 : 1, sizeof(*table));
	if (!table) {
		dp_fail(&model->apply_err, -ENOMEM, "out of memory");
		return;
	}
	if (service_put(model, service, network->id, backends, nbackend, table) < 0)
		log_subject(LOG_ERR, service->name, "service %s: the dataplane keeps its old backends: %s",
			service->name, model->apply_err.text);
	free(table);
}

void balance_apply(void *ctx, const struct reg_service *service, const struct reg_backend *const *backends,
	size_t nbackend, bool gone, uint64_t generation)
{
	struct model *model = ctx;

	if (!model->applying)
		dp_services_begin(model->dp);
	model->applying = true;
	put_or_drop(model, service, backends, nbackend, gone);
	model_publish_follow(model, service, gone);
}

void balance_applied(void *ctx)
{
	struct model *model = ctx;

	if (model->applying)
		dp_services_end(model->dp);
	model->applying = false;
}
