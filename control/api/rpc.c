#include "control/api/rpc.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/api/conn.h"
#include "control/api/list.h"
#include "control/api/socket.h"
#include "control/api/subscription.h"
#include "control/base/log.h"
#include "registry/base/accept.h"
#include "registry/base/wheel.h"

/* Of JSON-RPC itself. */
enum { PARSE_ERROR = -32700, INVALID_REQUEST = -32600, METHOD_NOT_FOUND = -32601 };

enum { LISTS_US = 1000 };

static void conn_free(struct conn *conn)
{
	TAILQ_REMOVE(&conn->rpc->conns, conn, link);
	conn->rpc->count--;
	subscription_end_all(conn);
	rpc_list_end(conn->list);
	if (conn->durable)
		conn->rpc->methods.store.forget(conn->rpc->methods.store.arg, conn);
	json_decref(conn->durable);
	json_decref(conn->waiting);
	if (conn->ready)
		TAILQ_REMOVE(&conn->rpc->ready, conn, turn);
	if (conn->held)
		evbuffer_free(conn->held);
	bufferevent_free(conn->bev);
	free(conn);
}

struct evbuffer *rpc_out(struct conn *conn)
{
	if (!conn->list)
		return bufferevent_get_output(conn->bev);
	if (!conn->held)
		conn->held = evbuffer_new();
	return conn->held;
}

void rpc_send(struct conn *conn, json_t *message)
{
	struct evbuffer *out = rpc_out(conn);
	char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;

	json_decref(message);
	if (!text || !out) {
		free(text);
		return;
	}
	evbuffer_add(out, text, strlen(text));
	evbuffer_add(out, "\n", 1);
	free(text);
	if (evbuffer_get_length(out) > RPC_BACKLOG_MAX)
		bufferevent_disable(conn->bev, EV_READ);
}

static json_t *answer(const json_t *id)
{
	return json_pack("{s:s, s:O}", "jsonrpc", "2.0", "id", id ? id : json_null());
}

static void send_error(struct conn *conn, const json_t *id, int code, const char *text)
{
	json_t *message = answer(id);

	json_object_set_new(message, "error", json_pack("{s:i, s:s}", "code", code, "message", text));
	rpc_send(conn, message);
}

static void say_if_not_kept(const struct rpc_methods *methods, json_t *result)
{
	const char *why = methods->not_kept(methods->model);

	if (why && json_is_object(result))
		json_object_set_new(result, "not_kept", json_string(why));
}

static int run(struct conn *conn, const struct api_method *method, const json_t *params, json_t **result,
	struct api_err *err)
{
	const struct rpc_methods *methods = &conn->rpc->methods;

	if (methods->call(methods->model, method, "api", params, result, err) < 0)
		return -1;
	if (method->changes)
		say_if_not_kept(methods, *result);
	if (subscription_begin(conn, method->watch, params, err) == 0)
		return 0;
	json_decref(*result);
	return -1;
}

/* Writes the next part of the list under way. The loop then does other work, until the client has taken it.
 */
static void continue_list(struct conn *conn)
{
	struct evbuffer *out = bufferevent_get_output(conn->bev);

	if (rpc_list_next(conn->list, out)) {
		rpc_list_end(conn->list);
		conn->list = NULL;
		if (conn->held)
			evbuffer_add_buffer(out, conn->held);
	}
	if (evbuffer_get_length(out) == 0)
		bufferevent_trigger(conn->bev, EV_WRITE, BEV_TRIG_DEFER_CALLBACKS);
}

static void go_next_turn(struct rpc *rpc)
{
	static const struct timeval next_turn;

	if (!event_pending(rpc->go, EV_TIMEOUT, NULL))
		event_add(rpc->go, &next_turn);
}

/* Lists of all connections have LISTS_US of a turn together, one part after the other. */
static void on_go(evutil_socket_t fd, short what, void *arg)
{
	struct rpc *rpc = arg;
	uint64_t end = wheel_now_us() + LISTS_US;
	struct conn *conn;

	while ((conn = TAILQ_FIRST(&rpc->ready)) && wheel_now_us() < end) {
		TAILQ_REMOVE(&rpc->ready, conn, turn);
		conn->ready = false;
		continue_list(conn);
	}
	if (conn)
		go_next_turn(rpc);
}

static void list_can_go_on(struct conn *conn)
{
	if (conn->ready)
		return;
	conn->ready = true;
	TAILQ_INSERT_TAIL(&conn->rpc->ready, conn, turn);
	go_next_turn(conn->rpc);
}

