/* session_read.c: sessions in JSON: what bodies ask for, and as they are shown. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "registry/base/duration.h"
#include "registry/source/consul/session.h"

/* A bare number below 1,000 is of seconds: their users mean that, says Consul, and not nanoseconds. */
enum { TTL_MIN_MS = 10000, TTL_MAX_MS = 86400000, BARE_SECONDS = 1000 };
#define DELAY_NS 15000000000
#define NS_MAX (INT64_MAX / 1000)

static void read_ttl(struct consul_body *in, struct consul_session *session)
{
	const char *text = consul_text(in, "TTL");
	int64_t us = 0;

	if (text && duration_parse(text, &us) < 0)
		consul_bad(in, -ERANGE, "Session TTL '%.40s' invalid: it is no duration", text);
	else if (us && (us < TTL_MIN_MS * 1000LL || us > TTL_MAX_MS * 1000LL))
		consul_bad(in, -ERANGE, "Invalid Session TTL '%" PRId64 "', must be between [10s=24h0m0s]",
			1000 * us);
	session->ttl_ms = us / 1000;
}

static void read_delay(struct consul_body *in, struct consul_session *session)
{
	const json_t *value = consul_field(in->json, "LockDelay");
	double number = json_number_value(value);
	int64_t us;

	if (!value)
		number = DELAY_NS;
	else if (json_is_string(value) && duration_parse(json_string_value(value), &us) == 0)
		number = us > NS_MAX / 1000 ? -1 : 1000 * (double)us;
	else if (!json_is_number(value))
		number = -1;
	else if (number < BARE_SECONDS)
		number *= 1e9;
	if (number >= 0 && number <= (double)NS_MAX)
		session->delay_ns = (int64_t)number;
	else
		consul_bad(in, -EINVAL, "LockDelay: must be a duration, and not below 0");
}

/* A list of check ids: texts, or with `objects` [{"ID": "..."}]. A new reference; NULL without it, or when it is refused. */
static json_t *read_checks(struct consul_body *in, const char *name, bool objects)
{
	const json_t *list = consul_field(in->json, name), *item;
	json_t *copy = list ? json_array() : NULL;
	size_t i;

	if (list && !copy)
		consul_bad(in, -ENOMEM, "out of memory");
	if (list && (!json_is_array(list) || json_array_size(list) > SESSION_CHECKS_MAX))
		consul_bad(in, -EINVAL, "%s: must be a list of at most %d checks", name, SESSION_CHECKS_MAX);
	json_array_foreach (list, i, item) {
		const char *id = json_string_value(objects ? consul_field(item, "ID") : item);

		if (!id || strlen(id) > REG_CHECK_ID_MAX)
			consul_bad(in, -EINVAL, "%s: one has no id, or one of more than %d bytes", name,
				REG_CHECK_ID_MAX);
		else
			json_array_append_new(
				copy, objects ? json_pack("{s:s, s:s}", "ID", id, "Namespace", "")
					      : json_string(id));
	}
	return copy;
}

static bool is_serf_alone(const json_t *list)
{
	const char *id = json_string_value(json_array_get(list, 0));

	return json_array_size(list) == 1 && id && strcmp(id, REG_SERF) == 0;
}

/* Unless a body says which, a session has the node's own. `Checks` is what they were called before NodeChecks was. */
static void read_all_checks(struct consul_body *in, struct consul_session *session)
{
	session->checks = read_checks(in, "Checks", false);
	session->node_checks = read_checks(in, "NodeChecks", false);
	session->service_checks = read_checks(in, "ServiceChecks", true);
	if (json_array_size(session->checks) + json_array_size(session->node_checks) +
			json_array_size(session->service_checks) >
		SESSION_CHECKS_MAX)
		consul_bad(in, -EINVAL, "Checks, NodeChecks and ServiceChecks: more than %d together",
			SESSION_CHECKS_MAX);
	if (session->checks && json_array_size(session->checks) == 0) { /* none at all */
		json_decref(session->node_checks);
		session->node_checks = json_array();
	} else if (is_serf_alone(session->checks)) {
		json_decref(session->checks);
		session->checks = NULL;
	}
	if (!session->node_checks)
		session->node_checks = json_pack("[s]", REG_SERF);
	if (!session->node_checks)
		consul_bad(in, -ENOMEM, "out of memory");
}

static void read_node(struct consul_body *in, struct consul_session *session)
{
	const char *name = consul_text(in, "Node");
	const struct reg_node *node = name ? registry_node_find(session->consul->reg, name) : NULL;

	if (name && !node)
		consul_bad(in, -ERANGE, "Missing node registration");
	if (node && !node->local)
		snprintf(session->node, sizeof(session->node), "%s", node->name);
}

static void read_name(struct consul_body *in, struct consul_session *session)
{
	const char *name = consul_text(in, "Name");

	if (name && strlen(name) > SESSION_NAME_MAX)
		consul_bad(in, -EINVAL, "Name: has more than %d bytes", SESSION_NAME_MAX);
	session->name = strdup(name ? name : "");
	if (!session->name)
		consul_bad(in, -ENOMEM, "out of memory");
}

static void read_behavior(struct consul_body *in, struct consul_session *session)
{
	const char *behavior = consul_text(in, "Behavior");

	session->forget = behavior && strcmp(behavior, "delete") == 0;
	if (behavior && !session->forget && strcmp(behavior, "release") != 0)
		consul_bad(in, -ERANGE, "Invalid Behavior setting '%.40s'", behavior);
}

int session_read(const json_t *body, struct consul_session *session, struct reg_err *err)
{
	struct consul_body in = {body, err, 0};

	read_name(&in, session);
	read_behavior(&in, session);
	read_ttl(&in, session);
	read_delay(&in, session);
	read_node(&in, session);
	read_all_checks(&in, session);
	return in.rc;
}

json_t *session_read_back(const struct consul_session *session)
{
	const struct reg_node *node = registry_node_find(session->consul->reg, session->node);
	char ttl[DURATION_TEXT] = "";
	json_t *object;

	if (session->ttl_ms)
		duration_text(session->ttl_ms * 1000, ttl);
	object = json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:O, s:O?, s:I, s:I}", "ID", session->id, "Name",
		session->name, "Node", node ? node->name : session->node, "LockDelay",
		(json_int_t)session->delay_ns, "Behavior", session->forget ? "delete" : "release", "TTL", ttl,
		"NodeChecks", session->node_checks, "ServiceChecks", session->service_checks, "CreateIndex",
		(json_int_t)session->created, "ModifyIndex", (json_int_t)session->created);
	if (object && session->checks)
		json_object_set(object, "Checks", session->checks);
	return object;
}
