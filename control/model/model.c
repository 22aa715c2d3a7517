#include "control/model/model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/base/log.h"
#include "control/base/loop.h"
#include "control/base/params.h"
#include "control/host/netlink.h"
#include "control/host/netns.h"
#include "control/model/config.h"
#include "control/model/network_spec.h"
#include "control/model/objects.h"
#include "control/model/peer.h"
#include "control/model/port_macs.h"
#include "control/model/port_spec.h"
#include "control/model/publish.h"
#include "registry/dns/dns.h"

static void on_link(void *ctx, uint16_t id, bool up)
{
	struct model *model = ctx;
	struct model_port *port = model->port_by_id[id];
	char subject[MODEL_NAME + 8];

	if (!port || !model->registry)
		return;
	snprintf(subject, sizeof(subject), "port %s", port->name);
	log_subject(LOG_INFO, subject, "%s is %s", subject, up ? "up" : "down");
	model_port_state(model, port, up);
	if (!up)
		port_wait_look(model);
}

/* mkdir -p */
static int make_dirs(const char *path)
{
	char part[4096];
	int len = snprintf(part, sizeof(part), "%s/", path);

	if (len < 0 || (size_t)len >= sizeof(part))
		return -ENAMETOOLONG;
	for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return 0;
}

static void tell_what_lacks(const struct dp *dp)
{
	int rc = dp_uring(dp);

	if (dp_guests_can_block(dp))
		log_line(LOG_WARNING, "this kernel gives no Linux AIO (CONFIG_AIO, fs.aio-max-nr): a guest "
				      "can hold up a worker");
	if (rc < 0)
		log_line(
			LOG_INFO, "io_uring: %s: frames of TAP ports take a system call each", strerror(-rc));
}

static int open_dataplane(struct model *model, const struct model_config *config, struct api_err *err)
{
	struct dp_config dp_config = {.loop = loop_of(config->base),
		.on_link = on_link,
		.on_move = port_macs_moved,
		.on_peer = peer_changed,
		.ctx = model};
	int cores[MODEL_CORES_MAX], rc;
	struct dp_err why = {""};

	if (model_config_read(config->dataplane, config->no_huge, &dp_config, cores, err) < 0)
		return -EINVAL;
	rc = dp_open(&dp_config, &model->dp, &why);
	if (rc < 0)
		model_refused(err, rc, why.text);
	else
		tell_what_lacks(model->dp);
	return rc;
}

int model_open(const struct model_config *config, struct model **out, struct api_err *err)
{
	struct model *model = calloc(1, sizeof(*model));
	struct registry_sink sink;
	int rc;

	if (!model) {
		api_fail(err, API_INTERNAL, NULL, "out of memory");
		return -ENOMEM;
	}
	TAILQ_INIT(&model->networks);
	TAILQ_INIT(&model->ports);
	TAILQ_INIT(&model->vteps);
	TAILQ_INIT(&model->fdbs);
	TAILQ_INIT(&model->published);
	clock_gettime(CLOCK_MONOTONIC, &model->started);

	model->vhost_dir = strdup(config->vhost_dir);
	model->socket = strdup(config->socket);
	model->scratch_netns = netns_new();
	rc = !model->vhost_dir || !model->socket ? -ENOMEM : model->scratch_netns;
	if (rc < 0) {
		api_fail(err, API_INTERNAL, NULL, "cannot make a network namespace: %s", strerror(-rc));
		goto fail;
	}
	rc = make_dirs(model->vhost_dir);
	if (rc < 0) {
		api_fail(err, API_INTERNAL, NULL, "%s: %s", model->vhost_dir, strerror(-rc));
		goto fail;
	}
	rc = open_dataplane(model, config, err);
	if (rc < 0)
		goto fail;
	forwarding_sweep();
	sink = model_sink(model);
	rc = registry_new(config->base, &sink, &model->registry);
	if (rc < 0) {
		api_fail(err, API_INTERNAL, NULL, "cannot start the registry: %s", strerror(-rc));
		goto fail;
	}
	rc = port_wait_open(model, config->base, &model->wait);
	if (rc == 0)
		rc = peer_open(model, config->base);
	if (rc < 0) {
		api_fail(err, API_INTERNAL, NULL, "out of memory");
		goto fail;
	}
	*out = model;
	return 0;
fail:
	model_close(model);
	return rc;
}

void model_close_gateway(struct model_network *network)
{
	if (network->spec.mode == DP_HOST)
		forwarding_clear(network->gateway.ifname);
	gateway_close(&network->gateway);
	network->has_gateway = false;
}

