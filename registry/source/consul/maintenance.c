/*
 * maintenance.c: instances and this daemon's node out of service on purpose. What a vip balances is
 * drained: the connections that it has go on.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "registry/base/utf8.h"
#include "registry/source/consul/inside.h"

static int drain(struct consul *consul, struct consul_instance *instance, bool enable, struct reg_err *err)
{
	struct reg_backend now = *registry_backend_find(consul->reg, instance->service, instance->id);

	now.drained = enable;
	return registry_backend_set(consul->reg, instance->service, &now, err);
}

/* `enable=` of the request. False after it was answered. */
static bool wanted(struct http_request *rq, bool *on)
{
	int enable = http_bool(rq, "enable");

	*on = enable > 0;
	if (enable >= 0)
		return true;
	http_reply_text(rq, 400, "Missing value for enable: must be true or false");
	return false;
}

enum { REASON_MAX = 255 };

/* What was given, as far as it can be told. */
static const char *reason_of(struct http_request *rq, char reason[REASON_MAX + 1])
{
	const char *given = http_param(rq, "reason");

	given = given ? given : "";
	utf8_copy(reason, given, utf8_fits(given, REASON_MAX));
	return reason;
}

/* The instance keeps a copy, NULL of "". */
static int set_reason(struct consul_instance *instance, const char *reason)
{
	char *copy = reason[0] ? strdup(reason) : NULL;

	if (reason[0] && !copy)
		return -ENOMEM;
	free(instance->reason);
	instance->reason = copy;
	return 0;
}

void consul_maintenance(struct http_request *rq)
{
	struct consul *consul = consul_of(rq);
	struct consul_instance *instance = consul_instance_of(consul, rq->arg[0]);
	char reason[REASON_MAX + 1];
	struct reg_err err = {"out of memory"};
	bool on;
	int rc;

	if (!wanted(rq, &on))
		return;
	if (!instance) {
		http_reply_text(rq, 404, "Unknown service ID \"%s\"", rq->arg[0]);
		return;
	}
	rc = set_reason(instance, on ? reason_of(rq, reason) : "");
	registry_backend_revise(consul->reg, instance->service, instance->id);
	if (!rc)
		rc = drain(consul, instance, on, &err);
	if (!rc)
		consul_keep_maintenance(consul, instance->id, on ? reason_of(rq, reason) : NULL);
	consul_reply(rq, rc, &err);
}

void consul_node_maintenance(struct http_request *rq)
{
	struct consul *consul = consul_of(rq);
	char reason[REASON_MAX + 1];
	struct reg_err err;
	bool on;
	int rc;

	if (!wanted(rq, &on))
		return;
	rc = registry_node_drain(consul->reg, "", on, reason_of(rq, reason), &err);
	if (!rc)
		consul_keep_maintenance(consul, NULL, on ? reason_of(rq, reason) : NULL);
	consul_reply(rq, rc, &err);
}

void consul_restore_maintenance(struct consul *consul, const char *id, const char *reason)
{
	struct consul_instance *instance = consul_instance_of(consul, id);

	if (!instance)
		return;
	set_reason(instance, reason);
	registry_backend_revise(consul->reg, instance->service, instance->id);
	drain(consul, instance, true, NULL);
}

void consul_restore_node_maintenance(struct consul *consul, const char *reason)
{
	registry_node_drain(consul->reg, "", true, reason, NULL);
}