static void go_on_reading(struct conn *conn);

/* What the disk does not take holds all the same, until the daemon ends: the answer says so. */
static void on_durable(void *arg, int rc)
{
	struct conn *conn = arg;
	json_t *message = conn->durable;

	conn->durable = NULL;
	if (rc < 0)
		say_if_not_kept(&conn->rpc->methods, json_object_get(message, "result"));
	rpc_send(conn, message);
	go_on_reading(conn);
}

/* Takes over `message`. */
static void send_durably(struct conn *conn, json_t *message)
{
	const struct rpc_store *store = &conn->rpc->methods.store;

	if (!store->wait || store->wait(store->arg, on_durable, conn) < 0) {
		rpc_send(conn, message);
		return;
	}
	conn->durable = message;
	bufferevent_disable(conn->bev, EV_READ);
}

static void send_result(struct conn *conn, const struct api_method *method, const json_t *request,
	const json_t *id, json_t *result)
{
	const json_t *params = json_object_get(request, "params");
	json_t *message;

	if (!method->part && !method->text) {
		message = answer(id);
		json_object_set_new(message, "result", result);
		if (method->changes && json_is_true(json_object_get(request, "durable")))
			send_durably(conn, message);
		else
			rpc_send(conn, message);
		return;
	}
	json_decref(result);
	conn->list = rpc_list_begin(
		conn->rpc->methods.model, method, params, id, bufferevent_get_output(conn->bev));
	if (!conn->list) {
		send_error(conn, id, API_INTERNAL, "out of memory");
		return;
	}
	bufferevent_disable(conn->bev, EV_READ);
	continue_list(conn);
}

static void handle(struct conn *conn, json_t *request)
{
	const json_t *id = json_object_get(request, "id"), *params = json_object_get(request, "params");
	const char *name = json_string_value(json_object_get(request, "method"));
	const struct api_method *method;
	struct api_err err = {0};
	bool good_id = !id || json_is_string(id) || json_is_integer(id) || json_is_null(id);
	json_t *result;

	if (!name || !good_id) {
		send_error(conn, good_id ? id : NULL, INVALID_REQUEST,
			"a request is an object with a method and an id");
		return;
	}
	method = conn->rpc->methods.find(name);
	if (!method) {
		if (id)
			send_error(conn, id, METHOD_NOT_FOUND, "no such method");
		return;
	}
	if (run(conn, method, params, &result, &err) < 0) {
		if (err.code == API_AGAIN) {
			conn->waiting = json_incref(request);
			bufferevent_disable(conn->bev, EV_READ);
		} else if (id)
			send_error(conn, id, err.code, err.text);
		return;
	}
	if (id)
		send_result(conn, method, request, id, result);
	else
		json_decref(result);
}

static void handle_line(struct conn *conn, const char *line, size_t len)
{
	json_error_t why;
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &why);

	if (request)
		handle(conn, request);
	else
		send_error(conn, NULL, PARSE_ERROR, why.text);
	json_decref(request);
}

/* No more requests; what has been answered still goes out. */
static void hang_up(struct conn *conn, const char *text)
{
	send_error(conn, NULL, INVALID_REQUEST, text);
	bufferevent_disable(conn->bev, EV_READ);
	conn->closing = true;
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct conn *conn = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	size_t len;
	char *line;

	while (!conn->closing && !conn->list && !conn->durable && !conn->waiting &&
		evbuffer_get_length(bufferevent_get_output(bev)) <= RPC_BACKLOG_MAX &&
		(line = evbuffer_readln(in, &len, EVBUFFER_EOL_LF))) {
		if (len)
			handle_line(conn, line, len);
		free(line);
	}
	if (!conn->closing && !conn->list && evbuffer_get_length(in) > RPC_LINE_MAX)
		hang_up(conn, "a request is at most 1 MiB");
}

static void go_on_reading(struct conn *conn)
{
	if (conn->closing || evbuffer_get_length(bufferevent_get_output(conn->bev)) > RPC_BACKLOG_MAX)
		return; /* on_written() comes, when that is out */
	bufferevent_enable(conn->bev, EV_READ);
	on_read(conn->bev, conn);
}

static void on_written(struct bufferevent *bev, void *arg)
{
	struct conn *conn = arg;

	if (conn->closing) {
		conn_free(conn);
		return;
	}
	if (conn->list) {
		list_can_go_on(conn);
		return;
	}
	if (!conn->durable && !conn->waiting)
		go_on_reading(conn);
	subscription_tell(conn);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	conn_free(arg);
}

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* since Linux 6.16; the headers may be older than the kernel */
#endif

