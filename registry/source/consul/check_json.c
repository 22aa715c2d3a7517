/* check_json.c: checks as Consul shows them. */
#include <stdio.h>
#include <string.h>

#include "addr/ip_text.h"
#include "registry/base/duration.h"
#include "registry/source/consul/inside.h"

#define MAINTENANCE "_service_maintenance:"
#define PORT "_switch_port:"
#define NODE_REASON                                                                                          \
	"Maintenance mode is enabled for this node, but no reason was provided. This is a default message."

const char *consul_status(enum reg_health health)
{
	return health == REG_PASSING ? "passing" : health == REG_WARNING ? "warning" : "critical";
}

/* What is told of a check; empty texts are told as such. */
struct check_view {
	const char *id, *name, *notes, *output, *type;
	enum reg_health health;
	uint64_t created, modified;
};

static json_t *check_json(const struct reg_node *node, const struct check_view *view)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:[], s:s, s:{}, s:I, s:I}", "Node",
		node->name, "CheckID", view->id, "Name", view->name, "Status", consul_status(view->health),
		"Notes", view->notes, "Output", view->output, "ServiceID", "", "ServiceName", "",
		"ServiceTags", "Type", view->type, "Definition", "CreateIndex",
		(json_int_t)(view->created ? view->created : 1), "ModifyIndex",
		(json_int_t)(view->modified ? view->modified : 1));
}

/* "http", "tcp", ...; "" for what nobody checks. */
static const char *type_of(const struct reg_check *check)
{
	if (check->kind)
		return check->kind;
	return check->type == REG_CHECK_TTL && !check->interval_ms ? "" : reg_check_type_name(check->type);
}

static void set_duration(json_t *object, const char *name, uint32_t ms)
{
	char text[DURATION_TEXT];

	if (!ms)
		return;
	duration_text((int64_t)ms * 1000, text);
	json_object_set_new(object, name, json_string(text));
}

/* What is probed, as it was written: an address, or a URL. */
static void set_target(json_t *object, const struct reg_check *check, const struct reg_backend *backend)
{
	struct ip_addr address = backend ? backend->address : (struct ip_addr){0};
	unsigned port = check->port ? check->port : backend ? backend->port : 0;
	char at[IP_PORT_TEXT];

	if (!ip_is_none(check->address))
		address = check->address;
	ip_port_text(address, (uint16_t)port, at);
	if (check->type == REG_CHECK_HTTP)
		json_object_set_new(object, "HTTP",
			json_sprintf("%s://%s%s", check->tls ? "https" : "http", at,
				check->path ? check->path : ""));
	else
		json_object_set_new(object, check->type == REG_CHECK_TCP ? "TCP" : "GRPC",
			json_sprintf("%s%s%s", at, check->service ? "/" : "",
				check->service ? check->service : ""));
}

static json_t *definition_json(const struct reg_check *check, const struct reg_backend *backend)
{
	json_t *object = check->definition ? json_loads(check->definition, 0, NULL) : json_object();

	if (check->definition)
		return object;
	switch (check->type) {
	case REG_CHECK_TTL:
		set_duration(object, "TTL", check->interval_ms);
		break;
	case REG_CHECK_TCP:
	case REG_CHECK_HTTP:
	case REG_CHECK_GRPC:
		set_target(object, check, backend);
		set_duration(object, "Interval", check->interval_ms);
		set_duration(object, "Timeout", check->timeout_ms);
		break;
	case REG_CHECK_ALIAS:
		if (check->alias)
			json_object_set_new(object, "AliasService", json_string(check->alias));
		if (check->alias_node)
			json_object_set_new(object, "AliasNode", json_string(check->alias_node));
		break;
	default:
		break;
	}
	set_duration(object, "DeregisterCriticalServiceAfter", check->reap_ms);
	return object;
}

static const char *text_or(const char *text, const char *other)
{
	return text ? text : other;
}

static struct check_view node_check_view(const struct reg_node *node, const char *id, const char *name)
{
	return (struct check_view){.id = id,
		.name = name,
		.notes = "",
		.output = "",
		.type = "",
		.health = REG_CRITICAL,
		.created = node->created,
		.modified = node->modified};
}

/* What tells of hosts makes a check of it; nobody else does. */
static bool has_serf(const struct reg_node *node, enum reg_health *health)
{
	struct reg_result result;

	for (unsigned i = 0; registry_node_result(node, i, &result); i++)
		if (strcmp(result.check->id, REG_SERF) == 0) {
			*health = result.health;
			return true;
		}
	return false;
}

bool consul_node_lives(const struct reg_node *node)
{
	enum reg_health health;

	return !has_serf(node, &health) || health == REG_PASSING;
}

