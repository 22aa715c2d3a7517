/* session_api.c: /v1/session. */
#include "registry/source/consul/session.h"

void consul_session_create(struct http_request *rq)
{
	bool empty = evbuffer_get_length(evhttp_request_get_input_buffer(rq->raw)) == 0;
	json_t *body = empty ? json_object() : http_body(rq);
	struct consul_session *session = NULL;
	struct reg_err err;
	int rc;

	if (!body)
		return;
	session_settle(consul_of(rq));
	rc = session_make(consul_of(rq), body, &session, &err);
	json_decref(body);
	if (rc < 0)
		http_reply_text(rq, consul_code(rc), "%s", err.text);
	else
		http_reply_json(rq, 200, json_pack("{s:s}", "ID", session->id));
}

void consul_session_destroy(struct http_request *rq)
{
	struct consul_session *session = session_find(consul_of(rq), rq->arg[0]);

	if (session)
		session_end(session);
	http_reply_json(rq, 200, json_true());
}

void consul_session_renew(struct http_request *rq)
{
	struct consul_session *session;

	session_settle(consul_of(rq));
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

/* Those of one node, or of all (NULL). */
static json_t *sessions_json(struct consul *consul, const char *node)
{
	json_t *list = json_array();

	for (struct consul_session *s = consul->sessions; s; s = s->hh.next)
		if (!node || strcmp(node, s->node) == 0)
			json_array_append_new(list, session_read_back(s));
	return list;
}

static json_t *render_all(struct http_request *rq)
{
	return sessions_json(consul_of(rq), NULL);
}

static json_t *render_node(struct http_request *rq)
{
	const struct reg_node *node = registry_node_find(rq->http->reg, rq->arg[0]);

	return node ? sessions_json(consul_of(rq), node->local ? "" : node->name) : json_array();
}

static json_t *render_one(struct http_request *rq)
{
	const struct consul_session *session = session_find(consul_of(rq), rq->arg[0]);

	return session ? json_pack("[o]", session_read_back(session)) : json_array();
}

const struct http_view consul_view_sessions = {
	.topic = session_topic, .index = session_index, .render = render_all};
const struct http_view consul_view_node_sessions = {
	.topic = session_topic, .index = session_index, .render = render_node};
const struct http_view consul_view_session = {
	.topic = session_topic, .index = session_index, .render = render_one};
