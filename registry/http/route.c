/*
 * route.c: from a request to its row in the table of routes.
 */
#include <stdlib.h>
#include <string.h>

#include "registry/base/utf8.h"
#include "registry/http/conn.h"
#include "registry/http/query.h"
#include "registry/http/server.h"
#include "registry/http/work.h"

static const struct {
	enum evhttp_cmd_type type;
	enum http_verb verb;
	const char *name;
} verbs[] = {
	{EVHTTP_REQ_GET, VERB_GET, "GET"},
	{EVHTTP_REQ_HEAD, VERB_GET, "HEAD"},
	{EVHTTP_REQ_PUT, VERB_PUT, "PUT"},
	{EVHTTP_REQ_POST, VERB_POST, "POST"},
	{EVHTTP_REQ_DELETE, VERB_DELETE, "DELETE"},
};
enum { VERBS = sizeof(verbs) / sizeof(verbs[0]) };

static enum http_verb verb_of(struct evhttp_request *raw)
{
	for (size_t i = 0; i < VERBS; i++)
		if (verbs[i].type == evhttp_request_get_command(raw))
			return verbs[i].verb;
	return 0;
}

/* Does `path` look like `pattern`? The decoded parts go to `arg`, to be freed. With `whole` a part at the end of the
 * pattern takes all that is left: names may have slashes, and not every client spells them %2F. */
static bool match(const char *pattern, const char *path, bool whole, char *arg[HTTP_ARGS])
{
	unsigned n = 0;

	while (*pattern && *pattern != '*' && *path) {
		size_t part = whole && *pattern == ':' && !pattern[1] ? strlen(path) : strcspn(path, "/");

		if (*pattern == ':') {
			if (part == 0)
				break;
			arg[n++] = strndup(path, part);
			path += part;
			pattern++;
		} else if (*pattern++ != *path++) {
			pattern = "!";
			break;
		}
	}
	if (*pattern == '*')
		arg[n++] = strdup(path);
	if ((*pattern != '*' && (*pattern || *path))) {
		while (n)
			free(arg[--n]);
		arg[0] = NULL;
		return false;
	}
	for (unsigned i = 0; i < n; i++) {
		char *decoded = arg[i] ? evhttp_uridecode(arg[i], 0, NULL) : NULL;

		free(arg[i]);
		arg[i] = decoded;
	}
	return true;
}

/* Takes the same time wherever two texts of one length differ. */
static bool same_secret(const char *secret, const char *given)
{
	size_t len = strlen(secret), n = strlen(given);
	unsigned char differ = len != n;

	for (size_t i = 0; i < n; i++)
		differ |= (unsigned char)(secret[i % (len ? len : 1)] ^ given[i]);
	return !differ;
}

static bool is_allowed(const struct http_request *rq)
{
	const struct evkeyvalq *headers = evhttp_request_get_input_headers(rq->raw);
	const char *token = evhttp_find_header(headers, "X-Consul-Token"),
		   *bearer = evhttp_find_header(headers, "Authorization");

	if (!rq->http->token)
		return true;
	if (!token && bearer && strncasecmp(bearer, "Bearer ", 7) == 0)
		token = bearer + 7;
	if (!token)
		token = http_param(rq, "token");
	return token && same_secret(rq->http->token, token);
}

static void tell_verbs(struct http_request *rq, unsigned allowed)
{
	char text[40] = "";

	for (size_t i = 0; i < VERBS; i++)
		if (allowed & verbs[i].verb)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s,", verbs[i].name);
	snprintf(text + strlen(text), sizeof(text) - strlen(text), "OPTIONS");
	http_header(rq, "Allow", text);
	if (evhttp_request_get_command(rq->raw) == EVHTTP_REQ_OPTIONS)
		http_reply_text(rq, 200, "%s", "");
	else
		http_reply_text(rq, 405, "method not allowed: want %s", text);
}

/* What goes into names, keys and answers must be text that JSON can have, and whole. */
static bool is_text(const struct http_request *rq)
{
	if (strstr(evhttp_request_get_uri(rq->raw), "%00"))
		return false;
	for (unsigned i = 0; i < HTTP_ARGS; i++)
		if (rq->arg[i] && !utf8_is(rq->arg[i]))
			return false;
	for (const struct http_pair *pair = rq->query; pair->name; pair++)
		if (!utf8_is(pair->name) || !utf8_is(pair->value))
			return false;
	return true;
}

