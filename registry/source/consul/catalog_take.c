/*
 * catalog_take.c: what clients write into the catalog: nodes, instances on them, and checks whose status
 * they tell themselves.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "registry/source/consul/inside.h"

static int read_node(const json_t *body, struct reg_node *node, struct reg_pair meta[CONSUL_LIST],
	struct reg_tagged tagged[CONSUL_LIST], struct reg_err *err)
{
	struct consul_body in = {body, err, 0};
	const char *name = consul_text(&in, "Node"), *address = consul_text(&in, "Address"),
		   *id = consul_text(&in, "ID");

	node->nmeta = consul_pairs(&in, "NodeMeta", meta);
	node->ntagged = consul_read_tagged(&in, "TaggedAddresses", tagged);
	if (!name || !address)
		return consul_bad(&in, -EINVAL, "Must provide node and address");
	if (in.rc)
		return in.rc;
	if (strlen(name) > REG_NODE_MAX || strlen(address) > REG_HOST_MAX)
		return reg_fail(err, -EINVAL, "%s: longer than %d bytes",
			strlen(name) > REG_NODE_MAX ? "Node" : "Address",
			strlen(name) > REG_NODE_MAX ? REG_NODE_MAX : REG_HOST_MAX);
	snprintf(node->name, sizeof(node->name), "%s", name);
	snprintf(node->address, sizeof(node->address), "%s", address);
	snprintf(node->id, sizeof(node->id), "%s", id ? id : "");
	snprintf(node->source, sizeof(node->source), CONSUL_SOURCE);
	node->meta = meta;
	node->tagged = tagged;
	return 0;
}

/* The checks of a body by whom they are of: the node itself, or (`service`) its instances. */
struct reading {
	const char *service; /* id of the instance, "": the node */
	struct consul_checks *list;
	struct reg_err *err;
};

static int read_result(void *arg, const json_t *check, unsigned i, unsigned n)
{
	struct reading *reading = arg;
	struct consul_body in = {check, reading->err, 0};
	const char *service = consul_text(&in, "ServiceID");

	if (in.rc || strcmp(service ? service : "", reading->service) != 0)
		return in.rc;
	return consul_read_result(check, reading->list, reading->err);
}

static const char *output_of(const json_t *check)
{
	const char *text = json_string_value(consul_field(check, "Output"));

	return text ? text : "";
}

/* What the body tells of the node's own checks. */
static int take_node_checks(struct consul *consul, const json_t *body, const char *node,
	struct consul_checks *list, struct reg_err *err)
{
	struct consul_checks had = {0};
	unsigned given;
	int rc = consul_each_check(body, read_result, &(struct reading){"", list, err}, err);

	given = list->n;
	if (rc || !given)
		return rc;
	consul_node_checks(consul, node, "", &had);
	rc = consul_checks_merge(list, had.spec, had.n, err);
	if (!rc)
		rc = registry_node_checks(consul->reg, node, list->spec, (uint16_t)list->n, err);
	for (unsigned i = 0; !rc && i < given; i++)
		rc = registry_node_beat(consul->reg, node, list->spec[i].id, list->spec[i].initial,
			output_of(list->body[i]), err);
	return rc;
}

/* And of the checks of an instance on it, which is in the table already. */
static int take_results(struct consul *consul, const json_t *body, const char *service, const char *id,
	struct consul_checks *list, struct reg_err *err)
{
	const struct reg_backend *backend = registry_backend_find(consul->reg, service, id);
	struct reg_backend now = *backend;
	unsigned given;
	int rc = consul_each_check(
		body, read_result, &(struct reading){reg_backend_own_id(backend), list, err}, err);

	given = list->n;
	if (!rc)
		rc = consul_checks_merge(list, backend->checks, backend->ncheck, err);
	if (rc || !given)
		return rc;
	now.own_checks = true;
	now.ncheck = (uint16_t)list->n;
	now.checks = list->spec;
	rc = registry_backend_put(consul->reg, service, &now, err);
	for (unsigned i = 0; !rc && i < given; i++)
		rc = registry_backend_beat(consul->reg, service, id, list->spec[i].id, list->spec[i].initial,
			output_of(list->body[i]), err);
	return rc;
}

/* The instance alone: the node is kept by itself. */
static void keep_service(struct consul *consul, const struct consul_registration *read, const json_t *service,
	const struct consul_checks *list)
{
	json_t *body = json_pack("{s:s, s:O}", "Node", read->metadata.node, "Service", service);

	if (body)
		consul_keep(consul, read->name, &read->backend, body, list);
	json_decref(body);
}

