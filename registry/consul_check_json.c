/* consul_check_json.c: checks as Consul shows them. */
#include <stdio.h>
#include <string.h>

#include "registry/consul.h"
#include "registry/duration.h"

#define MAINTENANCE "_service_maintenance:"

const char *consul_status(enum reg_health health)
{
	return health == REG_PASSING ? "passing" : health == REG_WARNING ? "warning" : "critical";
}

/* What is told of a check; empty texts are told as such. */
struct told {
	const char *id, *name, *notes, *output, *type;
	enum reg_health health;
	uint64_t created, modified;
};

static json_t *check_json(const struct reg_node *node, const struct told *told)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:[], s:s, s:{}, s:I, s:I}", "Node",
		node->name, "CheckID", told->id, "Name", told->name, "Status", consul_status(told->health),
		"Notes", told->notes, "Output", told->output, "ServiceID", "", "ServiceName", "",
		"ServiceTags", "Type", told->type, "Definition", "CreateIndex",
		(json_int_t)(told->created ? told->created : 1), "ModifyIndex",
		(json_int_t)(told->modified ? told->modified : 1));
}

void consul_put_node_checks(json_t *list, struct http *http, const struct reg_node *node)
{
	struct told told = {"serfHealth", "Serf Health Status", "", "Agent alive and reachable", "",
		REG_PASSING, node->created, node->modified};

	json_array_append_new(list, check_json(node, &told));
}

/* The check of the instance itself; its intervals where it has any. */
static void put_definition(json_t *object, const struct reg_check *spec)
{
	char interval[DURATION_TEXT], timeout[DURATION_TEXT];

	duration_text((int64_t)spec->interval_ms * 1000, interval);
	duration_text((int64_t)spec->timeout_ms * 1000, timeout);
	if (spec->type == REG_CHECK_TTL)
		json_object_set_new(object, "Definition", json_pack("{s:s}", "TTL", interval));
	else if (spec->type != REG_CHECK_PORT)
		json_object_set_new(object, "Definition",
			json_pack("{s:s, s:s}", "Interval", interval, "Timeout", timeout));
}

static void put(json_t *list, const struct reg_node *node, const char *service,
	const struct reg_backend *backend, const struct told *told, const struct reg_check *spec)
{
	json_t *object = check_json(node, told);
	char id[CONSUL_ID];

	json_object_set_new(object, "ServiceID", json_string(consul_id(service, backend, id)));
	json_object_set_new(object, "ServiceName", json_string(service));
	json_object_set_new(object, "ServiceTags", consul_tags_json(backend));
	if (spec)
		put_definition(object, spec);
	json_array_append_new(list, object);
}

/* A drained instance is in maintenance, whichever door drained it. */
static void put_maintenance(json_t *list, const struct reg_node *node, const char *service,
	const struct reg_backend *backend, const struct consul_instance *instance)
{
	char id[CONSUL_ID], check[CONSUL_ID + sizeof(MAINTENANCE)];
	struct told told = {check, "Service Maintenance Mode",
		instance && instance->reason ? instance->reason : "drained", "", "maintenance", REG_CRITICAL,
		backend->created, backend->modified};

	snprintf(check, sizeof(check), MAINTENANCE "%s", consul_id(service, backend, id));
	put(list, node, service, backend, &told, NULL);
}

/* What its check found, or its switch port; while drained only the former is not known. */
static enum reg_health own_health(const struct reg_backend *backend)
{
	return backend->health == REG_DRAINING ? backend->checked : backend->health;
}

void consul_put_checks(
	json_t *list, struct http *http, const char *service, const struct reg_backend *backend)
{
	const struct reg_node *node = registry_node_find(http->reg, reg_backend_node(backend));
	const struct reg_service *def = registry_service_find(http->reg, service);
	const struct consul_instance *instance = strcmp(backend->source, CONSUL_SOURCE) == 0
							 ? consul_instance_of(http->consul, backend->id)
							 : NULL;
	const struct reg_check *spec = backend->has_check ? &backend->check : &def->check;
	char id[CONSUL_ID], check[CONSUL_ID + 16], name[REG_NAME_MAX + 32];
	struct told told = {check, name, "", backend->output, reg_check_type_name(spec->type),
		own_health(backend), backend->created, backend->modified};

	if (backend->drained)
		put_maintenance(list, node, service, backend, instance);
	snprintf(check, sizeof(check), "service:%s", consul_id(service, backend, id));
	snprintf(name, sizeof(name), "Service '%s' check", service);
	if (instance && instance->check)
		told.id = instance->check;
	if (instance && instance->name)
		told.name = instance->name;
	if (instance && instance->notes)
		told.notes = instance->notes;
	if (backend->port_down) {
		told.output = "the port is down";
		told.health = REG_CRITICAL;
	}
	if (spec->type != REG_CHECK_NONE || backend->port_down)
		put(list, node, service, backend, &told, spec);
}
