#include "control/methods/service_json.h"

#include <stdio.h>
#include <string.h>

#include "control/base/params.h"
#include "control/base/result.h"
#include "control/model/scope.h"

static const char *const check_types[] = {"ttl", "tcp", "http", "grpc", "port", "passive", NULL};
static const enum reg_check_type check_numbers[] = {
	REG_CHECK_TTL, REG_CHECK_TCP, REG_CHECK_HTTP, REG_CHECK_GRPC, REG_CHECK_PORT, REG_CHECK_PASSIVE};

const struct api_field check_fields[] = {
	{"type", API_ENUM, "how", .required = true, .choices = check_types},
	{"interval_ms", API_INT, "from one to the next; ttl: how long the backend's word holds", .min = 10,
		.max = 3600000, .def = "1000"},
	{"timeout_ms", API_INT, "that counts as a failure (default 500, passive 1000)", .min = 1,
		.max = 600000},
	{"rise", API_INT, "successes until it passes", .min = 1, .max = 100, .def = "1"},
	{"fall", API_INT, "failures until it is critical (default 2, passive 5)", .min = 1, .max = 100},
	{"path", API_PATH, "http: what is asked for (default /)", .min = 1, .max = REG_PATH_MAX},
	{"service", API_STRING, "grpc: the service that is asked about (default the server as a whole)",
		.min = 1, .max = CHECK_SERVICE_MAX},
	{"tls", API_BOOL, "http, grpc: over TLS"},
	{"tls_skip_verify", API_BOOL, "with whatever certificate"},
	{NULL},
};

void service_check_read(const json_t *json, struct reg_check *check)
{
	const char *type = param_str(json, "type");
	bool passive;

	*check = (struct reg_check){.type = REG_CHECK_NONE};
	for (unsigned i = 0; type && check_types[i]; i++)
		if (!strcmp(type, check_types[i]))
			check->type = check_numbers[i];
	passive = check->type == REG_CHECK_PASSIVE;
	check->interval_ms = (uint32_t)param_int(json, "interval_ms", 1000);
	check->timeout_ms = (uint32_t)param_int(json, "timeout_ms", passive ? 1000 : 500);
	check->rise = (uint8_t)param_int(json, "rise", 1);
	check->fall = (uint8_t)param_int(json, "fall", passive ? 5 : 2);
	check->path = param_str(json, "path");
	check->service = param_str(json, "service");
	check->tls = param_bool(json, "tls", false);
	check->tls_skip_verify = param_bool(json, "tls_skip_verify", false);
}

void service_check_keep(struct reg_check *check, struct check_texts *texts)
{
	if (check->path)
		check->path = strcpy(texts->path, check->path);
	if (check->service)
		check->service = strcpy(texts->service, check->service);
}

static enum reg_protocol protocol_of(const char *name)
{
	return !strcmp(name, "udp") ? REG_UDP : !strcmp(name, "sctp") ? REG_SCTP : REG_TCP;
}

static void read_ports(const json_t *list, struct reg_service *service)
{
	service->nport = 0;
	for (size_t i = 0; i < json_array_size(list) && i < REG_PORTS_MAX; i++) {
		const json_t *object = json_array_get(list, i);
		struct reg_port *port = &service->ports[service->nport++];
		const char *name = param_str(object, "name"), *protocol = param_str(object, "protocol");

		*port = (struct reg_port){.port = (uint16_t)param_int(object, "port", 0),
			.end = (uint16_t)param_int(object, "end_port", 0)};
		port->target = (uint16_t)param_int(object, "target_port", port->port);
		port->protocol = protocol ? protocol_of(protocol) : REG_TCP;
		snprintf(port->name, sizeof(port->name), "%s", name ? name : "");
	}
}

/* One by `vip`, or one of each family by `vips`: what is given takes the place of all that were. */
static void read_vips(const json_t *params, struct reg_service *service)
{
	const json_t *list = json_object_get(params, "vips");
	struct ip_addr vip = {0};

	if (!list && !param_given(params, "vip"))
		return;
	service->vip = service->vip6 = vip;
	if (!list)
		ip_parse(param_str(params, "vip"), &service->vip);
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (!ip_parse(json_string_value(json_array_get(list, i)), &vip))
			continue;
		if (i == 0) {
			service->vip = vip;
		} else if (ip_is4(vip)) {
			service->vip6 = service->vip;
			service->vip = vip;
		} else {
			service->vip6 = vip;
		}
	}
}