/* An instance on another node, with what it had of checks. */
static int take_service(struct consul *consul, const json_t *body, const char *node, struct reg_err *err)
{
	const json_t *service = consul_field(body, "Service");
	struct consul_checks list = {0};
	struct consul_registration read;
	const struct reg_backend *now;
	int rc = consul_read_service(service, "Service", node, &read, err);

	if (rc)
		return rc;
	now = registry_backend_find(consul->reg, read.name, read.backend.id);
	if (now) {
		read.backend.own_checks = now->own_checks;
		read.backend.ncheck = now->ncheck;
		read.backend.checks = now->checks;
	}
	rc = registry_backend_put(consul->reg, read.name, &read.backend, err);
	if (!rc)
		rc = take_results(consul, body, read.name, read.backend.id, &list, err);
	if (!rc)
		keep_service(consul, &read, service, &list);
	consul_checks_clear(&list);
	return rc;
}

struct others {
	struct consul *consul;
	const json_t *body;
	const char *node, *service; /* NULL: the body has none */
	struct reg_err *err;
};

/* A check of an instance that was registered before. */
static int take_other(void *arg, const json_t *check, unsigned i, unsigned n)
{
	struct others *others = arg;
	struct consul_checks list = {0};
	struct consul_body in = {check, others->err, 0};
	const char *id = consul_text(&in, "ServiceID"), *service;
	char key[REG_ID_MAX + 1];
	int rc;

	if (!id || (others->service && strcmp(id, others->service) == 0))
		return in.rc;
	service = consul_service_on(others->consul, others->node, id);
	if (!service || snprintf(key, sizeof(key), "%s/%s", others->node, id) >= (int)sizeof(key))
		return reg_fail(others->err, -ENOENT, "ServiceID \"%s\" does not exist", id);
	rc = take_results(others->consul, others->body, service, key, &list, others->err);
	if (!rc)
		consul_keep(others->consul, service, registry_backend_find(others->consul->reg, service, key),
			NULL, &list);
	consul_checks_clear(&list);
	return rc;
}

static json_t *told_json(const struct reg_result *result)
{
	const struct reg_check *check = result->check;
	json_t *definition = check->definition ? json_loads(check->definition, 0, NULL) : NULL;

	return json_pack("{s:s, s:s*, s:s*, s:s, s:s, s:s*, s:o*}", "CheckID", check->id, "Name", check->name,
		"Notes", check->notes, "Status", consul_status(result->health), "Output", result->output,
		"Type", check->kind, "Definition", definition);
}

/* The node as `body` (taken over) has it, with what is told of itself. */
static void keep_node(struct consul *consul, const char *name, json_t *body)
{
	const struct reg_node *node = registry_node_find(consul->reg, name);
	json_t *checks = json_array();
	struct reg_result result;

	for (unsigned i = 0; registry_node_result(node, i, &result); i++)
		json_array_append_new(checks, told_json(&result));
	consul_del_field(body, "Service");
	consul_del_field(body, "Check");
	consul_del_field(body, "Checks");
	json_object_set_new(body, "Checks", checks);
	consul_keep_node(consul, name, body);
	json_decref(body);
}

static int take_on_node(
	struct consul *consul, const json_t *body, const struct reg_node *node, struct reg_err *err)
{
	struct consul_body service = {consul_field(body, "Service"), err, 0};
	struct others others = {consul, body, node->name, consul_text(&service, "ID"), err};
	struct consul_checks list = {0};
	int rc = registry_node_put(consul->reg, node, err);

	if (!rc)
		rc = take_node_checks(consul, body, node->name, &list, err);
	consul_checks_clear(&list);
	if (!rc) /* before what runs on it, as it comes back */
		keep_node(consul, node->name, json_copy((json_t *)body));
	if (!rc && service.json)
		rc = take_service(consul, body, node->name, err);
	if (!others.service)
		others.service = consul_text(&service, "Service");
	return rc ? rc : consul_each_check(body, take_other, &others, err);
}

int consul_restore_catalog(struct consul *consul, const json_t *body, struct reg_err *err)
{
	struct consul_body in = {body, err, 0};
	const char *node = consul_text(&in, "Node");
	int rc;

	if (!node)
		return consul_bad(&in, -EINVAL, "Node: missing");
	registry_batch_begin(consul->reg);
	rc = take_service(consul, body, node, err);
	registry_batch_end(consul->reg);
	return rc;
}

/* An entry of the catalog for this daemon's own node is a registration with its agent. */
static int take_here(struct consul *consul, const json_t *body, struct reg_err *err)
{
	const json_t *service = consul_field(body, "Service");
	json_t *copy;
	int rc;

	if (json_object_size(consul_field(body, "Check")) || json_array_size(consul_field(body, "Checks")))
		return reg_fail(err, -ENOTSUP,
			"Check: the checks of this agent's own node come by agent/check/register");
	if (!service)
		return 0;
	copy = json_copy((json_t *)service);
	if (!copy)
		return reg_fail(err, -ENOMEM, "out of memory");
	json_object_set(copy, "Name", (json_t *)consul_field(service, "Service"));
	rc = consul_take(consul, copy, false, err);
	json_decref(copy);
	return rc;
}

