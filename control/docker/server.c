/*
 * server.c: HTTP on a Unix socket, by libevent. Who may open it is root, or of root's group; still nobody can hold the
 * daemon: headers, bodies and connections are bounded, and an idle connection is cut off.
 */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/api/socket.h"
#include "control/base/log.h"
#include "control/docker/call.h"
#include "control/model/model.h"
#include "registry/base/accept.h"
#include "registry/store/journal.h"

enum { CONNS = 64, BACKLOG = 128, HEADERS_MAX = 16 * 1024, BODY_MAX = 1 << 20, IDLE_S = 60 };

#define TYPE "application/vnd.docker.plugins.v1.2+json"

struct docker_server {
	struct docker *docker;
	struct evhttp *http;
	struct evconnlistener *listener; /* evhttp's, once it is bound */
	struct accept_guard *guard;
	struct event *sweep; /* each second */
	struct bufferevent
		*conns[CONNS]; /* held by one reference more: evhttp tells nobody when it closes one */
	unsigned nconns;
	TAILQ_HEAD(waitings, waiting) waiting;
	char *path;
};

/* A request that is to be run again. */
struct waiting {
	TAILQ_ENTRY(waiting) link;
	struct docker_server *server;
	struct evhttp_request *raw;
	const struct docker_call *call;
};

/* An answer that waits for the disk. */
struct answer {
	struct docker *docker;
	struct evhttp_request *raw;
	json_t *body;
};

/* evhttp has given it up: one that it uses has callbacks. */
static bool is_closed(struct bufferevent *bev)
{
	bufferevent_data_cb read, write;
	bufferevent_event_cb event;
	void *arg;

	bufferevent_getcb(bev, &read, &write, &event, &arg);
	return !read && !write && !event;
}

static void sweep(struct docker_server *server)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < server->nconns; i++)
		if (is_closed(server->conns[i]))
			bufferevent_decref(server->conns[i]);
		else
			server->conns[kept++] = server->conns[i];
	server->nconns = kept;
}

static bool may_accept(void *arg)
{
	return ((struct docker_server *)arg)->nconns < CONNS;
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct docker_server *server = arg;

	sweep(server);
	if (may_accept(server) && !accept_is_resting(server->guard))
		evconnlistener_enable(server->listener);
}

static struct bufferevent *on_accept(struct event_base *base, void *arg)
{
	struct docker_server *server = arg;
	struct bufferevent *bev;

	if (server->nconns + 1 >= CONNS)
		sweep(server); /* before there is the new one, which looks closed until evhttp has it */
	bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	if (!bev ||
		server->nconns >= CONNS) /* evhttp makes its own then; there is room for it the next second */
		return bev;
	bufferevent_incref(bev);
	server->conns[server->nconns++] = bev;
	accept_taken(server->guard);
	if (!may_accept(server))
		evconnlistener_disable(server->listener);
	return bev;
}

static void send_text(struct evhttp_request *raw, int code, const char *text)
{
	struct evbuffer *body = evbuffer_new();

	if (body)
		evbuffer_add(body, text, strlen(text));
	evhttp_add_header(
		evhttp_request_get_output_headers(raw), "Content-Type", code == 200 ? TYPE : "text/plain");
	evhttp_send_reply(raw, code, NULL, body);
	if (body)
		evbuffer_free(body);
}

/* Takes over the reference. */
static void send_json(struct evhttp_request *raw, json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	send_text(raw, text ? 200 : 500, text ? text : "out of memory");
	free(text);
}

static void on_gone(struct evhttp_connection *connection, void *arg)
{
	struct answer *answer = arg;

	journal_forget(answer->docker->journal, answer);
	json_decref(answer->body);
	free(answer);
}

/* When the disk takes nothing the change holds all the same, until the daemon ends; `status` says so. */
static void on_durable(void *arg, int rc)
{
	struct answer *answer = arg;

	evhttp_connection_set_closecb(evhttp_request_get_connection(answer->raw), NULL, NULL);
	send_json(answer->raw, answer->body);
	free(answer);
}

static void send_durably(struct docker *docker, struct evhttp_request *raw, json_t *json)
{
	struct answer *answer = journal_waiting(docker->journal) ? malloc(sizeof(*answer)) : NULL;

	if (answer) {
		*answer = (struct answer){docker, raw, json};
		if (journal_wait(docker->journal, on_durable, answer) == 0) {
			evhttp_connection_set_closecb(evhttp_request_get_connection(raw), on_gone, answer);
			return;
		}
		free(answer);
	}
	send_json(raw, json);
}

static void on_waiting_gone(struct evhttp_connection *connection, void *arg)
{
	struct waiting *waiting = arg;

	TAILQ_REMOVE(&waiting->server->waiting, waiting, link);
	free(waiting);
}

static bool wait_for_again(
	struct docker_server *server, const struct docker_call *call, struct evhttp_request *raw)
{
	struct waiting *waiting = malloc(sizeof(*waiting));

	if (!waiting)
		return false;
	*waiting = (struct waiting){.server = server, .raw = raw, .call = call};
	TAILQ_INSERT_TAIL(&server->waiting, waiting, link);
	evhttp_connection_set_closecb(evhttp_request_get_connection(raw), on_waiting_gone, waiting);
	return true;
}

