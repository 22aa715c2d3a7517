/* session_read.c: sessions in JSON: what bodies ask for, and as they are shown. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "registry/base/duration.h"
#include "registry/source/consul/session.h"

#define SERF "serfHealth"

/* A bare number below 1,000 is of seconds: their users mean that, says Consul, and not nanoseconds. */
enum { TTL_MIN_MS = 10000, TTL_MAX_MS = 86400000, BARE_SECONDS = 1000 };
#define DELAY_NS 15000000000
#define NS_MAX (INT64_MAX / 1000)

static int read_ttl(const json_t *body, int64_t *ms, struct reg_err *err)
{
	const char *text;
	int64_t us = 0;
	int rc = consul_text(body, "TTL", &text, err);

	if (rc < 0 || !text || !*text)
		return rc;
	if (duration_parse(text, &us) < 0)
		return reg_fail(err, -ERANGE, "Session TTL '%.40s' invalid: it is no duration", text);
	if (us && (us < TTL_MIN_MS * 1000LL || us > TTL_MAX_MS * 1000LL))
		return reg_fail(err, -ERANGE,
			"Invalid Session TTL '%" PRId64 "', must be between [10s=24h0m0s]", 1000 * us);
	*ms = us / 1000;
	return 0;
}

static int read_delay(const json_t *body, int64_t *ns, struct reg_err *err)
{
	const json_t *value = consul_field(body, "LockDelay");
	double number = json_number_value(value);
	int64_t us;

	*ns = DELAY_NS;
	if (!value)
		return 0;
	if (json_is_string(value) && duration_parse(json_string_value(value), &us) == 0)
		number = us > NS_MAX / 1000 ? -1 : 1000 * (double)us;
	else if (!json_is_number(value))
		number = -1;
	else if (number < BARE_SECONDS)
		number *= 1e9;
	if (!(number >= 0 && number <= (double)NS_MAX))
		return reg_fail(err, -EINVAL, "LockDelay: must be a duration, and not below 0");
	*ns = (int64_t)number;
	return 0;
}

/* A list of check ids: texts, or with `objects` [{"ID": "..."}]. *out, a new reference, stays NULL without it. */
static int read_checks(const json_t *body, const char *name, bool objects, json_t **out, struct reg_err *err)
{
	const json_t *list = consul_field(body, name), *item;
	json_t *copy;
	size_t i;

	if (!list)
		return 0;
	if (!json_is_array(list) || json_array_size(list) > SESSION_CHECKS_MAX)
		return reg_fail(
			err, -EINVAL, "%s: must be a list of at most %d checks", name, SESSION_CHECKS_MAX);
	copy = json_array();
	json_array_foreach (list, i, item) {
		const char *id = json_string_value(objects ? consul_field(item, "ID") : item);

		if (!id || strlen(id) > REG_CHECK_ID_MAX) {
			json_decref(copy);
			return reg_fail(err, -EINVAL, "%s: one has no id, or one of more than %d bytes", name,
				REG_CHECK_ID_MAX);
		}
		json_array_append_new(
			copy, objects ? json_pack("{s:s, s:s}", "ID", id, "Namespace", "") : json_string(id));
	}
	*out = copy;
	return copy ? 0 : reg_fail(err, -ENOMEM, "out of memory");
}

static bool is_serf_alone(const json_t *list)
{
	const char *id = json_string_value(json_array_get(list, 0));

	return json_array_size(list) == 1 && id && strcmp(id, SERF) == 0;
}

/* Unless a body says which, a session has the node's own. `Checks` is what they were called before NodeChecks was. */
static int read_all_checks(const json_t *body, struct consul_session *session, struct reg_err *err)
{
	int rc = read_checks(body, "Checks", false, &session->checks, err);

	if (!rc)
		rc = read_checks(body, "NodeChecks", false, &session->node_checks, err);
	if (!rc)
		rc = read_checks(body, "ServiceChecks", true, &session->service_checks, err);
	if (rc < 0)
		return rc;
	if (json_array_size(session->checks) + json_array_size(session->node_checks) +
			json_array_size(session->service_checks) >
		SESSION_CHECKS_MAX)
		return reg_fail(err, -EINVAL, "Checks, NodeChecks and ServiceChecks: more than %d together",
			SESSION_CHECKS_MAX);
	if (session->checks && json_array_size(session->checks) == 0) { /* none at all */
		json_decref(session->node_checks);
		session->node_checks = json_array();
	} else if (is_serf_alone(session->checks)) {
		json_decref(session->checks);
		session->checks = NULL;
	}
	if (!session->node_checks)
		session->node_checks = json_pack("[s]", SERF);
	return session->node_checks ? 0 : reg_fail(err, -ENOMEM, "out of memory");
}

static int read_node(const json_t *body, struct consul_session *session, struct reg_err *err)
{
	const struct reg_node *node;
	const char *name;
	int rc = consul_text(body, "Node", &name, err);

	if (rc < 0 || !name || !*name)
		return rc;
	node = registry_node_find(session->consul->reg, name);
	if (!node)
		return reg_fail(err, -ERANGE, "Missing node registration");
	if (!node->local)
		snprintf(session->node, sizeof(session->node), "%s", node->name);
	return 0;
}

static int read_name(const json_t *body, struct consul_session *session, struct reg_err *err)
{
	const char *name;
	int rc = consul_text(body, "Name", &name, err);

	if (rc < 0)
		return rc;
	if (name && strlen(name) > SESSION_NAME_MAX)
		return reg_fail(err, -EINVAL, "Name: has more than %d bytes", SESSION_NAME_MAX);
	session->name = strdup(name ? name : "");
	return session->name ? 0 : reg_fail(err, -ENOMEM, "out of memory");
}

static int read_behavior(const json_t *body, struct consul_session *session, struct reg_err *err)
{
	const char *behavior;
	int rc = consul_text(body, "Behavior", &behavior, err);

	if (rc < 0 || !behavior || !*behavior)
		return rc;
	session->forget = strcmp(behavior, "delete") == 0;
	if (!session->forget && strcmp(behavior, "release") != 0)
		return reg_fail(err, -ERANGE, "Invalid Behavior setting '%.40s'", behavior);
	return 0;
}

int session_read(const json_t *body, struct consul_session *session, struct reg_err *err)
{
	int rc = read_name(body, session, err);

	if (!rc)
		rc = read_behavior(body, session, err);
	if (!rc)
		rc = read_ttl(body, &session->ttl_ms, err);
	if (!rc)
		rc = read_delay(body, &session->delay_ns, err);
	if (!rc)
		rc = read_node(body, session, err);
	return rc ? rc : read_all_checks(body, session, err);
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
