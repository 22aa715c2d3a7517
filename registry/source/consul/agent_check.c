/*
 * agent_check.c: /v1/agent/check: the checks of this agent and its instances, and what they say of
 * themselves.
 */
#include <errno.h>
#include <string.h>

#include "registry/source/consul/inside.h"

static void unknown(struct http_request *rq)
{
	http_reply_text(rq, 404,
		"Unknown check ID \"%s\". Ensure that the check ID is passed, not the check name.",
		rq->arg[0]);
}

static void beat(struct http_request *rq, enum reg_health health, const char *output)
{
	struct consul *consul = consul_of(rq);
	const char *id = rq->arg[0];
	struct consul_instance *instance;
	struct reg_err err;
	int rc;

	if (!consul_check_find(consul, id, &instance)) {
		unknown(rq);
		return;
	}
	if (instance)
		rc = registry_backend_beat(
			consul->reg, instance->service, instance->id, id, health, output, &err);
	else
		rc = registry_node_beat(consul->reg, "", id, health, output, &err);
	if (rc < 0)
		http_reply_text(rq, rc == -ENOTSUP ? 404 : consul_code(rc),
			"CheckID \"%s\" does not have associated TTL", id);
	else
		http_reply_text(rq, 200, "%s", "");
}

static const char *note(const struct http_request *rq)
{
	const char *text = http_param(rq, "note");

	return text ? text : "";
}

void consul_check_pass(struct http_request *rq)
{
	beat(rq, REG_PASSING, note(rq));
}

void consul_check_warn(struct http_request *rq)
{
	beat(rq, REG_WARNING, note(rq));
}

void consul_check_fail(struct http_request *rq)
{
	beat(rq, REG_CRITICAL, note(rq));
}

void consul_check_update(struct http_request *rq, const json_t *body)
{
	struct reg_err err;
	struct consul_body in = {body, &err, 0};
	const char *output = consul_text(&in, "Output");
	bool given, good = !in.rc;
	enum reg_health health = consul_read_status(&in, &given);

	if (!good)
		http_reply_text(rq, 400, "%s", err.text);
	else if (in.rc || !given)
		http_reply_text(rq, 400, "Invalid check status: must be passing, warning or critical");
	else
		beat(rq, health, output ? output : "");
}

/* Of this daemon's node itself. */
static int take_node_check(struct consul *consul, const json_t *body, struct reg_err *err)
{
	struct consul_checks list = {0}, had = {0};
	int rc = consul_read_check(body, NULL, NULL, &list, err);

	if (rc)
		return rc;
	consul_node_checks(consul, "", "", &had);
	rc = consul_checks_merge(&list, had.spec, had.n, err);
	if (!rc)
		rc = registry_node_checks(consul->reg, "", list.spec, (uint16_t)list.n, err);
	if (!rc)
		rc = consul_check_claim(consul, NULL, &list, err);
	if (!rc)
		consul_keep_node_check(consul, list.spec[0].id, body);
	return rc;
}

static int take_instance_check(struct consul *consul, const char *id, const json_t *body, struct reg_err *err)
{
	struct consul_instance *instance = consul_instance_of(consul, id);
	struct consul_checks list = {0};
	const struct reg_backend *backend;
	const char *service;
	int rc;

	backend = consul_backend_of(consul, id, &service);
	if (!backend)
		return reg_fail(err, -ENOENT, "ServiceID \"%s\" does not exist", id);
	rc = consul_read_check(body, NULL, backend, &list, err);
	if (!rc)
		rc = consul_checks_merge(&list, backend->checks, backend->ncheck, err);
	return rc ? rc : consul_set_checks(consul, instance, &list, err);
}

int consul_take_check(struct consul *consul, const json_t *body, struct reg_err *err)
{
	struct consul_body in = {body, err, 0};
	const char *id = consul_text(&in, "ServiceID"), *name = consul_text(&in, "Name");

	if (!name)
		consul_bad(&in, -EINVAL, "Missing check name");
	if (in.rc)
		return in.rc;
	return id ? take_instance_check(consul, id, body, err) : take_node_check(consul, body, err);
}

void consul_check_register(struct http_request *rq, const json_t *body)
{
	struct reg_err err;
	int rc = consul_take_check(consul_of(rq), body, &err);

	consul_reply(rq, rc, &err);
}

void consul_check_deregister(struct http_request *rq)
{
	struct reg_err err;

	if (consul_check_remove(consul_of(rq), rq->arg[0], &err))
		http_reply_text(rq, 200, "%s", "");
	else
		unknown(rq);
}

static bool add_checks(void *arg, const char *service, const struct reg_backend *backend)
{
	struct http_work *work = arg;
	json_t *list;

	if (reg_backend_node(backend)[0] || strcmp(backend->source, CONSUL_SOURCE) != 0)
		return http_work_looked(work);
	list = json_array();
	consul_put_checks(list, consul_of(work->rq), service, backend);
	return consul_put_each(work, list);
}

static bool walk_checks(struct http_work *work)
{
	struct consul *consul = consul_of(work->rq);

	if (work->phase++ == 0) {
		json_t *list = json_array();

		consul_put_node_checks(list, consul, registry_node_find(consul->reg, ""), false);
		consul_put_each(work, list);
	}
	return consul_walk_all(work);
}

const struct http_list consul_list_agent_checks = {
	.object = true, .begin = consul_list_begin, .walk = walk_checks, .instance = add_checks};