static void run_call(struct docker_server *server, const struct docker_call *call, struct evhttp_request *raw)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(raw);
	size_t len = evbuffer_get_length(in);
	const char *body = (const char *)evbuffer_pullup(in, -1);
	bool again;
	json_t *json = docker_call_run(server->docker, call, body ? body : "", body ? len : 0, &again);

	if (again && wait_for_again(server, call, raw))
		json_decref(json);
	else if (call->durable)
		send_durably(server->docker, raw, json);
	else
		send_json(raw, json);
}

/* Those that wait again come to the end of the list. */
static void on_again(void *arg)
{
	struct docker_server *server = arg;
	struct waiting *waiting;
	unsigned n = 0;

	TAILQ_FOREACH (waiting, &server->waiting, link)
		n++;
	for (; n && (waiting = TAILQ_FIRST(&server->waiting)); n--) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): one that was freed is in the list no more */
		struct waiting one = *waiting;

		evhttp_connection_set_closecb(evhttp_request_get_connection(one.raw), NULL, NULL);
		on_waiting_gone(NULL, waiting);
		run_call(server, one.call, one.raw);
	}
}

static void on_request(struct evhttp_request *raw, void *arg)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(raw);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
	const struct docker_call *call = path ? docker_call_find(path) : NULL;

	if (call)
		run_call(arg, call, raw);
	else
		send_text(raw, 404, "no such call");
}

static void say(void *arg, const char *line)
{
	log_subject(LOG_WARNING, "docker.plugin", "%s", line);
}

/* Docker looks for plugins in a folder that it makes itself only when it starts. */
static void make_folders(const char *path)
{
	char *copy = strdup(path);

	for (char *slash = copy ? strchr(copy + 1, '/') : NULL; slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(copy, 0755); /* if that fails, so does what follows */
		*slash = '/';
	}
	free(copy);
}

static int bind_socket(struct docker_server *server, const struct sockaddr_un *address)
{
	mode_t mask = umask(0117); /* 0660 from its first moment */
	int rc;

	server->listener = evconnlistener_new_bind(server->docker->base, NULL, NULL,
		LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, BACKLOG, (const struct sockaddr *)address,
		sizeof(*address));
	rc = server->listener ? 0 : -errno;
	umask(mask);
	return rc;
}

static int listen_at(struct docker_server *server, struct api_err *err)
{
	struct sockaddr_un address;
	int rc = rpc_socket_take(server->path, NULL, &address, err);

	if (rc < 0)
		return rc;
	rc = bind_socket(server, &address);
	if (!rc && !evhttp_bind_listener(server->http, server->listener)) {
		evconnlistener_free(server->listener);
		server->listener = NULL;
		unlink(server->path);
		rc = -ENOMEM;
	}
	if (!rc)
		server->guard = accept_guard(
			server->docker->base, server->listener, "docker.plugin", may_accept, say, server);
	if (!rc && !server->guard)
		rc = -ENOMEM;
	if (rc < 0)
		api_fail(err, API_INTERNAL, NULL, "%s: %s", server->path, strerror(-rc));
	return rc;
}

static int start(struct docker_server *server)
{
	static const struct timeval second = {.tv_sec = 1};

	server->http = evhttp_new(server->docker->base);
	server->sweep = event_new(server->docker->base, -1, EV_PERSIST, on_sweep, server);
	if (!server->path || !server->http || !server->sweep)
		return -ENOMEM;
	evhttp_set_max_headers_size(server->http, HEADERS_MAX);
	evhttp_set_max_body_size(server->http, BODY_MAX);
	evhttp_set_timeout(server->http, IDLE_S);
	evhttp_set_allowed_methods(server->http, EVHTTP_REQ_POST);
	evhttp_set_bevcb(server->http, on_accept, server);
	evhttp_set_gencb(server->http, on_request, server);
	evhttp_set_default_content_type(server->http, NULL);
	return event_add(server->sweep, &second) < 0 ? -ENOMEM : 0;
}

int docker_listen(struct docker *docker, const char *path, struct api_err *err)
{
	struct docker_server *server = calloc(1, sizeof(*server));
	int rc;

	api_fail(err, API_INTERNAL, NULL, "out of memory");
	if (!server)
		return -ENOMEM;
	*server = (struct docker_server){.docker = docker, .path = strdup(path)};
	TAILQ_INIT(&server->waiting);
	make_folders(path);
	rc = start(server);
	if (!rc)
		rc = listen_at(server, err);
	if (rc < 0) {
		docker_server_close(server);
		return rc;
	}
	docker->server = server;
	model_on_again(docker->model, MODEL_DOCKER, on_again, server);
	return 0;
}

void docker_server_close(struct docker_server *server)
{
	if (!server)
		return;
	model_on_again(server->docker->model, MODEL_DOCKER, NULL, NULL);
	accept_unguard(server->guard);
	if (server->listener)
		unlink(server->path);
	if (server->http)
		evhttp_free(
			server->http); /* with its listener; who waits for an answer is told by on_gone() */
	for (unsigned i = 0; i < server->nconns; i++)
		bufferevent_decref(server->conns[i]);
	if (server->sweep)
		event_free(server->sweep);
	free(server->path);
	free(server);
}