static void free_objects(struct model *model)
{
	struct model_network *network;
	struct model_service *service, *next;
	struct model_port *port;
	struct model_vtep *vtep;
	struct model_publish *publish;
	struct model_fdb *fdb;

	while ((publish = TAILQ_FIRST(&model->published))) {
		TAILQ_REMOVE(&model->published, publish, link);
		free(publish);
	}
	service = model->services;
	HASH_CLEAR(hh, model->services);
	for (; service; service = next) {
		next = service->hh.next;
		free(service->ports);
		free(service);
	}
	while ((fdb = TAILQ_FIRST(&model->fdbs))) {
		TAILQ_REMOVE(&model->fdbs, fdb, link);
		free(fdb);
	}
	while ((vtep = TAILQ_FIRST(&model->vteps))) {
		TAILQ_REMOVE(&model->vteps, vtep, link);
		free(vtep);
	}
	while ((port = TAILQ_FIRST(&model->ports))) {
		TAILQ_REMOVE(&model->ports, port, link);
		port_spec_free(port);
	}
	while ((network = TAILQ_FIRST(&model->networks))) {
		TAILQ_REMOVE(&model->networks, network, link);
		if (network->has_gateway)
			model_close_gateway(network);
		free(network->near);
		free(network);
	}
}

void model_close(struct model *model)
{
	if (!model)
		return;
	port_wait_close(model->wait);
	model->wait = NULL;
	peer_close(model);
	registry_free(model->registry);
	model->registry = NULL;
	dp_close(model->dp);
	free_objects(model);
	netlink_close(model->routes);
	if (model->scratch_netns >= 0)
		close(model->scratch_netns);
	free(model->vhost_dir);
	free(model->socket);
	free(model);
}

void model_on_change(struct model *model,
	void (*fn)(void *arg, const char *method, const char *source, const json_t *params), void *arg)
{
	model->on_change = fn;
	model->on_change_arg = arg;
}

void model_changed(struct model *model, const char *method, const char *source, const json_t *params)
{
	if (model->on_change)
		model->on_change(model->on_change_arg, method, source, params);
	if (model->cluster)
		model->cluster->changed(model->cluster->arg, method, params);
}

void model_cluster_attach(struct model *model, const struct model_cluster *cluster)
{
	model->cluster = cluster;
}

void model_restoring(struct model *model, bool yes)
{
	dp_restoring(model->dp, yes);
}

void model_cluster_is_coming(struct model *model)
{
	model->clustered = true;
}

void model_on_again(struct model *model, enum model_waiter who, void (*fn)(void *arg), void *arg)
{
	model->again[who].fn = fn;
	model->again[who].arg = arg;
}

void model_again(struct model *model)
{
	for (unsigned i = 0; i < MODEL_WAITERS; i++)
		if (model->again[i].fn)
			model->again[i].fn(model->again[i].arg);
}

void model_on_reserved(struct model *model,
	bool (*reserved)(void *arg, const struct model_network *network, struct ip_addr ip), void *arg)
{
	model->reserved = reserved;
	model->reserved_arg = arg;
}

/* At the end the host is told of all that is published: by then it is one change. */
void model_replaying(struct model *model, bool yes)
{
	struct api_err err;

	model->replaying = yes;
	if (yes)
		model_publish_begin(model);
	else if (model_publish_end(model, &err) < 0)
		log_line(LOG_ERR, "what was published is not all published again: %s", err.text);
}

const char *model_not_kept(struct model *model)
{
	return outage_why(&model->outages, OUTAGE_OBJECTS);
}

bool model_not_listening(struct model *model, enum outage server, const char *address, const char *why)
{
	return outage_set(&model->outages, server, address, why);
}

void model_kubernetes(struct model *model, struct kubernetes *kubernetes)
{
	model->kubernetes = kubernetes;
}

struct registry *model_registry(struct model *model)
{
	return model->registry;
}

struct model_network *model_network(struct model *model, const char *name)
{
	struct model_network *network;

	TAILQ_FOREACH (network, &model->networks, link)
		if (!strcmp(network->name, name))
			return network;
	return NULL;
}

struct model_network *model_need_network(
	struct model *model, const json_t *params, const char *field, struct api_err *err)
{
	const char *name = param_str(params, field);
	struct model_network *network = name ? model_network(model, name) : NULL;

	if (!network)
		api_fail(err, API_NOT_FOUND, field, "no such network \"%s\"", name ? name : "");
	return network;
}

struct model_port *model_port(struct model *model, const char *name)
{
	struct model_port *port;

	TAILQ_FOREACH (port, &model->ports, link)
		if (!strcmp(port->name, name))
			return port;
	return NULL;
}

/* One that is on its way out is not: the dataplane has it a moment longer. */
struct model_port *model_port_of_ip(
	struct model *model, const struct model_network *network, struct ip_addr ip)
{
	int id = dp_port_of_ip(model->dp, network->id, ip);

	return id >= 0 ? model->port_by_id[id] : NULL;
}

const char *model_port_name(struct model *model, uint16_t id)
{
	struct model_network *network;

	if (model->port_by_id[id])
		return model->port_by_id[id]->name;
	TAILQ_FOREACH (network, &model->networks, link)
		if (network->has_gateway && network->gateway_port == id)
			return MODEL_GATEWAY_PORT;
	return NULL;
}