static void put_serf(json_t *list, const struct reg_node *node)
{
	struct check_view view = node_check_view(node, REG_SERF, "Serf Health Status");

	view.output = "Agent alive and reachable";
	view.health = REG_PASSING;
	json_array_append_new(list, check_json(node, &view));
}

void consul_put_node_checks(json_t *list, struct consul *consul, const struct reg_node *node, bool serf)
{
	struct check_view view;
	struct reg_result result;
	enum reg_health health;
	json_t *object;

	if (serf && !has_serf(node, &health))
		put_serf(list, node);
	if (node->drained) {
		view = node_check_view(node, "_node_maintenance", "Node Maintenance Mode");
		view.notes = text_or(node->reason, NODE_REASON);
		view.type = "maintenance";
		json_array_append_new(list, check_json(node, &view));
	}
	for (unsigned i = 0; registry_node_result(node, i, &result); i++) {
		view = node_check_view(node, result.check->id, text_or(result.check->name, result.check->id));
		view.notes = text_or(result.check->notes, "");
		view.output = result.output;
		view.type = type_of(result.check);
		view.health = result.health;
		object = check_json(node, &view);
		json_object_set_new(object, "Definition", definition_json(result.check, NULL));
		json_array_append_new(list, object);
	}
}

/* Whose checks are view. */
struct subject {
	const struct reg_node *node;
	const char *service;
	const struct reg_backend *backend;
	char id[CONSUL_ID]; /* of the instance */
};

static struct check_view backend_check_view(const struct subject *subject, const char *id, const char *name)
{
	struct check_view view = node_check_view(subject->node, id, name);

	view.created = subject->backend->created;
	view.modified = subject->backend->modified;
	return view;
}

static void put(
	json_t *list, const struct subject *subject, const struct check_view *view, json_t *definition)
{
	json_t *object = check_json(subject->node, view);

	json_object_set_new(object, "ServiceID", json_string(subject->id));
	json_object_set_new(object, "ServiceName", json_string(subject->service));
	json_object_set_new(object, "ServiceTags", consul_tags_json(subject->backend));
	if (definition)
		json_object_set_new(object, "Definition", definition);
	json_array_append_new(list, object);
}

/* A drained instance is in maintenance, whichever door drained it. */
static void put_maintenance(json_t *list, struct consul *consul, const struct subject *subject)
{
	const struct consul_instance *instance = consul_instance_of(consul, subject->backend->id);
	char check[CONSUL_ID + sizeof(MAINTENANCE)];
	struct check_view view = backend_check_view(subject, check, "Service Maintenance Mode");

	if (strcmp(subject->backend->source, CONSUL_SOURCE) != 0)
		instance = NULL;
	snprintf(check, sizeof(check), MAINTENANCE "%s", subject->id);
	view.notes = instance && instance->reason ? instance->reason : "drained";
	view.type = "maintenance";
	put(list, subject, &view, NULL);
}

/* Its switch port takes it out, whatever its checks found. */
static void put_port(json_t *list, const struct subject *subject)
{
	char check[CONSUL_ID + sizeof(PORT)];
	struct check_view view = backend_check_view(subject, check, "Switch port");

	snprintf(check, sizeof(check), PORT "%s", subject->id);
	view.output = "the port is down";
	view.type = "port";
	put(list, subject, &view, NULL);
}

static void put_result(json_t *list, const struct subject *subject, const struct reg_result *result)
{
	char check[CONSUL_ID + sizeof(CONSUL_OWN_CHECK)], name[REG_SERVICE_MAX + 32];
	struct check_view view = backend_check_view(
		subject, text_or(result->check->id, check), text_or(result->check->name, name));

	snprintf(check, sizeof(check), CONSUL_OWN_CHECK "%s", subject->id);
	snprintf(name, sizeof(name), "Service '%s' check", subject->service);
	view.notes = text_or(result->check->notes, "");
	view.output = result->output;
	view.type = type_of(result->check);
	view.health = result->health;
	put(list, subject, &view, definition_json(result->check, subject->backend));
}

void consul_put_checks(
	json_t *list, struct consul *consul, const char *service, const struct reg_backend *backend)
{
	struct subject subject = {
		registry_node_find(consul->reg, reg_backend_node(backend)), service, backend, ""};
	struct reg_result result;

	consul_id(service, backend, subject.id);
	if (backend->drained)
		put_maintenance(list, consul, &subject);
	if (backend->port_down)
		put_port(list, &subject);
	for (unsigned i = 0; registry_backend_result(backend, i, &result); i++)
		put_result(list, &subject, &result);
}
