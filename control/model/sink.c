/*
 * What the registry decides goes to the dataplane here, and what it needs of the switch comes from here.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "control/base/ending.h"
#include "control/base/log.h"
#include "control/base/result.h"
#include "control/host/netlink.h"
#include "control/host/netns.h"
#include "control/model/network_spec.h"
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

static void service_drop(struct model *model, struct model_service *service)
{
	int rc = dp_service_del(model->dp, service->id);

	if (rc < 0)
		log_line(LOG_ERR, "service %s stays in the dataplane: %s", service->name, strerror(-rc));
	model->service_by_id[service->id] = NULL;
	HASH_DEL(model->services, service);
	free(service);
}

/* By its name; the dataplane does not have it yet. NULL: no memory. */
static struct model_service *service_make(struct model *model, const char *name, uint16_t net)
{
	struct model_service *service = calloc(1, sizeof(*service));

	if (!service)
		return NULL;
	snprintf(service->name, sizeof(service->name), "%.*s", MODEL_NAME - 1, name);
	service->id = DP_SERVICE_NONE;
	service->net = net;
	HASH_ADD_STR(model->services, name, service);
	if (service->hh.tbl)
		return service;
	free(service);
	return NULL;
}

/*
 * The backends that a vip balances, in the registry's order. Several with one address count as one, with the
 * best of their weights: one of them may be left over from a container that has been replaced long ago.
 */
static size_t take_backends(const struct reg_service *service, const struct reg_backend *const *from,
	size_t n, struct dp_backend *to)
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
			.drain_ms = from[i]->has_drain_ms ? from[i]->drain_ms : service->drain_ms,
		};
		struct dp_backend *last = kept ? &to[kept - 1] : NULL;

		if (!from[i]->balanced)
			continue;
		if (!last || !ip_equal(last->address, backend.address) || last->port != backend.port)
			to[kept++] = backend;
		else if (last->weight < backend.weight)
			*last = backend;
	}
	return kept;
}

static int service_put(struct model *model, const struct reg_service *service, uint16_t net,
	const struct dp_backend *backends, size_t nbackend, struct dp_err *why)
{
	struct dp_service spec = {
		.net = net,
		.vip = service->vip,
		.port = service->port,
		.protocol = (enum dp_protocol)service->protocol,
		.rejects = !service->drops,
		.affinity_s = service->affinity_s,
		.slow_start_ms = service->slow_start_ms,
		.backends = backends,
		.nbackends = nbackend,
	};
	struct model_service *at = model_service(model, service->name);
	int rc;

	if (!at)
		at = service_make(model, service->name, net);
	if (!at)
		return dp_fail(why, -ENOMEM, "out of memory");
	rc = dp_service_put(model->dp, &spec, &at->id, why);
	if (at->id != DP_SERVICE_NONE) {
		model->service_by_id[at->id] = at;
	} else {
		HASH_DEL(model->services, at);
		free(at);
	}
	return rc;
}

static void put_or_drop(struct model *model, const struct reg_service *service,
	const struct reg_backend *const *backends, size_t nbackend, bool gone)
{
	struct model_network *network = service->network[0] ? model_network(model, service->network) : NULL;
	struct model_service *known = model_service(model, service->name);
	struct dp_backend *table;
	size_t n;

	model->apply_err.text[0] = '\0';
	if (known && (gone || ip_is_none(service->vip) || !network || known->net != network->id))
		service_drop(model, known);
	if (gone || ip_is_none(service->vip) || !network)
		return;

	table = calloc(nbackend ? nbackend : 1, sizeof(*table));
	if (!table) {
		dp_fail(&model->apply_err, -ENOMEM, "out of memory");
		return;
	}
	n = take_backends(service, backends, nbackend, table);
	if (service_put(model, service, network->id, table, n, &model->apply_err) < 0)
		log_subject(LOG_ERR, service->name, "service %s: the dataplane keeps its old backends: %s",
			service->name, model->apply_err.text);
	free(table);
}