void service_params_read(const json_t *params, struct reg_service *service)
{
	const char *network = param_str(params, "network"), *protocol = param_str(params, "protocol"),
		   *policy = param_str(params, "policy"), *no_backend = param_str(params, "no_backend"),
		   *on_critical = param_str(params, "on_critical"), *weights = param_str(params, "weights"),
		   *locality = param_str(params, "locality");
	const json_t *check = json_object_get(params, "check");

	if (network)
		snprintf(service->network, sizeof(service->network), "%s", network);
	read_vips(params, service);
	service->port = (uint16_t)param_int(params, "port", service->port);
	/* a port that is given alone is one port */
	service->end =
		(uint16_t)param_int(params, "end_port", param_given(params, "port") ? 0 : service->end);
	if (protocol)
		service->protocol = protocol_of(protocol);
	if (policy)
		snprintf(service->policy, sizeof(service->policy), "%s", policy);
	service->affinity_s = (uint32_t)param_int(params, "affinity_s", service->affinity_s);
	if (no_backend)
		service->drops = !strcmp(no_backend, "drop");
	if (locality)
		service->near = !strcmp(locality, "prefer");
	if (weights)
		service->measured = !strcmp(weights, "measured");
	if (on_critical)
		service->critical_ends = !strcmp(on_critical, "end");
	service->slow_start_ms = (uint32_t)param_int(params, "slow_start_ms", service->slow_start_ms);
	service->drain_ms = (uint32_t)param_int(params, "drain_ms", service->drain_ms);
	service->drain_reset = param_bool(params, "drain_reset", service->drain_reset);
	if (param_given(params, "ports"))
		read_ports(json_object_get(params, "ports"), service);
	if (check)
		service_check_read(check, &service->check);
}

void service_backend_read(const json_t *params, struct reg_backend *backend, struct reg_check *check)
{
	const char *id = param_str(params, "id");
	char address[IP_PORT_TEXT];

	ip_parse(param_str(params, "address"), &backend->address);
	backend->port = (uint16_t)param_int(params, "port", 0);
	if (!id)
		id = ip_port_text(backend->address, backend->port, address);
	snprintf(backend->id, sizeof(backend->id), "%s", id);
	service_backend_change(params, backend, check);
}

void service_backend_change(const json_t *params, struct reg_backend *backend, struct reg_check *check)
{
	const json_t *given = json_object_get(params, "check");

	backend->weight = (uint16_t)param_int(params, "weight", backend->weight);
	if (param_given(params, "warning_weight")) {
		backend->has_warning_weight = true;
		backend->warning_weight = (uint16_t)param_int(params, "warning_weight", 0);
	}
	if (given) {
		service_check_read(given, check);
		backend->own_checks = true;
		backend->ncheck = 1;
		backend->checks = check;
	}
}

static json_t *check_json(const struct reg_check *check)
{
	json_t *object;

	if (check->type == REG_CHECK_NONE)
		return json_null();
	object = json_object();
	put_str(object, "type", reg_check_type_name(check->type));
	put_int(object, "interval_ms", check->interval_ms);
	put_int(object, "timeout_ms", check->timeout_ms);
	put_int(object, "rise", check->rise);
	put_int(object, "fall", check->fall);
	if (check->path)
		put_str(object, "path", check->path);
	if (check->service)
		put_str(object, "service", check->service);
	if (check->tls)
		put_bool(object, "tls", true);
	if (check->tls_skip_verify)
		put_bool(object, "tls_skip_verify", true);
	return object;
}

/* Each of its checks and what that has found. */
static json_t *results_json(const struct reg_backend *backend)
{
	json_t *list = json_array(), *object;
	struct reg_result result;

	for (unsigned i = 0; registry_backend_result(backend, i, &result); i++) {
		object = json_object();
		put_str(object, "id", result.check->id);
		put_str(object, "type", reg_check_type_name(result.check->type));
		put_str(object, "health", reg_health_name(result.health));
		put_str(object, "output", result.output);
		json_object_update_new(object, check_json(result.check));
		json_array_append_new(list, object);
	}
	return list;
}

/* What the instance says about itself. */
static void put_about(json_t *object, struct registry *registry, const struct reg_backend *backend)
{
	const struct reg_metadata *about = backend->metadata;
	json_t *tags = json_array(), *meta = json_object();

	for (size_t i = 0; about && i < about->ntag; i++)
		json_array_append_new(tags, json_string(about->tags[i]));
	for (size_t i = 0; about && i < about->nmeta; i++)
		json_object_set_new(meta, about->meta[i].key, json_string(about->meta[i].value));
	put(object, "tags", tags);
	put(object, "meta", meta);
	put_str(object, "node", registry_node_find(registry, reg_backend_node(backend))->name);
}

/* The first one that holds for it. */
static const struct reg_check *check_of(const struct reg_service *service, const struct reg_backend *backend)
{
	static const struct reg_check none;

	if (!backend->own_checks)
		return &service->check;
	return backend->ncheck ? backend->checks : &none;
}

/* What the dataplane measures of backends that are chosen by it. */
static void put_load(json_t *object, const struct reg_service *service, const struct dp_backend_info *info)
{
	bool least = reg_service_is_least(service);

	put(object, "in_flight", least ? json_integer((json_int_t)info->in_flight) : json_null());
	put(object, "latency_us",
		least && info->latency_us ? json_integer((json_int_t)info->latency_us) : json_null());
	put(object, "told_in_flight",
		least && info->told ? json_integer((json_int_t)info->told_in_flight) : json_null());
	put(object, "told_age_ms", least && info->told ? json_integer(info->told_age_ms) : json_null());
}

