/* health.c: /v1/health: instances with their node and their checks. */
#include <string.h>

#include "registry/source/consul/inside.h"

static json_t *entry_json(struct consul *consul, const char *service, const struct reg_backend *backend)
{
	const struct reg_node *node = registry_node_find(consul->reg, reg_backend_node(backend));
	json_t *checks = json_array();

	consul_put_node_checks(checks, consul, node, true);
	consul_put_checks(checks, consul, service, backend);
	return json_pack("{s:o, s:o, s:o}", "Node", consul_node_json(consul, node), "Service",
		consul_service_json(consul, service, backend), "Checks", checks);
}

static bool add_entry(void *arg, const char *service, const struct reg_backend *backend)
{
	struct http_work *work = arg;
	struct http_request *rq = work->rq;

	if ((http_flag(rq, "passing") && backend->health != REG_PASSING) || !consul_wanted(rq, backend))
		return http_work_looked(work);
	return consul_put_instance(work, service, backend, entry_json);
}

static bool begin_service(struct http_work *work)
{
	const char *passing = http_param(work->rq, "passing");

	if (passing && *passing && strcmp(passing, "1") != 0 && strcmp(passing, "true") != 0 &&
		strcmp(passing, "0") != 0 && strcmp(passing, "false") != 0)
		return http_fail(work->rq, 400, "Invalid value for ?passing");
	return consul_list_begin(work);
}

static json_t *checks_json(struct consul *consul, const char *service, const struct reg_backend *backend)
{
	json_t *list = json_array();

	consul_put_checks(list, consul, service, backend);
	return list;
}

static bool add_checks(void *arg, const char *service, const struct reg_backend *backend)
{
	struct http_work *work = arg;
	struct consul *consul = consul_of(work->rq);

	if (!consul_node_wanted(work->rq, registry_node_find(consul->reg, reg_backend_node(backend))))
		return http_work_looked(work);
	return consul_put_each(work, checks_json(consul, service, backend));
}

static json_t *node_checks_json(struct consul *consul, const struct reg_node *node)
{
	json_t *list = json_array();

	consul_put_node_checks(list, consul, node, true);
	return list;
}

/* The name of the node that is asked for; false: there is none. */
static bool node_asked(const struct http_work *work, const char **name)
{
	const struct reg_node *node = registry_node_find(work->rq->http->reg, work->rq->arg[0]);

	*name = node && !node->local ? node->name : "";
	return node && work->rq->arg[0][0];
}

static bool add_of_node(void *arg, const char *service, const struct reg_backend *backend)
{
	struct http_work *work = arg;
	const char *name;

	if (!node_asked(work, &name) || strcmp(name, reg_backend_node(backend)) != 0)
		return http_work_looked(work);
	return consul_put_each(work, checks_json(consul_of(work->rq), service, backend));
}

static bool walk_node(struct http_work *work)
{
	struct consul *consul = consul_of(work->rq);
	const char *name;

	if (!node_asked(work, &name))
		return true;
	if (work->phase++ == 0)
		consul_put_each(work, node_checks_json(consul, registry_node_find(consul->reg, name)));
	return registry_instances(consul->reg, &work->at, add_of_node, work);
}

/* Of the list, which is taken over, those that have the state that is asked for. */
static bool put_in_state(struct http_work *work, json_t *list)
{
	const char *state = work->rq->arg[0];
	json_t *check;
	size_t i;

	json_array_foreach (list, i, check)
		if (strcmp(state, "any") == 0 ||
			strcmp(state, json_string_value(json_object_get(check, "Status"))) == 0)
			consul_put(work, NULL, json_incref(check));
	json_decref(list);
	return http_work_looked(work);
}

static bool add_node_in_state(void *arg, const struct reg_node *node)
{
	struct http_work *work = arg;

	if (!consul_node_wanted(work->rq, node))
		return http_work_looked(work);
	return put_in_state(work, node_checks_json(consul_of(work->rq), node));
}