static void apply(void *ctx, const struct reg_service *service, const struct reg_backend *const *backends,
	size_t nbackend, bool gone, uint64_t generation)
{
	put_or_drop(ctx, service, backends, nbackend, gone);
	model_publish_follow(ctx, service, gone);
}

static int open_socket(void *ctx, const char *name, int domain, int type)
{
	int protocol = type == SOCK_RAW ? IPPROTO_TCP : 0;
	struct model_network *network;

	if (name[0] == '\0')
		return netns_socket(-1, domain, type, protocol);
	network = model_network(ctx, name);
	if (!network || !network->has_gateway)
		return -ENETUNREACH;
	return netns_socket(network->gateway.netns, domain, type, protocol);
}

static uint64_t netns_id(void *ctx, const char *name)
{
	struct model_network *network;

	if (name[0] == '\0')
		return GATEWAY_HOST;
	network = model_network(ctx, name);
	return network && network->has_gateway ? network->gateway.netns_id : 0;
}

static bool reaches(void *ctx, const char *name, struct ip_addr address)
{
	struct model_network *network = model_network(ctx, name);
	struct ip_prefix subnet;

	if (!network)
		return false;
	subnet = network_spec_subnet(&network->spec, !ip_is4(address));
	return !ip_is_none(subnet.address) && ip_inside(address, subnet);
}

static int port_state(void *ctx, const char *name, struct ip_addr address)
{
	struct model *model = ctx;
	struct model_network *network;
	int state = -1;

	TAILQ_FOREACH (network, &model->networks, link) {
		struct model_port *port;

		if (name[0] && strcmp(network->name, name) != 0)
			continue;
		port = model_port_of_ip(model, network, address);
		if (port && model_port_up(model, port))
			return 1;
		if (port)
			state = 0;
	}
	return state;
}

static const char *home(void *ctx, struct ip_addr address)
{
	struct model *model = ctx;
	const struct model_network *network = NULL;
	struct model_port *port;

	TAILQ_FOREACH (port, &model->ports, link)
		for (unsigned i = 0; i < port->spec.nips; i++) {
			if (!ip_equal(port->spec.ips[i], address))
				continue;
			if (network && network != port->network)
				return NULL;
			network = port->network;
		}
	return network ? network->name : "";
}

/*
 * When the kernel gives no answer, the address counts as the host's own. Without a route nothing is reached.
 */
static bool is_own(void *ctx, struct ip_addr address)
{
	struct model *model = ctx;
	int rc = 0;

	if (!model->routes)
		rc = netlink_open(-1, &model->routes);
	if (rc == 0)
		rc = netlink_is_local(model->routes, address);
	return rc != 0 && rc != -ENETUNREACH && rc != -EHOSTUNREACH;
}

static int traffic(
	void *ctx, const char *name, struct ip_addr address, uint16_t port, struct reg_traffic *seen)
{
	struct model *model = ctx;
	const struct model_service *service = model_service(model, name);
	struct dp_backend_info info;
	int rc = service ? dp_backend_info(model->dp, service->id, address, port, &info) : -ENOENT;

	if (rc < 0)
		return rc;
	*seen = (struct reg_traffic){.opened = info.opened,
		.answered = info.answered,
		.refused = info.refused,
		.withdrawn = info.withdrawn};
	return 0;
}

static void write_log(void *ctx, int level, const char *subject, const char *line)
{
	log_subject(level, subject, "%s", line);
}

static void set_kept(void *ctx, const char *file, const char *why)
{
	struct model *model = ctx;
	enum outage which = outage_of_file(file);

	if (which < OUTAGES)
		outage_set(&model->outages, which, "", why);
}

static bool is_ending(void *ctx)
{
	return ending_asked();
}

struct registry_sink model_sink(struct model *model)
{
	return (struct registry_sink){
		.ctx = model,
		.apply = apply,
		.socket = open_socket,
		.netns_id = netns_id,
		.reaches = reaches,
		.port_state = port_state,
		.log = write_log,
		.ending = is_ending,
		.traffic = traffic,
		.home = home,
		.is_own = is_own,
		.kept = set_kept,
	};
}
