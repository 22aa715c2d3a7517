#include "control/api/subscription.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>

#include "control/api/conn.h"
#include "control/api/list.h"

/* What a connection has subscribed to. */
struct subscription {
	LIST_ENTRY(subscription) link;
	struct conn *conn;
	const struct api_watch *type;
	void *watch;
	json_t *large; /* large ones that changed and are still to be sent: {name: null} */
};

static void end(struct subscription *s)
{
	LIST_REMOVE(s, link);
	s->type->close(s->watch);
	json_decref(s->large);
	free(s);
}

void subscription_end_all(struct conn *conn)
{
	struct subscription *next;

	for (struct subscription *s = LIST_FIRST(&conn->subscriptions); s; s = next) {
		next = LIST_NEXT(s, link);
		end(s);
	}
}

/*
 * Called from inside a commit of the registry, so a connection that is to be closed is freed later, by the
 * loop.
 */
static void on_changed(void *arg, const char *method, json_t *params)
{
	struct conn *conn = ((struct subscription *)arg)->conn;
	struct evbuffer *out = rpc_out(conn);

	if (!out || evbuffer_get_length(out) > RPC_WATCH_MAX) {
		json_decref(params);
		bufferevent_trigger_event(conn->bev, BEV_EVENT_ERROR, BEV_TRIG_DEFER_CALLBACKS);
		return;
	}
	rpc_send(conn, json_pack("{s:s, s:s, s:o}", "jsonrpc", "2.0", "method", method, "params", params));
}

/* As above. A large one is sent once, however often it changes before it can be sent. */
static void on_large(void *arg, const char *name)
{
	struct subscription *s = arg;

	if (!s->large)
		s->large = json_object();
	json_object_set_new(s->large, name, json_null());
	bufferevent_trigger(s->conn->bev, EV_WRITE, BEV_TRIG_DEFER_CALLBACKS);
}

int subscription_begin(
	struct conn *conn, const struct api_watch *type, const json_t *params, struct api_err *err)
{
	static const struct api_watcher watcher = {on_changed, on_large};
	struct subscription *s;

	if (!type)
		return 0;
	LIST_FOREACH (s, &conn->subscriptions, link)
		if (s->type == type)
			return api_fail(err, API_EXISTS, NULL, "this connection watches already");
	s = calloc(1, sizeof(*s));
	if (!s)
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	s->conn = conn;
	s->type = type;
	if (type->open(conn->rpc->methods.model, params, &watcher, s, &s->watch, err) < 0) {
		free(s);
		return -1;
	}
	LIST_INSERT_HEAD(&conn->subscriptions, s, link);
	return 0;
}

/*
 * Begins to send the large one that changed first. One that is gone is passed over: that has been sent
 * already.
 */
static void tell_first(struct subscription *s)
{
	const char *name = json_object_iter_key(json_object_iter(s->large));
	struct conn *conn = s->conn;
	struct model *model = conn->rpc->methods.model;
	json_t *params = json_pack("{s:s}", "name", name);

	json_object_del(s->large, name);
	name = json_string_value(json_object_get(params, "name"));
	if (name && s->type->there(model, name))
		conn->list = rpc_list_notify(
			model, s->type->text, params, s->type->changed, bufferevent_get_output(conn->bev));
	json_decref(params);
	if (conn->list)
		bufferevent_disable(conn->bev, EV_READ);
	bufferevent_trigger(conn->bev, EV_WRITE, BEV_TRIG_DEFER_CALLBACKS);
}

void subscription_tell(struct conn *conn)
{
	struct subscription *s;

	if (conn->list || conn->closing)
		return;
	LIST_FOREACH (s, &conn->subscriptions, link)
		if (json_object_size(s->large)) {
			tell_first(s);
			return;
		}
}