/* False: it has been answered. */
static bool may_run(struct http_request *rq, const struct http_route *route)
{
	if (!route->open && !is_allowed(rq)) {
		http_reply_text(rq, 403, "Permission denied: the token is missing or wrong");
		return false;
	}
	if (!is_text(rq))
		return http_fail(rq, 400, "the path or the query is not UTF-8, or has a zero in it");
	if (rq->cached && http_flag(rq, "consistent"))
		return http_fail(rq, 400, "Cannot specify ?cached with ?consistent, conflicting semantics.");
	return !rq->http->api.accepts || rq->http->api.accepts(rq);
}

/* The body as a JSON object, a new reference; NULL after http_fail(). */
static json_t *read_body(struct http_request *rq)
{
	struct evbuffer *input = evhttp_request_get_input_buffer(rq->raw);
	size_t len = evbuffer_get_length(input);
	const char *text = (const char *)evbuffer_pullup(input, -1);
	json_error_t why = {.text = "empty"};
	json_t *json = len ? json_loadb(text, len, 0, &why) : NULL;

	if (!len && rq->route->may_be_empty)
		json = json_object();
	if (json_is_object(json))
		return json;
	if (json)
		http_fail(rq, 400, "Request decode failed: must be a JSON object");
	else
		http_fail(rq, 400, "Request decode failed: %s (line %d)", why.text, why.line);
	json_decref(json);
	return NULL;
}

static void take(struct http_request *rq)
{
	const struct http_route *route = rq->route;
	json_t *body = read_body(rq);

	if (body)
		route->take(rq, body);
	json_decref(body);
}

static void run(struct http_request *rq, const struct http_route *route)
{
	rq->route = route;
	rq->cached = route->cached && http_flag(rq, "cached");
	if (!may_run(rq, route))
		return;
	if (route->fn)
		route->fn(rq);
	else if (route->view)
		http_view(rq, route->view);
	else if (route->list)
		http_list(rq, route->list);
	else
		take(rq);
}

bool http_run_page(struct http_request *rq, const char *path)
{
	const struct http_page *page = rq->http->api.pages;
	struct evbuffer *body;

	while (page && page->path && strcmp(page->path, path) != 0)
		page++;
	if (!page || !page->path)
		return false;
	if (rq->verb != VERB_GET) {
		tell_verbs(rq, VERB_GET);
	} else if (!is_allowed(rq)) {
		http_reply_text(rq, 403, "Permission denied: the token is missing or wrong");
	} else if (!(body = evbuffer_new())) {
		http_reply_text(rq, 500, "out of memory");
	} else {
		page->fn(page->ctx, body);
		http_reply(rq, 200, page->content_type, body);
	}
	return true;
}

static void find_row(struct http_request *rq, const char *path)
{
	unsigned allowed = 0;

	for (const struct http_route *route = rq->http->api.routes; route && route->path; route++) {
		unsigned takes =
			route->verbs | (route->also_by_get && rq->http->changes_by_get ? VERB_GET : 0);

		/* a path that an earlier row takes otherwise names nothing by this one */
		if (!match(route->path, path, !allowed, rq->arg))
			continue;
		if (takes & rq->verb) {
			run(rq, route);
			return;
		}
		allowed |= takes;
		for (unsigned i = 0; i < HTTP_ARGS; i++) {
			free(rq->arg[i]);
			rq->arg[i] = NULL;
		}
	}
	if (allowed)
		tell_verbs(rq, allowed);
	else if (!http_run_page(rq, path))
		http_reply_text(rq, 404, "Invalid URL path: not served here");
}

void http_request_free(struct http_request *rq)
{
	for (unsigned i = 0; i < HTTP_ARGS; i++)
		free(rq->arg[i]);
	http_query_free(rq->query);
	free(rq->question);
	free(rq);
}

void http_dispatch(struct evhttp_request *raw, void *arg)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(raw);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
	struct http_request *rq = calloc(1, sizeof(*rq));

	if (!rq || http_query_parse(uri ? evhttp_uri_get_query(uri) : NULL, &rq->query) < 0) {
		free(rq);
		evhttp_send_error(raw, 400, NULL);
		return;
	}
	rq->http = arg;
	rq->raw = raw;
	rq->verb = verb_of(raw);
	rq->conn = http_conn_begin(rq->http, raw);
	if (!http_frame_read(rq))
		return;
	if (!http_host_allowed(rq->http, raw)) {
		http_reply_text(rq, 403,
			"Permission denied: not for this host: neither of the loopback nor in "
			"control.http_hosts");
		return;
	}
	find_row(rq, path ? path : "");
}
