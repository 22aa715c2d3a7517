/*
 * session.c: /v1/session: who may hold keys. A session ends by its own word or when its TTL runs out,
 * and gives up what it holds. Sessions do not survive a restart; their locks are free then.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/base/duration.h"
#include "registry/base/uuid.h"
#include "registry/source/consul/inside.h"
#include "registry/source/consul/kv.h"

enum { DELAY_MS = 15000, DELAY_MAX_MS = 60000, TTL_MIN_MS = 10000, TTL_MAX_MS = 86400000 };

struct consul_session {
	UT_hash_handle hh;
	struct consul *consul;
	char id[UUID_TEXT];
	char *name;
	bool forget; /* delete what it holds, instead of releasing it */
	int64_t ttl_ms, delay_ms;
	uint64_t created;
	struct event timer;
};

static struct consul_session *session_find(struct consul *consul, const char *id)
{
	struct consul_session *session;

	HASH_FIND_STR(consul->sessions, id, session);
	return session;
}

bool session_exists(struct consul *consul, const char *id)
{
	return session_find(consul, id) != NULL;
}

static void session_free(struct consul_session *session)
{
	event_del(&session->timer);
	free(session->name);
	free(session);
}

static void session_end(struct consul_session *session, bool delay)
{
	struct consul *consul = session->consul;

	HASH_DEL(consul->sessions, session);
	kv_release(consul, session->id, session->forget, delay ? session->delay_ms : 0);
	session_free(session);
}

static void on_silent(evutil_socket_t fd, short what, void *arg)
{
	session_end(arg, true);
}

/* Consul grants twice the TTL: clients renew at its half. */
static void renew(struct consul_session *session)
{
	struct timeval tv = {
		.tv_sec = 2 * session->ttl_ms / 1000, .tv_usec = 2 * session->ttl_ms % 1000 * 1000};

	if (session->ttl_ms)
		event_add(&session->timer, &tv);
}

/* What a body may say of a time: a Go duration, or (lock delay) a number of seconds. */
static int read_time(
	const json_t *body, const char *name, int64_t min, int64_t max, int64_t *ms, struct reg_err *err)
{
	const json_t *value = consul_field(body, name);
	int64_t us = 0;

	if (!value || (json_is_string(value) && json_string_length(value) == 0))
		return 0;
	if (json_is_integer(value) && json_integer_value(value) >= 0 &&
		json_integer_value(value) <= max / 1000)
		us = json_integer_value(value) * 1000000;
	else if (!json_is_string(value) || duration_parse(json_string_value(value), &us) < 0)
		return reg_fail(err, -EINVAL, "%s: is no duration", name);
	if (us / 1000 < min || us / 1000 > max)
		return reg_fail(err, -EINVAL, "%s: must be between %llds and %llds", name,
			(long long)min / 1000, (long long)max / 1000);
	*ms = us / 1000;
	return 0;
}

static int read_session(const json_t *body, struct consul_session *session, struct reg_err *err)
{
	const char *behavior, *name;
	int rc = consul_text(body, "Behavior", &behavior, err);

	if (!rc)
		rc = consul_text(body, "Name", &name, err);
	if (!rc)
		rc = read_time(body, "TTL", TTL_MIN_MS, TTL_MAX_MS, &session->ttl_ms, err);
	if (!rc)
		rc = read_time(body, "LockDelay", 0, DELAY_MAX_MS, &session->delay_ms, err);
	if (rc)
		return rc;
	if (behavior && *behavior && strcmp(behavior, "release") != 0 && strcmp(behavior, "delete") != 0)
		return reg_fail(err, -EINVAL, "Behavior: must be release or delete");
	session->forget = behavior && strcmp(behavior, "delete") == 0;
	session->name = strdup(name ? name : "");
	return session->name ? 0 : reg_fail(err, -ENOMEM, "out of memory");
}

static int session_make(
	struct consul *consul, const json_t *body, struct consul_session **out, struct reg_err *err)
{
	struct consul_session *session = calloc(1, sizeof(*session));
	int rc;