static int check_service(const json_t *body, const char *node, struct reg_err *err)
{
	const json_t *service = consul_field(body, "Service");
	struct consul_registration read;

	return service ? consul_read_service(service, "Service", node, &read, err) : 0;
}

/* Could it be taken? */
static int check_one(void *arg, const json_t *check, unsigned i, unsigned n)
{
	struct consul_body in = {check, arg, 0};
	struct consul_checks list = {0};
	int rc;

	consul_text(&in, "ServiceID");
	rc = in.rc ? in.rc : consul_read_result(check, &list, arg);
	consul_checks_clear(&list);
	return rc;
}

int consul_take_catalog(struct consul *consul, const json_t *body, struct reg_err *err)
{
	struct reg_tagged tagged[CONSUL_LIST];
	struct reg_pair meta[CONSUL_LIST];
	struct reg_node node = {0};
	const struct reg_node *known;
	int rc = read_node(body, &node, meta, tagged, err);

	if (!rc)
		rc = check_service(body, node.name, err);
	if (!rc)
		rc = consul_each_check(body, check_one, err, err);
	if (rc < 0)
		return rc;
	known = registry_node_find(consul->reg, node.name);
	if (known && known->local)
		return take_here(consul, body, err);
	registry_batch_begin(consul->reg);
	rc = take_on_node(consul, body, &node, err);
	if (rc < 0 && !known) { /* nothing is left of it */
		registry_node_del(consul->reg, node.name, NULL);
		consul_keep_node(consul, node.name, NULL);
	}
	registry_batch_end(consul->reg);
	return rc;
}

/* An instance of the node that has the check called `id`. */
struct search {
	struct registry *reg;
	const char *node, *check;
	const char *service;
	const struct reg_backend *found;
};

static bool has_check(void *arg, const struct reg_backend *backend)
{
	struct search *search = arg;

	if (strcmp(reg_backend_node(backend), search->node) != 0 || !backend->own_checks)
		return true;
	for (unsigned i = 0; i < backend->ncheck; i++)
		if (backend->checks[i].id && strcmp(backend->checks[i].id, search->check) == 0)
			search->found = backend;
	return !search->found;
}

static bool search_service(void *arg, const struct reg_service *service)
{
	struct search *search = arg;

	search->service = service->name;
	registry_backend_walk(search->reg, service->name, has_check, search);
	return !search->found;
}

static void drop_check(struct consul *consul, const char *node, const char *id)
{
	struct search search = {consul->reg, node, id, NULL, NULL};
	struct consul_checks list = {0};
	struct reg_backend now;
	char service[REG_SERVICE_MAX + 1];
	json_t *body;

	registry_service_walk(consul->reg, search_service, &search);
	if (search.found) {
		now = *search.found;
		snprintf(service, sizeof(service), "%s", search.service);
		consul_backend_checks(search.found, id, &list);
		now.ncheck = (uint16_t)list.n;
		now.checks = list.spec;
		registry_backend_put(consul->reg, service, &now, NULL);
		consul_keep(
			consul, service, registry_backend_find(consul->reg, service, now.id), NULL, &list);
		return;
	}
	consul_node_checks(consul, node, id, &list);
	registry_node_checks(consul->reg, node, list.spec, (uint16_t)list.n, NULL);
	body = consul_kept_node(consul, node);
	if (body)
		keep_node(consul, node, body);
}

static void drop_instance(struct consul *consul, const char *node, const char *id)
{
	const char *service = consul_service_on(consul, node, id);
	char key[REG_ID_MAX + 1], name[REG_SERVICE_MAX + 1];

	if (!service ||
		snprintf(key, sizeof(key), "%s%s%s", node, node[0] ? "/" : "", id) >= (int)sizeof(key))
		return;
	snprintf(name, sizeof(name), "%s", service);
	registry_backend_del(consul->reg, name, key, NULL);
}

void consul_drop_catalog(
	struct consul *consul, const struct reg_node *node, const char *id, const char *check)
{
	char name[REG_NODE_MAX + 1];

	snprintf(name, sizeof(name), "%s", node->local ? "" : node->name);
	if (id)
		drop_instance(consul, name, id);
	else if (check && name[0])
		drop_check(consul, name, check);
	else if (check)
		consul_check_remove(consul, check, NULL);
	else if (name[0] && registry_node_del(consul->reg, name, NULL) == 0)
		consul_keep_node(consul, name, NULL);
}