static bool add_in_state(void *arg, const char *service, const struct reg_backend *backend)
{
	struct http_work *work = arg;
	struct consul *consul = consul_of(work->rq);

	if (!consul_node_wanted(work->rq, registry_node_find(consul->reg, reg_backend_node(backend))))
		return http_work_looked(work);
	return put_in_state(work, checks_json(consul, service, backend));
}

static bool begin_state(struct http_work *work)
{
	const char *state = work->rq->arg[0];

	if (strcmp(state, "any") != 0 && strcmp(state, "passing") != 0 && strcmp(state, "warning") != 0 &&
		strcmp(state, "critical") != 0)
		return http_fail(work->rq, 400, "Invalid state: must be any, passing, warning or critical");
	return consul_list_begin(work);
}

static bool walk_state(struct http_work *work)
{
	struct registry *reg = work->rq->http->reg;

	if (work->phase == 0) {
		if (!registry_nodes(reg, &work->at, add_node_in_state, work))
			return false;
		work->phase = 1;
		work->at = (struct reg_cursor){0};
	}
	return registry_instances(reg, &work->at, add_in_state, work);
}

const struct http_view consul_view_health_service = {.scope = &consul_scope_service,
	.list = &(const struct http_list){
		.begin = begin_service, .walk = consul_walk_service, .instance = add_entry}};
const struct http_view consul_view_health_checks = {.scope = &consul_scope_service,
	.list = &(const struct http_list){
		.begin = consul_list_begin, .walk = consul_walk_service, .instance = add_checks}};
const struct http_view consul_view_health_node = {.scope = &consul_scope_any,
	.list = &(const struct http_list){.begin = consul_list_begin, .walk = walk_node}};
const struct http_view consul_view_health_state = {.scope = &consul_scope_any,
	.list = &(const struct http_list){.begin = begin_state, .walk = walk_state}};

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

/* Consul's word for what is drained. */
static const char *sum_of(enum reg_health health)
{
	return health == REG_DRAINING ? "maintenance" : consul_status(health);
}

static json_t *aggregate_json(struct consul *consul, const char *service, const struct reg_backend *backend)
{
	json_t *checks = json_array();

	consul_put_checks(checks, consul, service, backend);
	return json_pack("{s:s, s:o, s:o}", "AggregatedStatus", sum_of(backend->health), "Service",
		consul_agent_service_json(consul, service, backend), "Checks", checks);
}

void consul_health_by_id(struct http_request *rq)
{
	const char *service;
	const struct reg_backend *backend = consul_backend_of(consul_of(rq), rq->arg[0], &service);

	if (!backend)
		http_reply_text(rq, 404, "ServiceId %s not found", rq->arg[0]);
	else if (wants_text(rq))
		http_reply_text(rq, code_of(backend->health), "%s", sum_of(backend->health));
	else
		http_reply_json(
			rq, code_of(backend->health), aggregate_json(consul_of(rq), service, backend));
}

static bool add_aggregate(void *arg, const char *service, const struct reg_backend *backend)
{
	struct http_work *work = arg;

	if (reg_backend_node(backend)[0])
		return http_work_looked(work);
	if (backend->health > work->worst)
		work->worst = backend->health;
	return http_work_put(work, NULL, aggregate_json(consul_of(work->rq), service, backend), false);
}

static bool end_aggregate(struct http_work *work)
{
	work->code = code_of(work->worst);
	if (work->count && !wants_text(work->rq))
		return false;
	if (work->count)
		http_reply_text(work->rq, work->code, "%s", sum_of(work->worst));
	else
		http_reply_text(work->rq, 404, "ServiceName %s Not Found", work->rq->arg[0]);
	return true;
}

const struct http_list consul_list_health_name = {
	.walk = consul_walk_service, .instance = add_aggregate, .end = end_aggregate};