	reg_fail(err, 0, "out of memory");
	if (!session)
		return -ENOMEM;
	*session = (struct consul_session){.consul = consul, .delay_ms = DELAY_MS};
	event_assign(&session->timer, consul->base, -1, 0, on_silent, session);
	rc = HASH_COUNT(consul->sessions) < KV_SESSIONS ? read_session(body, session, err)
							: reg_fail(err, -ENOSPC, "too many sessions");
	if (!rc)
		rc = uuid_make(session->id);
	if (!rc) {
		HASH_ADD_STR(consul->sessions, id, session);
		rc = session->hh.tbl ? 0 : -ENOMEM;
	}
	if (rc) {
		session_free(session);
		return rc;
	}
	commit_topic(consul->reg, KV_TOPIC);
	session->created = registry_generation(consul->reg);
	renew(session);
	*out = session;
	return 0;
}

static json_t *session_json(const struct consul_session *session)
{
	char ttl[DURATION_TEXT] = "";

	if (session->ttl_ms)
		duration_text(session->ttl_ms * 1000, ttl);
	return json_pack("{s:s, s:s, s:s, s:[s], s:I, s:s, s:s, s:I, s:I}", "ID", session->id, "Name",
		session->name, "Node", registry_node_find(session->consul->reg, "")->name, "NodeChecks",
		"serfHealth", "LockDelay", (json_int_t)session->delay_ms * 1000000, "Behavior",
		session->forget ? "delete" : "release", "TTL", ttl, "CreateIndex",
		(json_int_t)session->created, "ModifyIndex", (json_int_t)session->created);
}

void consul_session_create(struct http_request *rq)
{
	bool empty = evbuffer_get_length(evhttp_request_get_input_buffer(rq->raw)) == 0;
	json_t *body = empty ? json_object() : http_body(rq);
	struct consul_session *session = NULL;
	struct reg_err err;
	int rc;

	if (!body)
		return;
	rc = session_make(consul_of(rq), body, &session, &err);
	json_decref(body);
	if (!session)
		http_reply_text(rq, consul_code(rc), "%s", err.text);
	else
		http_reply_json(rq, 200, json_pack("{s:s}", "ID", session->id));
}

void consul_session_destroy(struct http_request *rq)
{
	struct consul_session *session = session_find(consul_of(rq), rq->arg[0]);

	if (session)
		session_end(session, false);
	http_reply_json(rq, 200, json_true());
}

void consul_session_renew(struct http_request *rq)
{
	struct consul_session *session = session_find(consul_of(rq), rq->arg[0]);

	if (!session) {
		http_reply_text(rq, 404, "Session id '%s' not found", rq->arg[0]);
		return;
	}
	renew(session);
	http_reply_json(rq, 200, json_pack("[o]", session_json(session)));
}

static const char *session_topic(struct http_request *rq)
{
	return KV_TOPIC;
}

/* One session by the path, those of a node, or all. */
static json_t *session_render(struct http_request *rq)
{
	struct consul *consul = consul_of(rq);
	bool of_node = strstr(evhttp_request_get_uri(rq->raw), "/session/node/") != NULL;
	const struct reg_node *node = registry_node_find(rq->http->reg, of_node ? rq->arg[0] : "");
	json_t *list = json_array();

	for (struct consul_session *s = consul->sessions; s && node && node->local; s = s->hh.next)
		if (of_node || !rq->arg[0] || strcmp(rq->arg[0], s->id) == 0)
			json_array_append_new(list, session_json(s));
	return list;
}

const struct http_view consul_view_sessions = {
	.topic = session_topic, .index = consul_index_any, .render = session_render};

void session_close(struct consul *consul)
{
	struct consul_session *session = consul->sessions, *later;

	HASH_CLEAR(hh, consul->sessions);
	for (; session; session = later) {
		later = session->hh.next;
		session_free(session);
	}
}
