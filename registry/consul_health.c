/* consul_health.c: /v1/health: instances with their node and their checks. */
#include <stdlib.h>
#include <string.h>

#include "registry/consul.h"
#include "registry/filter.h"
#include "registry/http_part.h"

struct listing {
	struct http_request *rq;
	const char *service;
	const char *node;  /* only of this one, NULL: of all */
	const char *state; /* only checks with this status, NULL: all */
	bool passing;
	json_t *list;
};

static json_t *entry_json(struct http *http, const char *service, const struct reg_backend *backend)
{
	const struct reg_node *node = registry_node_find(http->reg, reg_backend_node(backend));
	json_t *checks = json_array();

	consul_put_node_checks(checks, http, node, true);
	consul_put_checks(checks, http, service, backend);
	return json_pack("{s:o, s:o, s:o}", "Node", consul_node_json(http, node), "Service",
		consul_service_json(service, backend), "Checks", checks);
}

static bool add_entry(void *arg, const struct reg_backend *backend)
{
	struct listing *listing = arg;
	json_t *entry;

	if ((listing->passing && backend->health != REG_PASSING) || !consul_wanted(listing->rq, backend))
		return true;
	entry = http_part_find(listing->rq, backend);
	if (!entry) {
		entry = entry_json(listing->rq->http, listing->service, backend);
		http_part_put(listing->rq, backend, entry);
	}
	json_array_append_new(listing->list, entry);
	return true;
}

static json_t *render_service(struct http_request *rq)
{
	struct listing listing = {.rq = rq, .service = rq->arg[0], .list = json_array()};
	const char *passing = http_param(rq, "passing");

	if (passing && *passing && strcmp(passing, "1") != 0 && strcmp(passing, "true") != 0 &&
		strcmp(passing, "0") != 0 && strcmp(passing, "false") != 0) {
		json_decref(listing.list);
		return http_fail(rq, 400, "Invalid value for ?passing");
	}
	listing.passing = http_flag(rq, "passing");
	registry_backend_walk(rq->http->reg, rq->arg[0], add_entry, &listing);
	return consul_filtered(rq, listing.list);
}

static bool add_checks(void *arg, const struct reg_backend *backend)
{
	struct listing *listing = arg;

	if ((!listing->node || strcmp(listing->node, reg_backend_node(backend)) == 0) &&
		consul_node_wanted(
			listing->rq, registry_node_find(listing->rq->http->reg, reg_backend_node(backend))))
		consul_put_checks(listing->list, listing->rq->http, listing->service, backend);
	return true;
}

static bool add_all_checks(void *arg, const struct reg_service *service)
{
	struct listing *listing = arg;

	listing->service = service->name;
	registry_backend_walk(listing->rq->http->reg, service->name, add_checks, listing);
	return true;
}

static json_t *render_checks(struct http_request *rq)
{
	struct listing listing = {.rq = rq, .service = rq->arg[0], .list = json_array()};

	registry_backend_walk(rq->http->reg, rq->arg[0], add_checks, &listing);
	return consul_filtered(rq, listing.list);
}

static json_t *render_node(struct http_request *rq)
{
	const struct reg_node *node = registry_node_find(rq->http->reg, rq->arg[0]);
	struct listing listing = {.rq = rq, .list = json_array()};

	if (node) {
		listing.node = node->local ? "" : node->name;
		consul_put_node_checks(listing.list, rq->http, node, true);
		registry_service_walk(rq->http->reg, add_all_checks, &listing);
	}
	return consul_filtered(rq, listing.list);
}

static bool add_node_checks(void *arg, const struct reg_node *node)
{
	struct listing *listing = arg;

	if (consul_node_wanted(listing->rq, node))
		consul_put_node_checks(listing->list, listing->rq->http, node, true);
	return true;
}

