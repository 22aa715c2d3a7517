/* catalog.c: /v1/catalog: what there is, without its health. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/filter/filter.h"
#include "registry/source/consul/inside.h"

/* catalog/services: work->last is the service whose tags are being put, of which work->seen has those that were. */

/* Whole, even where the slice ends with it: what is begun here nobody goes on with. */
static bool put_string(struct http_work *work, const char *before, const char *text)
{
	json_t *string = json_string(text);
	char *quoted = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
	bool more;

	if (quoted) {
		http_work_put_text(work, before, strlen(before));
		more = http_work_put_text(work, quoted, strlen(quoted));
	} else {
		more = http_work_fail(work, 500, "out of memory");
	}
	json_decref(string);
	free(quoted);
	return more;
}

static void end_service(struct http_work *work)
{
	if (work->last[0])
		http_work_put_text(work, "]", 1);
	work->last[0] = '\0';
	json_decref(work->seen);
	work->seen = NULL;
}

static void begin_service(struct http_work *work, const char *service)
{
	end_service(work);
	snprintf(work->last, sizeof(work->last), "%s", service);
	work->seen = json_object();
	put_string(work, work->any[1] ? "," : "", service);
	http_work_put_text(work, ":[", 2);
}

/* Does the instance count? 1, 0, or what the filter says. */
static int counts(struct http_work *work, const char *service, const struct reg_backend *backend)
{
	struct consul *consul = consul_of(work->rq);
	json_t *item;
	int rc;

	if (!consul_node_wanted(work->rq, registry_node_find(consul->reg, reg_backend_node(backend))))
		return 0;
	if (!work->filter)
		return 1;
	item = consul_catalog_service_json(consul, service, backend);
	rc = consul_matches(work, item);
	json_decref(item);
	return rc;
}

static bool add_name(void *arg, const char *service, const struct reg_backend *backend)
{
	struct http_work *work = arg;

	if (counts(work, service, backend) <= 0)
		return http_work_looked(work);
	if (strcmp(work->last, service) != 0)
		begin_service(work, service);
	for (size_t i = 0; backend->metadata && i < backend->metadata->ntag; i++) {
		const char *tag = backend->metadata->tags[i];

		if (json_object_get(work->seen, tag))
			continue;
		put_string(work, json_object_size(work->seen) ? "," : "", tag);
		json_object_set_new(work->seen, tag, json_true());
	}
	return http_work_looked(work);
}

static bool walk_services(struct http_work *work)
{
	struct registry *reg = work->rq->http->reg;

	if (work->phase++ == 0 && !work->filter &&
		consul_node_wanted(work->rq, registry_node_find(reg, ""))) {
		begin_service(work, "consul");
		end_service(work);
	}
	if (!registry_instances(reg, &work->at, add_name, work))
		return false;
	end_service(work);
	return true;
}

static bool add_instance(void *arg, const char *service, const struct reg_backend *backend)
{
	struct http_work *work = arg;

	if (!consul_wanted(work->rq, backend))
		return http_work_looked(work);
	return consul_put_instance(work, service, backend, consul_catalog_service_json);
}

static bool add_node(void *arg, const struct reg_node *node)
{
	struct http_work *work = arg;

	if (!consul_node_wanted(work->rq, node))
		return http_work_looked(work);
	return consul_put(work, NULL, consul_node_json(consul_of(work->rq), node));
}

static bool walk_nodes(struct http_work *work)
{
	return registry_nodes(work->rq->http->reg, &work->at, add_node, work);
}

/* The list stands beside the node that is asked for; without one the answer is null. */
static bool begin_node(struct http_work *work)
{
	struct consul *consul = consul_of(work->rq);
	const struct reg_node *node = registry_node_find(consul->reg, work->rq->arg[0]);

	if (!node) {
		http_reply_json(work->rq, 200, json_null());
		return false;
	}
	work->head_name = "Services";
	work->head = consul_node_json(consul, node);
	snprintf(work->node, sizeof(work->node), "%s", node->local ? "" : node->name);
	return consul_list_begin(work);
}

static bool add_on_node(void *arg, const char *service, const struct reg_backend *backend)
{
	struct http_work *work = arg;
	char id[CONSUL_ID];

	if (strcmp(reg_backend_node(backend), work->node) != 0)
		return http_work_looked(work);
	return consul_put(work, work->list->object ? consul_id(service, backend, id) : NULL,
		consul_service_json(consul_of(work->rq), service, backend));
}

const struct http_view consul_view_catalog_services = {.scope = &consul_scope_names,
	.list = &(const struct http_list){.object = true, .begin = consul_list_begin, .walk = walk_services}};
const struct http_view consul_view_catalog_service = {.scope = &consul_scope_service,
	.list = &(const struct http_list){
		.begin = consul_list_begin, .walk = consul_walk_service, .instance = add_instance}};
const struct http_view consul_view_catalog_nodes = {.scope = &consul_scope_nodes,
	.list = &(const struct http_list){.begin = consul_list_begin, .walk = walk_nodes}};
const struct http_view consul_view_catalog_node = {.scope = &consul_scope_any,
	.list = &(const struct http_list){
		.object = true, .begin = begin_node, .walk = consul_walk_all, .instance = add_on_node}};
const struct http_view consul_view_catalog_node_services = {.scope = &consul_scope_any,
	.list = &(const struct http_list){
		.begin = begin_node, .walk = consul_walk_all, .instance = add_on_node}};

void consul_datacenters(struct http_request *rq)
{
	http_reply_json(rq, 200, json_pack("[s]", consul_of(rq)->datacenter));
}

void consul_catalog_register(struct http_request *rq, const json_t *body)
{
	struct reg_err err;
	int rc;

	if (!consul_is_for_here(rq, body))
		return;
	rc = consul_read_plain(consul_field(body, "Service"), &err);
	if (!rc)
		rc = consul_take_catalog(consul_of(rq), body, &err);
	if (rc < 0)
		consul_reply(rq, rc, &err);
	else
		http_reply_json(rq, 200, json_true());
}

/* Consul answers true also when there was nothing to take away. */
void consul_catalog_deregister(struct http_request *rq, const json_t *body)
{
	struct reg_err err;
	struct consul_body in = {body, &err, 0};
	const char *name = consul_text(&in, "Node"), *id = consul_text(&in, "ServiceID"),
		   *check = consul_text(&in, "CheckID");
	const struct reg_node *node;

	if (!consul_is_for_here(rq, body))
		return;
	if (in.rc || !name) {
		http_reply_text(rq, 400, "%s", name ? err.text : "Must provide node");
		return;
	}
	node = registry_node_find(rq->http->reg, name);
	if (node)
		consul_drop_catalog(consul_of(rq), node, id, check);
	http_reply_json(rq, 200, json_true());
}
