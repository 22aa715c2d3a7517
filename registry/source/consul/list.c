/* list.c: what a query keeps of a list, and what it waits for. */
#include <stdio.h>
#include <string.h>

#include "registry/filter/filter.h"
#include "registry/http/part.h"
#include "registry/source/consul/inside.h"

bool consul_filter(struct http_request *rq, struct filter **out)
{
	const char *text = http_param(rq, "filter");
	struct reg_err err;
	int rc;

	*out = NULL;
	if (!text || !*text)
		return true;
	rc = filter_parse(text, out, &err);
	if (rc < 0)
		http_fail(rq, rc == -EINVAL ? 400 : 500, "Failed to create boolean expression evaluator: %s",
			err.text);
	return rc == 0;
}

/* What Consul tells of the service mesh, which nothing here is part of, and its filters may ask for. */
#define PROXY                                                                                                \
	"{\"DestinationServiceID\": \"\", \"DestinationServiceName\": \"\", \"LocalServiceAddress\": \"\","  \
	" \"LocalServicePort\": 0, \"Mode\": \"\", \"MeshGateway\": {\"Mode\": \"\"},"                       \
	" \"TransparentProxy\": {\"OutboundListenerPort\": 0}, \"Upstreams\": []}"
#define MESH "\"Kind\": \"\", \"Connect\": {\"Native\": false}, \"Proxy\": " PROXY

json_t *consul_absent(void)
{
	return json_loads("{" MESH ", \"Service\": {" MESH "},"
			  " \"ServiceConnect\": {\"Native\": false}, \"ServiceProxy\": " PROXY "}",
		0, NULL);
}

int consul_matches(struct http_work *work, const json_t *item)
{
	struct reg_err err;
	char text[sizeof(err.text) + 64];
	int rc = work->filter
			 ? filter_match(work->filter, item, consul_of(work->rq)->absent, &work->budget, &err)
			 : 1;

	if (rc >= 0)
		return rc;
	snprintf(text, sizeof(text), "Failed to create boolean expression evaluator: %s", err.text);
	http_work_fail(work, 400, text);
	return rc;
}

/* Of an instance, a check or a node itself; NULL: it is of none. */
static const char *node_of(const json_t *entry)
{
	const json_t *node = json_object_get(entry, "Node");

	return json_string_value(json_is_object(node) ? json_object_get(node, "Node") : node);
}

bool consul_list_begin(struct http_work *work)
{
	struct http_request *rq = work->rq;
	const char *near = http_param(rq, "near");

	if (near && (strcmp(near, "_agent") == 0 || strcmp(near, "_ip") == 0))
		near = registry_node_find(rq->http->reg, "")->name;
	if (near)
		snprintf(work->near, sizeof(work->near), "%s", near);
	return consul_filter(rq, &work->filter);
}

bool consul_walk_service(struct http_work *work)
{
	return registry_instances_in(
		work->rq->http->reg, work->rq->arg[0], &work->at, work->list->instance, work);
}

bool consul_walk_all(struct http_work *work)
{
	return registry_instances(work->rq->http->reg, &work->at, work->list->instance, work);
}

bool consul_put(struct http_work *work, const char *key, json_t *item)
{
	const char *node;
	int rc = consul_matches(work, item);

	if (rc <= 0) {
		json_decref(item);
		return http_work_looked(work);
	}
	node = work->near[0] ? node_of(item) : NULL;
	return http_work_put(work, key, item, node && strcmp(node, work->near) == 0);
}

bool consul_put_each(struct http_work *work, json_t *list)
{
	json_t *check;
	size_t i;

	json_array_foreach (list, i, check)
		consul_put(work,
			work->list->object ? json_string_value(json_object_get(check, "CheckID")) : NULL,
			json_incref(check));
	json_decref(list);
	return http_work_looked(work);
}

