/* consul_check_json.c: checks as Consul shows them. */
#include <stdio.h>
#include <string.h>

#include "registry/consul.h"

const char *consul_status(enum reg_health health)
{
	return health == REG_PASSING ? "passing" : health == REG_WARNING ? "warning" : "critical";
}

static json_t *check_json(const struct reg_node *node, const char *id, const char *name,
	enum reg_health health, const char *output, const char *type)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:[], s:s, s:{}, s:i, s:i}", "Node",
		node->name, "CheckID", id, "Name", name, "Status", consul_status(health), "Notes", "",
		"Output", output, "ServiceID", "", "ServiceName", "", "ServiceTags", "Type", type,
		"Definition", "CreateIndex", (int)(node->created ? node->created : 1), "ModifyIndex",
		(int)(node->modified ? node->modified : 1));
}

void consul_put_node_checks(json_t *list, struct http *http, const struct reg_node *node)
{
	json_array_append_new(list, check_json(node, "serfHealth", "Serf Health Status", REG_PASSING,
					    "Agent alive and reachable", ""));
}

void consul_put_checks(
	json_t *list, struct http *http, const char *service, const struct reg_backend *backend)
{
	const struct reg_node *node = registry_node_find(http->reg, reg_backend_node(backend));
	char id[CONSUL_ID], check[CONSUL_ID + 16], name[REG_NAME_MAX + 32];
	json_t *object;

	if (backend->health == REG_PASSING && !backend->output[0])
		return; /* it needs no check */
	snprintf(check, sizeof(check), "service:%s", consul_id(service, backend, id));
	snprintf(name, sizeof(name), "Service '%s' check", service);
	object = check_json(node, check, name, backend->health, backend->output, "");
	json_object_set_new(object, "ServiceID", json_string(id));
	json_object_set_new(object, "ServiceName", json_string(service));
	json_object_set_new(object, "ServiceTags", consul_tags_json(backend));
	json_object_set_new(object, "ModifyIndex", json_integer((json_int_t)backend->modified));
	json_array_append_new(list, object);
}
