/* consul_list.c: what a query keeps of a list, and what it waits for. */
#include <string.h>

#include "registry/consul.h"
#include "registry/filter.h"

void *consul_filter_failed(struct http_request *rq, const struct reg_err *err)
{
	return http_fail(rq, 400, "Failed to create boolean expression evaluator: %s", err->text);
}

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

int consul_matches(
	struct http_request *rq, const struct filter *filter, const json_t *item, struct reg_err *err)
{
	return filter_match(filter, item, rq->http->consul->absent, err);
}

/* The elements, or the values of the object, that the filter takes: 0, or -errno. */
static int keep(struct http_request *rq, const struct filter *filter, json_t *list, struct reg_err *err)
{
	json_t *value;
	const char *key;
	void *next;
	int rc = 0;

	for (size_t i = json_array_size(list); i-- > 0 && rc >= 0;) {
		rc = consul_matches(rq, filter, json_array_get(list, i), err);
		if (rc == 0)
			json_array_remove(list, i);
	}
	json_object_foreach_safe(list, next, key, value)
	{
		rc = rc < 0 ? rc : consul_matches(rq, filter, value, err);
		if (rc == 0)
			json_object_del(list, key);
	}
	return rc < 0 ? rc : 0;
}

/* Of an instance, a check or a node itself; NULL: it is of none. */
static const char *node_of(const json_t *entry)
{
	const json_t *node = json_object_get(entry, "Node");

	return json_string_value(json_is_object(node) ? json_object_get(node, "Node") : node);
}

/* `near=`: what is of that node first, otherwise in its order. */
static json_t *nearest_first(struct http_request *rq, json_t *list)
{
	const char *near = http_param(rq, "near");
	json_t *sorted, *entry;
	size_t i;

	if (!near || !*near || !json_is_array(list))
		return list;
	if (strcmp(near, "_agent") == 0 || strcmp(near, "_ip") == 0)
		near = registry_node_find(rq->http->reg, "")->name;
	sorted = json_array();
	if (!sorted)
		return list;
	for (int pass = 0; pass < 2; pass++)
		json_array_foreach (list, i, entry) {
			const char *node = node_of(entry);

			if ((node && strcmp(node, near) == 0) == (pass == 0))
				json_array_append(sorted, entry);
		}
	json_decref(list);
	return sorted;
}

json_t *consul_filtered(struct http_request *rq, json_t *list)
{
	struct filter *filter;
	struct reg_err err;
	int rc = 0;

	if (!consul_filter(rq, &filter)) {
		json_decref(list);
		return NULL;
	}
	if (filter)
		rc = keep(rq, filter, list, &err);
	filter_free(filter);
	if (rc == 0)
		return nearest_first(rq, list);
	json_decref(list);
	return consul_filter_failed(rq, &err);
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

const char *consul_topic_service(struct http_request *rq)
{
	return rq->arg[0];
}

uint64_t consul_index_service(struct http_request *rq)
{
	uint64_t generation = registry_service_generation(rq->http->reg, rq->arg[0]);

	/* whoever saw the service before it was deleted must find a higher index, and wake */
	return generation ? generation : registry_gone_generation(rq->http->reg);
}

const char *consul_topic_any(struct http_request *rq)
{
	return REG_WATCH_ANY;
}

uint64_t consul_index_any(struct http_request *rq)
{
	return registry_generation(rq->http->reg);
}

const char *consul_topic_nodes(struct http_request *rq)
{
	return REG_WATCH_NODES;
}

uint64_t consul_index_nodes(struct http_request *rq)
{
	return registry_nodes_generation(rq->http->reg);
}

bool consul_has_conditions(const struct http_request *rq)
{
	return http_param(rq, "filter") || http_param(rq, "node-meta");
}

const char *consul_topic_names(struct http_request *rq)
{
	return consul_has_conditions(rq) ? REG_WATCH_ANY : REG_WATCH_NAMES;
}

uint64_t consul_index_names(struct http_request *rq)
{
	return consul_has_conditions(rq) ? registry_generation(rq->http->reg)
					 : registry_names_generation(rq->http->reg);
}