bool consul_put_instance(struct http_work *work, const char *service, const struct reg_backend *backend,
	json_t *(*json)(struct consul *consul, const char *service, const struct reg_backend *backend))
{
	struct http *http = work->rq->http;
	struct http_subject subject = {
		.of = backend, .way = work->list, .revision = registry_backend_revision(http->reg, backend)};
	size_t len;
	bool as_text = http_work_takes_text(work);
	const char *text = as_text ? http_part_text(http, &subject, &len) : NULL;
	json_t *item = text ? NULL : http_part_json(http, &subject);

	if (!text && !item) {
		item = json(consul_of(work->rq), service, backend);
		http_part_put(work->rq, &subject, item);
		text = as_text ? http_part_text(http, &subject, &len) : NULL;
	}
	if (!text)
		return consul_put(work, NULL, item);
	json_decref(item);
	return http_work_put_part(work, text, len);
}

static const char *meta_of(const struct reg_node *node, const char *key, size_t len)
{
	for (size_t i = 0; i < node->nmeta; i++)
		if (strncmp(node->meta[i].key, key, len) == 0 && !node->meta[i].key[len])
			return node->meta[i].value;
	return NULL;
}

bool consul_node_wanted(const struct http_request *rq, const struct reg_node *node)
{
	for (const struct http_pair *pair = rq->query; pair->name; pair++) {
		const char *colon = strchrnul(pair->value, ':'), *value;

		if (strcmp(pair->name, "node-meta") != 0)
			continue;
		value = node ? meta_of(node, pair->value, (size_t)(colon - pair->value)) : NULL;
		if (!value || strcmp(value, *colon ? colon + 1 : "") != 0)
			return false;
	}
	return true;
}

bool consul_wanted(const struct http_request *rq, const struct reg_backend *backend)
{
	for (const struct http_pair *pair = rq->query; pair->name; pair++)
		if (strcmp(pair->name, "tag") == 0 && *pair->value &&
			!reg_backend_has_tag(backend, pair->value))
			return false;
	return consul_node_wanted(rq, registry_node_find(rq->http->reg, reg_backend_node(backend)));
}

bool consul_has_conditions(const struct http_request *rq)
{
	return http_param(rq, "filter") || http_param(rq, "node-meta");
}

static const char *topic_service(struct http_request *rq)
{
	return rq->arg[0];
}

static uint64_t index_service(struct http_request *rq)
{
	uint64_t generation = registry_service_generation(rq->http->reg, rq->arg[0]);

	/* whoever saw the service before it was deleted must find a higher index, and wake */
	return generation ? generation : registry_gone_generation(rq->http->reg);
}

static uint64_t revision_service(struct http_request *rq)
{
	return registry_service_revision(rq->http->reg, rq->arg[0]);
}

const struct http_scope consul_scope_service = {topic_service, index_service, revision_service};

static const char *topic_any(struct http_request *rq)
{
	return REG_WATCH_ANY;
}

uint64_t consul_index_any(struct http_request *rq)
{
	return registry_generation(rq->http->reg);
}

static uint64_t revision_any(struct http_request *rq)
{
	return registry_revision(rq->http->reg);
}

const struct http_scope consul_scope_any = {topic_any, consul_index_any, revision_any};

static const char *topic_nodes(struct http_request *rq)
{
	return REG_WATCH_NODES;
}

static uint64_t index_nodes(struct http_request *rq)
{
	return registry_nodes_generation(rq->http->reg);
}

static uint64_t revision_nodes(struct http_request *rq)
{
	return registry_nodes_revision(rq->http->reg);
}

const struct http_scope consul_scope_nodes = {topic_nodes, index_nodes, revision_nodes};

static const char *topic_names(struct http_request *rq)
{
	return consul_has_conditions(rq) ? REG_WATCH_ANY : REG_WATCH_NAMES;
}

static uint64_t index_names(struct http_request *rq)
{
	return consul_has_conditions(rq) ? registry_generation(rq->http->reg)
					 : registry_names_generation(rq->http->reg);
}

static uint64_t revision_names(struct http_request *rq)
{
	return consul_has_conditions(rq) ? registry_revision(rq->http->reg)
					 : registry_names_revision(rq->http->reg);
}

const struct http_scope consul_scope_names = {topic_names, index_names, revision_names};
