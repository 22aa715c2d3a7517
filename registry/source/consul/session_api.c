/* session_api.c: /v1/session. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/http/work.h"
#include "registry/source/consul/session.h"
#include "registry/source/consul/shared.h"

void consul_session_create(struct http_request *rq, const json_t *body)
{
	struct consul_session *session = NULL;
	struct reg_err err;
	int rc;

	session_settle(consul_of(rq));
	if (consul_of(rq)->shared) {
		shared_session_create(rq, body);
		return;
	}
	rc = session_make(consul_of(rq), body, &session, &err);
	if (rc < 0)
		consul_reply(rq, rc, &err);
	else
		http_reply_json(rq, 200, json_pack("{s:s}", "ID", session->id));
}

void consul_session_destroy(struct http_request *rq)
{
	struct consul_session *session = session_find(consul_of(rq), rq->arg[0]);

	if (consul_of(rq)->shared) {
		shared_session_destroy(rq);
		return;
	}
	if (session)
		session_end(session);
	http_reply_json(rq, 200, json_true());
}

void consul_session_renew(struct http_request *rq)
{
	struct consul_session *session;

	if (consul_of(rq)->shared) {
		shared_session_renew(rq);
		return;
	}
	session_settle_one(consul_of(rq), rq->arg[0]);
	session = session_find(consul_of(rq), rq->arg[0]);
	if (!session) {
		http_reply_text(rq, 404, "Session id '%s' not found", rq->arg[0]);
		return;
	}
	session_renew(session);
	http_reply_json(rq, 200, json_pack("[o]", session_read_back(session)));
}

static const char *session_topic(struct http_request *rq)
{
	return SESSION_TOPIC;
}

static uint64_t session_index(struct http_request *rq)
{
	session_settle(consul_of(rq));
	return consul_of(rq)->sessions_changed;
}

/*
 * Those of one node ("": this daemon's), or of all (NULL). They are in the order in which they were made, each with an
 * index of its own: work->key has that of the last one.
 */
static bool walk_sessions(struct http_work *work, const char *node)
{
	uint64_t last = strtoull(work->key, NULL, 10);

	for (struct consul_session *s = consul_of(work->rq)->sessions; s; s = s->hh.next) {
		if (s->created <= last || (node && strcmp(node, s->node) != 0))
			continue;
		snprintf(work->key, sizeof(work->key), "%" PRIu64, s->created);
		if (!http_work_put(work, NULL, session_read_back(s), false))
			return false;
	}
	return true;
}

static bool walk_all(struct http_work *work)
{
	return walk_sessions(work, NULL);
}

static bool walk_node(struct http_work *work)
{
	const struct reg_node *node = registry_node_find(work->rq->http->reg, work->rq->arg[0]);

	return !node || walk_sessions(work, node->local ? "" : node->name);
}

static json_t *render_one(struct http_request *rq)
{
	const struct consul_session *session;

	session_settle_one(consul_of(rq), rq->arg[0]);
	session = session_find(consul_of(rq), rq->arg[0]);
	return session ? json_pack("[o]", session_read_back(session)) : json_array();
}

static const struct http_scope scope = {session_topic, session_index, NULL};
#define SHOWN .scope = &scope, .unordered_if = consul_is_shared
const struct http_view consul_view_sessions = {SHOWN, .list = &(const struct http_list){.walk = walk_all}};
const struct http_view consul_view_node_sessions = {
	SHOWN, .list = &(const struct http_list){.walk = walk_node}};
const struct http_view consul_view_session = {SHOWN, .render = render_one};

static void view(struct http_request *rq)
{
	http_view(rq, rq->route->view);
}

void consul_session_get(struct http_request *rq)
{
	shared_read(rq, view);
}