struct model_vtep *model_vtep(struct model *model, const struct model_network *network, struct ip_addr remote)
{
	struct model_vtep *vtep;

	TAILQ_FOREACH (vtep, &model->vteps, link)
		if (vtep->network == network && ip_equal(vtep->remote, remote))
			return vtep;
	return NULL;
}

struct model_fdb *model_fdb(struct model *model, const struct model_network *network, const uint8_t mac[6])
{
	struct model_fdb *fdb;

	TAILQ_FOREACH (fdb, &model->fdbs, link)
		if (fdb->network == network && !memcmp(fdb->mac, mac, 6))
			return fdb;
	return NULL;
}

struct vip_search {
	const char *network;
	struct ip_addr ip;
	const char *found;
};

static bool match_vip(void *arg, const struct reg_service *service)
{
	struct vip_search *search = arg;

	if ((ip_equal(service->vip, search->ip) || ip_equal(service->vip6, search->ip)) &&
		!ip_is_none(search->ip) && !strcmp(service->network, search->network))
		search->found = service->name;
	return search->found == NULL;
}

bool model_ip_taken(struct model *model, const struct model_network *network, struct ip_addr ip,
	const struct model_port *except, char who[96])
{
	struct vip_search search = {network->name, ip, NULL};
	struct model_port *port;

	if (!ip_is_none(ip) && ip_equal(ip, network_spec_gateway(&network->spec, !ip_is4(ip)))) {
		snprintf(who, 96, "the gateway");
		return true;
	}
	port = model_port_of_ip(model, network, ip);
	if (port && (!except || strcmp(port->name, except->name) != 0)) {
		snprintf(who, 96, "port %s", port->name);
		return true;
	}
	registry_service_walk(model->registry, match_vip, &search);
	if (search.found)
		snprintf(who, 96, "service %s", search.found);
	return search.found != NULL;
}

/* Addresses being collected; counts them when there is no room yet. */
struct ip_list {
	const struct model_network *network;
	struct ip_addr *ip;
	size_t n;
};

static void add_ip(struct ip_list *list, struct ip_addr ip)
{
	if (ip_is_none(ip))
		return;
	if (list->ip)
		list->ip[list->n] = ip;
	list->n++;
}

static bool add_vip(void *arg, const struct reg_service *service)
{
	struct ip_list *list = arg;

	for (unsigned ip6 = 0; ip6 < 2 && !strcmp(service->network, list->network->name); ip6++)
		add_ip(list, reg_service_vip(service, ip6));
	return true;
}

static void add_ips(struct model *model, struct ip_list *list)
{
	struct model_port *port;

	list->n = 0;
	for (unsigned ip6 = 0; ip6 < 2; ip6++)
		add_ip(list, network_spec_gateway(&list->network->spec, ip6));
	TAILQ_FOREACH (port, &model->ports, link)
		for (unsigned i = 0; port->network == list->network && i < port->spec.nips; i++)
			add_ip(list, port->spec.ips[i]);
	registry_service_walk(model->registry, add_vip, list);
}

struct ip_addr *model_ips(struct model *model, const struct model_network *network, size_t *n)
{
	struct ip_list list = {.network = network};

	add_ips(model, &list);
	list.ip = calloc(list.n ? list.n : 1, sizeof(*list.ip));
	if (list.ip)
		add_ips(model, &list);
	*n = list.n;
	return list.ip;
}

struct addr_prefix model_subnet(const struct model_network *network)
{
	return (struct addr_prefix){network->spec.subnet, network->spec.prefix};
}

int model_port_up(struct model *model, const struct model_port *port)
{
	struct dp_port_info info;

	return dp_port_info(model->dp, port->id, &info) == 0 && info.up;
}

void model_port_state(struct model *model, const struct model_port *port, int state)
{
	if (!port->network)
		return;
	if (model->dns)
		dns_ports_changed(model->dns);
	registry_batch_begin(model->registry);
	for (unsigned i = 0; i < port->spec.nips; i++)
		registry_port_changed(model->registry, port->network->name, port->spec.ips[i], state);
	registry_batch_end(model->registry);
}

int model_refused(struct api_err *err, int rc, const char *text)
{
	enum api_code code;

	switch (-rc) {
	case EINVAL:
		code = API_INVALID;
		break;
	case ENOENT:
		code = API_NOT_FOUND;
		break;
	case EEXIST:
		code = API_EXISTS;
		break;
	case EBUSY:
		code = API_IN_USE;
		break;
	case ENOTSUP:
		code = API_UNSUPPORTED;
		break;
	default:
		code = API_INTERNAL;
	}
	return api_fail(err, code, NULL, "%s", text && text[0] ? text : strerror(-rc));
}