/*
 * A client can pass open files beside its bytes, and the kernel closes them when the bytes are read. To close
 * a file may take as long as the client likes: a TCP socket that lingers held up this thread for all of its
 * time. So nobody may pass any. A connection inherits this from its listener, from its first moment on.
 * Kernels before 6.16 do not know the option.
 */
static void refuse_files(int fd)
{
	int allowed = 0;

	setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &allowed, sizeof(allowed));
}

static void on_accept(
	struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int len, void *arg)
{
	static const struct timeval stall = {.tv_sec = RPC_STALL_S};
	struct rpc *rpc = arg;
	struct conn *conn = rpc->count < RPC_CONNS ? calloc(1, sizeof(*conn)) : NULL;

	accept_taken(rpc->guard);
	if (!conn) {
		log_line(LOG_WARNING, "control socket: %u connections already, one more refused", rpc->count);
		close(fd);
		return;
	}
	conn->rpc = rpc;
	conn->bev = bufferevent_socket_new(evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE);
	if (!conn->bev) {
		close(fd);
		free(conn);
		return;
	}
	rpc->count++;
	TAILQ_INSERT_TAIL(&rpc->conns, conn, link);
	bufferevent_setcb(conn->bev, on_read, on_written, on_event, conn);
	bufferevent_set_timeouts(conn->bev, NULL, &stall);
	bufferevent_enable(conn->bev, EV_READ | EV_WRITE);
}

static void say(void *arg, const char *line)
{
	log_subject(LOG_WARNING, "control socket", "%s", line);
}

static int listen_at(struct event_base *base, struct rpc *rpc, struct api_err *err)
{
	struct sockaddr_un address;
	mode_t mask;
	int rc;

	rc = rpc_socket_take(rpc->path, "control.socket", &address, err);
	if (rc)
		return rc;
	mask = umask(0117); /* 0660 from its first moment */
	rpc->listener =
		evconnlistener_new_bind(base, on_accept, rpc, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC,
			2 * RPC_CONNS, (struct sockaddr *)&address, sizeof(address));
	rc = rpc->listener ? 0 : -errno;
	umask(mask);
	if (!rc)
		rpc->guard = accept_guard(base, rpc->listener, "control socket", NULL, say, rpc);
	if (!rc && !rpc->guard)
		rc = -ENOMEM;
	if (!rc)
		refuse_files(evconnlistener_get_fd(rpc->listener));
	if (rc)
		api_fail(err, API_INTERNAL, "control.socket", "%s: %s", rpc->path, strerror(-rc));
	return rc;
}

int rpc_open(struct event_base *base, const char *path, const struct rpc_methods *methods, struct rpc **out,
	struct api_err *err)
{
	struct rpc *rpc = calloc(1, sizeof(*rpc));
	int rc;

	api_fail(err, API_INTERNAL, NULL, "out of memory");
	if (!rpc)
		return -ENOMEM;
	TAILQ_INIT(&rpc->conns);
	TAILQ_INIT(&rpc->ready);
	rpc->methods = *methods;
	rpc->path = strdup(path);
	rpc->go = event_new(base, -1, 0, on_go, rpc);
	rc = rpc->path && rpc->go ? listen_at(base, rpc, err) : -ENOMEM;
	if (rc) {
		accept_unguard(rpc->guard);
		if (rpc->listener)
			evconnlistener_free(rpc->listener);
		if (rpc->go)
			event_free(rpc->go);
		free(rpc->path);
		free(rpc);
		return rc;
	}
	*out = rpc;
	return 0;
}

void rpc_again(struct rpc *rpc)
{
	struct conn *conn, *next;
	json_t *request;

	for (conn = TAILQ_FIRST(&rpc->conns); conn; conn = next) {
		next = TAILQ_NEXT(conn, link);
		request = conn->waiting;
		if (!request)
			continue;
		conn->waiting = NULL;
		handle(conn, request);
		json_decref(request);
		if (!conn->waiting && !conn->list && !conn->durable)
			go_on_reading(conn);
	}
}

void rpc_close(struct rpc *rpc)
{
	struct conn *conn, *next;

	if (!rpc)
		return;
	for (conn = TAILQ_FIRST(&rpc->conns); conn; conn = next) {
		next = TAILQ_NEXT(conn, link);
		conn_free(conn);
	}
	accept_unguard(rpc->guard);
	evconnlistener_free(rpc->listener);
	event_free(rpc->go);
	unlink(rpc->path);
	free(rpc->path);
	free(rpc);
}
