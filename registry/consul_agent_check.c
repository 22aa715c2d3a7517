/* consul_agent_check.c: /v1/agent/check: the checks of this agent's instances, and what they say of
 * themselves. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "registry/consul.h"

#define OWN_PREFIX "service:"

/* The instance whose check is called `id`. */
static struct consul_instance *find(struct consul *consul, const char *id)
{
	struct consul_instance *instance = NULL;

	if (strncmp(id, OWN_PREFIX, strlen(OWN_PREFIX)) == 0)
		instance = consul_instance_of(consul, id + strlen(OWN_PREFIX));
	if (instance && !instance->check)
		return instance;
	for (instance = consul->instances; instance; instance = instance->hh.next)
		if (instance->check && strcmp(instance->check, id) == 0)
			return instance;
	return NULL;
}

static const struct reg_backend *backend_of(struct consul *consul, const struct consul_instance *instance)
{
	return instance ? registry_backend_find(consul->reg, instance->service, instance->id) : NULL;
}

static void beat(struct http_request *rq, enum reg_health health, const char *output)
{
	struct consul *consul = rq->http->consul;
	const struct consul_instance *instance = find(consul, rq->arg[0]);
	struct reg_err err;
	int rc;

	if (!instance) {
		http_reply_text(rq, 404,
			"Unknown check ID \"%s\". Ensure that the check ID is passed, not the check name.",
			rq->arg[0]);
		return;
	}
	rc = registry_backend_beat(consul->reg, instance->service, instance->id, health, output, &err);
	if (rc < 0)
		http_reply_text(rq, rc == -ENOTSUP ? 404 : consul_code(rc),
			"CheckID \"%s\" does not have associated TTL", rq->arg[0]);
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

void consul_check_update(struct http_request *rq)
{
	json_t *body = http_body(rq);
	const char *status, *output;
	struct reg_err err;

	if (!body)
		return;
	if (consul_text(body, "Status", &status, &err) < 0 || consul_text(body, "Output", &output, &err) < 0)
		http_reply_text(rq, 400, "%s", err.text);
	else if (!status || (strcmp(status, "passing") != 0 && strcmp(status, "warning") != 0 &&
				    strcmp(status, "critical") != 0))
		http_reply_text(rq, 400, "Invalid check status: '%s'", status ? status : "");
	else
		beat(rq,
			strcmp(status, "passing") == 0	 ? REG_PASSING
			: strcmp(status, "warning") == 0 ? REG_WARNING
							 : REG_CRITICAL,
			output ? output : "");
	json_decref(body);
}

/* The instance as it is, but with the check of `read` (or none). */
static int change(struct consul *consul, struct consul_instance *instance,
	const struct consul_registration *read, const json_t *check, struct reg_err *err)
{
	struct reg_backend now = *backend_of(consul, instance);
	int rc;

	now.has_check = read->backend.has_check;
	now.check = read->backend.check;
	rc = registry_backend_put(consul->reg, instance->service, &now, err);
	if (rc < 0)
		return rc;
	if (consul_name_check(instance, read) < 0 || consul_keep_check(consul, instance, check) < 0)
		return reg_fail(err, -ENOMEM, "out of memory");
	if (now.has_check && now.check.type == REG_CHECK_TTL && read->initial != REG_CRITICAL)
		registry_backend_beat(consul->reg, instance->service, instance->id, read->initial, "", NULL);
	return 0;
}

static bool same_text(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

static int take_check(struct consul *consul, const json_t *body, struct reg_err *err)
{
	struct consul_registration read = {0};
	struct consul_instance *instance;
	const struct reg_backend *backend;
	const char *service;
	int rc = consul_text(body, "ServiceID", &service, err);

	if (rc < 0)
		return rc;
	if (!service || !service[0])
		return reg_fail(err, -ENOTSUP, "ServiceID: checks of a node are not served");
	instance = consul_instance_of(consul, service);
	backend = backend_of(consul, instance);
	if (!backend)
		return reg_fail(err, -ENOENT, "ServiceID \"%s\" does not exist", service);
	read.backend.address = backend->address;
	read.backend.port = backend->port;
	rc = consul_read_check(body, &read, err);
	if (!rc && !read.check_name)
		rc = reg_fail(err, -EINVAL, "Missing check name");
	if (!rc && !read.check)
		read.check = read.check_name;
	if (!rc && backend->has_check && !same_text(instance->check, read.check))
		rc = reg_fail(
			err, -ENOTSUP, "ServiceID \"%s\" has a check already: an instance has one", service);
	return rc ? rc : change(consul, instance, &read, body, err);
}

void consul_check_register(struct http_request *rq)
{
	json_t *body = http_body(rq);
	struct reg_err err;
	int rc;

	if (!body)
		return;
	rc = take_check(rq->http->consul, body, &err);
	json_decref(body);
	if (rc < 0)
		http_reply_text(rq, consul_code(rc), "%s", err.text);
	else
		http_reply_text(rq, 200, "%s", "");
}

void consul_check_deregister(struct http_request *rq)
{
	struct consul *consul = rq->http->consul;
	struct consul_instance *instance = find(consul, rq->arg[0]);
	const struct reg_backend *backend = backend_of(consul, instance);
	struct consul_registration none = {0};
	struct reg_err err;
	int rc;

	if (!backend || !backend->has_check) {
		http_reply_text(rq, 404, "Unknown check ID \"%s\"", rq->arg[0]);
		return;
	}
	rc = change(consul, instance, &none, NULL, &err);
	if (rc < 0)
		http_reply_text(rq, consul_code(rc), "%s", err.text);
	else
		http_reply_text(rq, 200, "%s", "");
}

/* --- listing ----------------------------------------------------------------------------------------------
 */

void consul_checks(struct http_request *rq)
{
	struct consul *consul = rq->http->consul;
	json_t *list = json_array(), *map = json_object(), *check;
	size_t i;

	for (struct consul_instance *instance = consul->instances; instance; instance = instance->hh.next)
		consul_put_checks(list, rq->http, instance->service, backend_of(consul, instance));
	json_array_foreach (list, i, check)
		json_object_set(map, json_string_value(json_object_get(check, "CheckID")), check);
	json_decref(list);
	map = consul_filtered(rq, map);
	if (map)
		http_reply_json(rq, 200, map);
}

/* --- maintenance ------------------------------------------------------------------------------------------
 */

/* What balances is drained: its connections go on. */
static int drain(struct consul *consul, struct consul_instance *instance, bool enable, struct reg_err *err)
{
	struct reg_backend now = *backend_of(consul, instance);

	now.drained = enable;
	return registry_backend_set(consul->reg, instance->service, &now, err);
}

void consul_maintenance(struct http_request *rq)
{
	struct consul *consul = rq->http->consul;
	struct consul_instance *instance = consul_instance_of(consul, rq->arg[0]);
	const char *reason = http_param(rq, "reason");
	int on = http_bool(rq, "enable");
	char *copy = reason && *reason ? strdup(reason) : NULL;
	struct reg_err err;
	int rc;

	if (on < 0) {
		http_reply_text(rq, 400, "Missing value for enable: must be true or false");
	} else if (!backend_of(consul, instance)) {
		http_reply_text(rq, 404, "Unknown service ID \"%s\"", rq->arg[0]);
	} else {
		free(instance->reason);
		instance->reason = on ? copy : NULL;
		copy = on ? NULL : copy;
		rc = drain(consul, instance, on, &err);
		if (rc == 0)
			consul_keep_maintenance(
				consul, instance->id, on ? (instance->reason ? instance->reason : "") : NULL);
		http_reply_text(rq, rc < 0 ? consul_code(rc) : 200, "%s", rc < 0 ? err.text : "");
	}
	free(copy);
}
