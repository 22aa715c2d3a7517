/* consul_catalog.c: /v1/catalog: what there is, without its health. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "registry/consul.h"
#include "registry/filter.h"

struct listing {
	struct http_request *rq;
	const char *service;
	const char *node;
	json_t *out;
};

static void add_tag(json_t *tags, const char *tag)
{
	const json_t *known;
	size_t i;

	json_array_foreach (tags, i, known)
		if (strcmp(json_string_value(known), tag) == 0)
			return;
	json_array_append_new(tags, json_string(tag));
}

struct names {
	struct http_request *rq;
	struct filter *filter; /* NULL: every instance counts */
	bool by_node;	       /* there is `node-meta=` */
	json_t *out;
	const char *service;
	json_t *tags; /* of the service; NULL: none of its instances counts yet */
	int rc;	      /* of the filter */
	struct reg_err err;
};

/* 1, 0, or what the filter says. */
static int counts(struct names *names, const struct reg_backend *backend)
{
	struct http *http = names->rq->http;
	json_t *item;
	int rc;

	if (names->by_node &&
		!consul_node_wanted(names->rq, registry_node_find(http->reg, reg_backend_node(backend))))
		return 0;
	if (!names->filter)
		return 1;
	item = consul_catalog_service_json(http, names->service, backend);
	rc = consul_matches(names->rq, names->filter, item, &names->err);
	json_decref(item);
	return rc;
}

static bool add_tags(void *arg, const struct reg_backend *backend)
{
	struct names *names = arg;
	int rc = counts(names, backend);

	if (rc <= 0) {
		names->rc = rc;
		return rc == 0;
	}
	if (!names->tags)
		names->tags = json_array();
	for (size_t i = 0; backend->about && i < backend->about->ntag; i++)
		add_tag(names->tags, backend->about->tags[i]);
	return true;
}

static bool add_name(void *arg, const struct reg_service *service)
{
	struct names *names = arg;

	names->service = service->name;
	names->tags = NULL;
	registry_backend_walk(names->rq->http->reg, service->name, add_tags, names);
	if (names->tags)
		json_object_set_new(names->out, service->name, names->tags);
	return names->rc == 0;
}

static json_t *render_services(struct http_request *rq)
{
	struct names names = {.rq = rq, .by_node = http_param(rq, "node-meta")};

	if (!consul_filter(rq, &names.filter))
		return NULL;
	names.out = json_object();
	if (!names.filter && consul_node_wanted(rq, registry_node_find(rq->http->reg, "")))
		json_object_set_new(names.out, "consul", json_array());
	registry_service_walk(rq->http->reg, add_name, &names);
	filter_free(names.filter);
	if (names.rc == 0)
		return names.out;
	json_decref(names.out);
	return consul_filter_failed(rq, &names.err);
}

/* Of a hundred thousand instances they take long to find, and seldom change. */
static bool are_all_names(struct http_request *rq)
{
	return !consul_has_conditions(rq) && !http_flag(rq, "pretty");
}

static bool add_instance(void *arg, const struct reg_backend *backend)
{
	struct listing *listing = arg;

	if (consul_wanted(listing->rq, backend))
		json_array_append_new(listing->out,
			consul_catalog_service_json(listing->rq->http, listing->service, backend));
	return true;
}

static json_t *render_service(struct http_request *rq)
{
	struct listing listing = {.rq = rq, .service = rq->arg[0], .out = json_array()};

	registry_backend_walk(rq->http->reg, rq->arg[0], add_instance, &listing);
	return consul_filtered(rq, listing.out);
}

static bool add_node(void *arg, const struct reg_node *node)
{
	struct listing *listing = arg;

	if (consul_node_wanted(listing->rq, node))
		json_array_append_new(listing->out, consul_node_json(listing->rq->http, node));
	return true;
}

static json_t *render_nodes(struct http_request *rq)
{
	struct listing listing = {.rq = rq, .out = json_array()};

	registry_node_walk(rq->http->reg, add_node, &listing);
	return consul_filtered(rq, listing.out);
}

static bool add_on_node(void *arg, const struct reg_backend *backend)
{
	struct listing *listing = arg;
	char id[CONSUL_ID];
	json_t *object;

	if (strcmp(reg_backend_node(backend), listing->node) != 0)
		return true;
	object = consul_service_json(listing->service, backend);
	if (json_is_array(listing->out))
		json_array_append_new(listing->out, object);
	else
		json_object_set_new(listing->out, consul_id(listing->service, backend, id), object);
	return true;
}

static bool add_all_on_node(void *arg, const struct reg_service *service)
{
	struct listing *listing = arg;

	listing->service = service->name;
	registry_backend_walk(listing->rq->http->reg, service->name, add_on_node, listing);
	return true;
}

/* {Node, Services}: the services as `services`, a new list or object, holds them. */
static json_t *render_of_node(struct http_request *rq, json_t *services)
{
	const struct reg_node *node = registry_node_find(rq->http->reg, rq->arg[0]);
	struct listing listing = {.rq = rq, .out = services};

	if (!node) {
		json_decref(services);
		return json_null();
	}
	listing.node = node->local ? "" : node->name;
	registry_service_walk(rq->http->reg, add_all_on_node, &listing);
	services = consul_filtered(rq, services);
	if (!services)
		return NULL;
	return json_pack("{s:o, s:o}", "Node", consul_node_json(rq->http, node), "Services", services);
}

static json_t *render_node(struct http_request *rq)
{
	return render_of_node(rq, json_object());
}

static json_t *render_node_services(struct http_request *rq)
{
	return render_of_node(rq, json_array());
}

const struct http_view consul_view_catalog_services = {.topic = consul_topic_names,
	.index = consul_index_names,
	.render = render_services,
	.is_kept = are_all_names};
const struct http_view consul_view_catalog_service = {
	.topic = consul_topic_service, .index = consul_index_service, .render = render_service};
const struct http_view consul_view_catalog_nodes = {
	.topic = consul_topic_nodes, .index = consul_index_nodes, .render = render_nodes};
const struct http_view consul_view_catalog_node = {
	.topic = consul_topic_any, .index = consul_index_any, .render = render_node};
const struct http_view consul_view_catalog_node_services = {
	.topic = consul_topic_any, .index = consul_index_any, .render = render_node_services};

void consul_datacenters(struct http_request *rq)
{
	http_reply_json(rq, 200, json_pack("[s]", rq->http->datacenter));
}

void consul_catalog_register(struct http_request *rq)
{
	json_t *body = http_body(rq);
	struct reg_err err;
	int rc;

	if (!body)
		return;
	rc = consul_take_catalog(rq->http->consul, body, &err);
	json_decref(body);
	if (rc < 0)
		http_reply_text(rq, consul_code(rc), "%s", err.text);
	else
		http_reply_json(rq, 200, json_true());
}

/* Consul answers true also when there was nothing to take away. */
void consul_catalog_deregister(struct http_request *rq)
{
	json_t *body = http_body(rq);
	const char *name = NULL, *id = NULL, *check = NULL;
	const struct reg_node *node;
	struct reg_err err;

	if (!body)
		return;
	if (consul_text(body, "Node", &name, &err) < 0 || consul_text(body, "ServiceID", &id, &err) < 0 ||
		consul_text(body, "CheckID", &check, &err) < 0 || !name) {
		http_reply_text(rq, 400, "%s", name ? err.text : "Must provide node");
		json_decref(body);
		return;
	}
	node = registry_node_find(rq->http->reg, name);
	if (node)
		consul_drop_catalog(rq->http->consul, node, id, check);
	json_decref(body);
	http_reply_json(rq, 200, json_true());
}
