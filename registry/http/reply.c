/*
 * reply.c: the answer: status, headers, body. With `?durable` it waits until the change that it answers
 * is on disk, or the disk did not take it (507).
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "registry/http/conn.h"
#include "registry/http/jsontext.h"
#include "registry/http/repeat.h"
#include "registry/http/server.h"
#include "registry/http/text.h"
#include "registry/store/journal.h"

void http_header(struct http_request *rq, const char *name, const char *value)
{
	if (rq->lines)
		evbuffer_add_printf(rq->lines, "%s: %s\r\n", name, value);
	else
		evhttp_add_header(evhttp_request_get_output_headers(rq->raw), name, value);
}

void http_headers(struct http_request *rq, const char *type)
{
	http_header(rq, "Content-Type", type);
	if (rq->kept)
		http_header(rq, "Vary", "Accept-Encoding");
	if (rq->gzipped)
		http_header(rq, "Content-Encoding", "gzip");
	if (rq->http->api.headers)
		rq->http->api.headers(rq);
}

static void send_reply(struct http_request *rq)
{
	struct evbuffer *body = rq->body;

	http_count(rq);
	http_repeat_put(rq);
	http_conn_end(rq->conn);
	evhttp_connection_set_closecb(evhttp_request_get_connection(rq->raw), NULL, NULL);
	if (evhttp_request_get_command(rq->raw) == EVHTTP_REQ_HEAD && body)
		evbuffer_drain(body, evbuffer_get_length(body));
	evhttp_send_reply(rq->raw, rq->code, NULL, body);
	if (body)
		evbuffer_free(body);
	http_request_free(rq);
}

/* The change is made, and waits for the disk. */
static void tell_not_kept(struct http_request *rq, const char *why)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(rq->raw);

	evhttp_remove_header(headers, "X-Sluice-Not-Kept");
	evhttp_add_header(headers, "X-Sluice-Not-Kept", why);
}

static void on_durable(void *arg, int rc)
{
	struct http_request *rq = arg;
	struct evkeyvalq *headers = evhttp_request_get_output_headers(rq->raw);

	evhttp_remove_header(headers, "X-Sluice-Not-Kept");
	if (rc < 0) {
		tell_not_kept(rq, strerror(-rc));
		rq->code = 507;
		evhttp_remove_header(headers, "Content-Type");
		http_header(rq, "Content-Type", "text/plain; charset=utf-8");
		if (rq->body) {
			evbuffer_drain(rq->body, evbuffer_get_length(rq->body));
			evbuffer_add_printf(rq->body, "done, but not kept: %s", strerror(-rc));
		}
	}
	send_reply(rq);
}

static void on_gone(struct evhttp_connection *connection, void *arg)
{
	struct http_request *rq = arg;

	journal_forget(rq->http->journal, rq);
	if (rq->body)
		evbuffer_free(rq->body);
	http_request_free(rq);
}

static void on_held_gone(struct evhttp_connection *connection, void *arg)
{
	struct http_request *rq = arg;

	rq->gone(rq->gone_arg);
	http_request_free(rq);
}

void http_hold(struct http_request *rq, void (*gone)(void *arg), void *arg)
{
	rq->gone = gone;
	rq->gone_arg = arg;
	evhttp_connection_set_closecb(evhttp_request_get_connection(rq->raw), on_held_gone, rq);
}

void http_reply(struct http_request *rq, int code, const char *type, struct evbuffer *body)
{
	rq->code = code;
	http_headers(rq, type);
	rq->body = body;
	if (code < 400 && rq->verb != VERB_GET && journal_failing(rq->http->journal))
		tell_not_kept(rq, journal_failing(rq->http->journal));
	if (code < 400 && rq->verb != VERB_GET && rq->http->journal && http_flag(rq, "durable") &&
		journal_wait(rq->http->journal, on_durable, rq) == 0)
		evhttp_connection_set_closecb(evhttp_request_get_connection(rq->raw), on_gone, rq);
	else
		send_reply(rq);
}

void http_reply_text(struct http_request *rq, int code, const char *fmt, ...)
{
	struct evbuffer *body = evbuffer_new();
	va_list ap;

	va_start(ap, fmt);
	if (body)
		evbuffer_add_vprintf(body, fmt, ap);
	va_end(ap);
	http_reply(rq, code, "text/plain; charset=utf-8", body);
}

void *http_fail(struct http_request *rq, int code, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	rq->index = 0;
	rq->gzipped = false;
	http_reply_text(rq, code, "%s", text);
	return NULL;
}

void http_reply_shared(struct http_request *rq, int code, struct http_text *text)
{
	struct evbuffer *body = text ? evbuffer_new() : NULL;

	if (body && http_text_append(text, body) == 0) {
		http_reply(rq, code, "application/json", body);
		return;
	}
	if (body)
		evbuffer_free(body);
	http_fail(rq, 500, "out of memory");
}

/* `plain` is taken over. */
static void reply_plain(struct http_request *rq, int code, char *plain)
{
	struct http_text *text = plain ? http_text_new(plain) : NULL;

	http_reply_shared(rq, code, text);
	http_text_release(text);
}

void http_reply_json(struct http_request *rq, int code, json_t *json)
{
	size_t flags = JSON_ENCODE_ANY | (http_flag(rq, "pretty") ? JSON_INDENT(4) : JSON_COMPACT);
	char *plain = json ? json_dumps(json, flags) : NULL;

	json_decref(json);
	reply_plain(rq, code, plain);
}

void http_reply_json_text(struct http_request *rq, int code, const char *json)
{
	reply_plain(rq, code, http_flag(rq, "pretty") ? jsontext_indent(json) : strdup(json));
}