static json_t *render_state(struct http_request *rq)
{
	struct listing listing = {.rq = rq, .list = json_array()};
	const char *state = rq->arg[0];

	if (strcmp(state, "any") != 0 && strcmp(state, "passing") != 0 && strcmp(state, "warning") != 0 &&
		strcmp(state, "critical") != 0) {
		json_decref(listing.list);
		return http_fail(rq, 400, "Invalid state: must be any, passing, warning or critical");
	}
	registry_node_walk(rq->http->reg, add_node_checks, &listing);
	registry_service_walk(rq->http->reg, add_all_checks, &listing);
	for (size_t i = json_array_size(listing.list); i-- > 0;) {
		const char *status =
			json_string_value(json_object_get(json_array_get(listing.list, i), "Status"));

		if (strcmp(state, "any") != 0 && strcmp(status, state) != 0)
			json_array_remove(listing.list, i);
	}
	return consul_filtered(rq, listing.list);
}

const struct http_view consul_view_health_service = {
	.topic = consul_topic_service, .index = consul_index_service, .render = render_service};
const struct http_view consul_view_health_checks = {
	.topic = consul_topic_service, .index = consul_index_service, .render = render_checks};
const struct http_view consul_view_health_node = {
	.topic = consul_topic_any, .index = consul_index_any, .render = render_node};
const struct http_view consul_view_health_state = {
	.topic = consul_topic_any, .index = consul_index_any, .render = render_state};

/* agent/health: the sum of an instance's checks as a status code. */
static int code_of(enum reg_health health)
{
	return health == REG_PASSING ? 200 : health == REG_WARNING ? 429 : 503;
}

static bool wants_text(const struct http_request *rq)
{
	const char *format = http_param(rq, "format"),
		   *accept = evhttp_find_header(evhttp_request_get_input_headers(rq->raw), "Accept");

	if (format && *format)
		return strcmp(format, "text") == 0;
	return accept && strncmp(accept, "text/plain", strlen("text/plain")) == 0;
}

static json_t *aggregate_json(struct http *http, const char *service, const struct reg_backend *backend)
{
	json_t *checks = json_array();

	consul_put_checks(checks, http, service, backend);
	return json_pack("{s:s, s:o, s:o}", "AggregatedStatus", consul_status(backend->health), "Service",
		consul_agent_service_json(http, service, backend), "Checks", checks);
}

void consul_health_by_id(struct http_request *rq)
{
	const char *service;
	const struct reg_backend *backend = consul_backend_of(rq->http->consul, rq->arg[0], &service);

	if (!backend)
		http_reply_text(rq, 404, "ServiceId %s not found", rq->arg[0]);
	else if (wants_text(rq))
		http_reply_text(rq, code_of(backend->health), "%s", consul_status(backend->health));
	else
		http_reply_json(rq, code_of(backend->health), aggregate_json(rq->http, service, backend));
}

struct worst {
	struct http_request *rq;
	enum reg_health health;
	json_t *list;
};

static bool add_aggregate(void *arg, const struct reg_backend *backend)
{
	struct worst *worst = arg;

	if (reg_backend_node(backend)[0])
		return true;
	if (backend->health > worst->health)
		worst->health = backend->health;
	json_array_append_new(worst->list, aggregate_json(worst->rq->http, worst->rq->arg[0], backend));
	return true;
}

void consul_health_by_name(struct http_request *rq)
{
	struct worst worst = {rq, REG_PASSING, json_array()};

	registry_backend_walk(rq->http->reg, rq->arg[0], add_aggregate, &worst);
	if (json_array_size(worst.list) == 0) {
		json_decref(worst.list);
		http_reply_text(rq, 404, "ServiceName %s Not Found", rq->arg[0]);
	} else if (wants_text(rq)) {
		json_decref(worst.list);
		http_reply_text(rq, code_of(worst.health), "%s", consul_status(worst.health));
	} else {
		http_reply_json(rq, code_of(worst.health), worst.list);
	}
}