/* Where it is, seen from here. */
static void put_place(json_t *object, struct model *model, const struct reg_service *service,
	const struct reg_backend *backend)
{
	static const char *const names[] = {"host", "zone", "far"};
	const char *zone = model_backend_zone(model, backend);

	put_str(object, "zone", zone[0] ? zone : NULL);
	put_str(object, "distance", names[model_backend_distance(model, service, backend)]);
}

json_t *service_backend_json(
	struct model *model, const struct reg_service *service, const struct reg_backend *backend)
{
	const struct model_service *known = model_service(model, service->name);
	struct dp_backend_info info = {0};
	json_t *object = json_object();
	char host[REG_HOST_MAX + 1];

	if (known && backend->balanced)
		model_backend_info(model, known, backend->address, backend->port, &info);
	put_str(object, "id", backend->id);
	put_str(object, "address", registry_backend_host(model->registry, backend, host));
	put_int(object, "port", backend->port);
	put_int(object, "weight", backend->weight);
	put_int(object, "warning_weight",
		backend->has_warning_weight ? backend->warning_weight : backend->weight);
	put_int(object, "told_weight",
		registry_told_weight(model->registry, service->name, backend, reg_backend_weight(backend)));
	put_str(object, "health", reg_health_name(backend->health));
	put_bool(object, "balanced", backend->balanced && reg_backend_weight(backend) > 0);
	put_int(object, "connections", info.connections);
	put(object, "drain_left_ms", info.drains ? json_integer(info.drain_left_ms) : json_null());
	put_int(object, "packets", info.packets);
	put_int(object, "bytes", info.bytes);
	put_int(object, "opened", info.opened);
	put_int(object, "answered", info.answered);
	put_int(object, "refused", info.refused);
	put_load(object, service, &info);
	put_place(object, model, service, backend);
	put(object, "check", check_json(check_of(service, backend)));
	put(object, "checks", results_json(backend));
	put_str(object, "output", backend->output);
	put_about(object, model->registry, backend);
	put_str(object, "source", backend->source);
	return object;
}

struct gathering {
	struct model *model;
	const struct reg_service *service;
	json_t *list;
};

static bool gather(void *arg, const struct reg_backend *backend)
{
	struct gathering *gathering = arg;

	json_array_append_new(
		gathering->list, service_backend_json(gathering->model, gathering->service, backend));
	return true;
}

static json_t *ports_json(const struct reg_service *service)
{
	json_t *list = json_array(), *object;

	for (unsigned i = 0; i < service->nport; i++) {
		const struct reg_port *port = &service->ports[i];

		object = json_object();
		put_str(object, "name", port->name[0] ? port->name : NULL);
		put_int(object, "port", port->port);
		put(object, "end_port", port->end ? json_integer(port->end) : json_null());
		put_int(object, "target_port", port->target);
		put_str(object, "protocol", reg_protocol_name(port->protocol));
		json_array_append_new(list, object);
	}
	return list;
}

static json_t *vips_json(const struct reg_service *service)
{
	json_t *list = json_array();
	char text[IP_TEXT];

	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		struct ip_addr vip = reg_service_vip(service, ip6);

		if (!ip_is_none(vip))
			json_array_append_new(list, json_string(ip_text(vip, text)));
	}
	return list;
}

json_t *service_head_json(struct model *model, const struct reg_service *service)
{
	char vip[IP_TEXT];
	json_t *object = json_object();

	put_str(object, "name", service->name);
	put_str(object, "network", service->network[0] ? service->network : NULL);
	put_str(object, "vip", ip_is_none(service->vip) ? NULL : ip_text(service->vip, vip));
	put(object, "vips", vips_json(service));
	put(object, "port", service->port ? json_integer(service->port) : json_null());
	put(object, "end_port", service->end ? json_integer(service->end) : json_null());
	put_str(object, "protocol", reg_protocol_name(service->protocol));
	put(object, "ports", ports_json(service));
	put_str(object, "policy", service->policy);
	put_str(object, "locality", service->near ? "prefer" : "off");
	put_str(object, "weights", service->measured ? "measured" : "set");
	put_int(object, "affinity_s", service->affinity_s);
	put_str(object, "no_backend", service->drops ? "drop" : "reject");
	put_str(object, "on_critical", service->critical_ends ? "end" : "keep");
	put_int(object, "slow_start_ms", service->slow_start_ms);
	put_int(object, "drain_ms", service->drain_ms);
	put_bool(object, "drain_reset", service->drain_reset);
	put_int(object, "generation", registry_service_generation(model->registry, service->name));
	put(object, "check", check_json(&service->check));
	put_str(object, "source", service->source);
	scope_put(model, object, "service", service->name, service->source);
	return object;
}

json_t *service_json(struct model *model, const char *name)
{
	const struct reg_service *service = registry_service_find(model->registry, name);
	struct gathering gathering = {model, service, json_array()};
	json_t *object;

	if (!service) {
		json_decref(gathering.list);
		return NULL;
	}
	object = service_head_json(model, service);
	registry_backend_walk(model->registry, name, gather, &gathering);
	put(object, "backends", gathering.list);
	return object;
}
