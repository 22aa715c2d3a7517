/*
 * park.c: queries that wait. One whose index the client has seen is parked on the watch of what it
 * shows, and answered when that has a higher index, or when its time is up. A commit only notes who is to
 * wake; they are answered for a while in each turn of the loop, so that DNS, checks and what was answered before go
 * on beside them. Those who asked for the same share one text (cache.c), so that five thousand watchers of a service cost
 * one rendering.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "registry/base/wheel.h"
#include "registry/http/cache.h"
#include "registry/http/gzip.h"
#include "registry/http/part.h"
#include "registry/http/server.h"
#include "registry/http/work.h"

enum { WAIT_MS = 300 * 1000, WAIT_MAX_MS = 600 * 1000, JITTER = 16, TURN_US = 500 };

/* Ends the waiting; the request is left to whoever answers it. */
static void unpark(struct http_request *rq)
{
	struct http *http = rq->http;

	if (rq->blocked)
		TAILQ_REMOVE(&http->blocked, rq, link);
	else if (rq->woken)
		TAILQ_REMOVE(&http->woken, rq, link);
	else
		TAILQ_REMOVE(&http->parked, rq, link);
	registry_unwatch(rq->watch);
	rq->watch = NULL;
	rq->blocked = false;
	if (event_initialized(&rq->timer))
		event_del(&rq->timer);
	evhttp_connection_set_closecb(evhttp_request_get_connection(rq->raw), NULL, NULL);
	http->nparked--;
}

static void on_gone(struct evhttp_connection *connection, void *arg)
{
	unpark(arg);
	http_request_free(arg);
}

/* In the next turn of the loop: an event made active would be run in this one, before any descriptor is looked
 * at again. */
static void answer_soon(struct http *http)
{
	static const struct timeval now;

	if (!event_pending(http->answer, EV_TIMEOUT, NULL))
		event_add(http->answer, &now);
}

static void wake(struct http_request *rq)
{
	if (rq->woken)
		return;
	TAILQ_REMOVE(&rq->http->parked, rq, link);
	rq->woken = true;
	rq->asked = http_cache_revision(rq);
	TAILQ_INSERT_TAIL(&rq->http->woken, rq, link);
	answer_soon(rq->http);
}

static void on_change(void *arg, const char *name, uint64_t generation)
{
	wake(arg);
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
	struct http_request *rq = arg;

	rq->late = true;
	wake(rq);
}

static int64_t now_ms(void)
{
	return (int64_t)(wheel_now_us() / 1000);
}

/* False when it cannot wait, and is to be answered at once. */
static bool park(struct http_request *rq, const struct http_view *view)
{
	int64_t left = rq->deadline_ms - now_ms();
	struct timeval tv = {.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000};

	if (left <= 0 || rq->http->nparked >= rq->http->max_parked)
		return false;
	rq->woken = rq->late = rq->blocked = false;
	rq->watch = registry_watch(rq->http->reg, view->scope->topic(rq), on_change, rq);
	event_assign(&rq->timer, rq->http->base, -1, 0, on_late, rq);
	if (!rq->watch || event_add(&rq->timer, &tv) < 0) {
		registry_unwatch(rq->watch);
		return false;
	}
	evhttp_connection_set_closecb(evhttp_request_get_connection(rq->raw), on_gone, rq);
	TAILQ_INSERT_TAIL(&rq->http->parked, rq, link);
	rq->http->nparked++;
	return true;
}

/* The answer's text; NULL: it has been answered, with an error. */
static struct http_text *render(struct http_request *rq, const struct http_view *view)
{
	bool pretty = http_flag(rq, "pretty");
	json_t *json = view->render(rq);
	struct http_text *text = NULL;
	char *plain;

	if (!json)
		return NULL;
	plain = json_dumps(json, JSON_ENCODE_ANY | (pretty ? JSON_INDENT(4) : JSON_COMPACT));
	json_decref(json);
	if (plain)
		text = http_text_new(plain);
	if (!text)
		http_fail(rq, 500, "out of memory");
	return text;
}

/* Another one is about to be answered with what it asked for: it waits for that. */
static bool block(struct http_request *rq)
{
	struct http *http = rq->http;

	if (!http_work_is_made(rq))
		return false;
	rq->blocked = true;
	evhttp_connection_set_closecb(evhttp_request_get_connection(rq->raw), on_gone, rq);
	TAILQ_INSERT_TAIL(&http->blocked, rq, link);
	http->nparked++;
	return true;
}

void http_unblock(struct http *http)
{
	struct http_request *rq;

	if (TAILQ_EMPTY(&http->blocked))
		return;
	TAILQ_FOREACH (rq, &http->blocked, link) {
		rq->blocked = false;
		rq->woken = true;
	}
	TAILQ_CONCAT(&http->woken, &http->blocked, link);
	answer_soon(http);
}

/* With the text that another one was told, if both asked for the same and it still holds. */
static void answer(struct http_request *rq, const struct http_view *view)
{
	struct http *http = rq->http;
	struct http_text *text = http_cache_find(rq), *made = NULL;

	if (!text && view->list) {
		if (block(rq))
			return;
		http_cache_missed(rq);
		http_list(rq, view->list);
		return;
	}
	if (!text) {
		uint64_t revision = http_cache_revision(rq);

		http_cache_missed(rq);
		text = made = render(rq, view);
		if (made)
			text = http_cache_put(rq, made, revision, rq->woken && !TAILQ_EMPTY(&http->woken));
	}
	rq->kept = view->scope->revision;
	if (text)
		http_reply_shared(rq, 200, text);
	http_text_release(made);
}

/* Answers unless the text is the one that the client has. */
static void consider_hash(struct http_request *rq, const struct http_view *view)
{
	const char *known = http_param(rq, "hash");
	struct http_text *text = render(rq, view);

	if (!text)
		return;
	if (rq->late || !known || strcmp(known, rq->hash) != 0 || !park(rq, view))
		http_reply_shared(rq, 200, text);
	http_text_release(text);
}

bool http_view_is_unordered(struct http_request *rq)
{
	return rq->view->unordered || (rq->view->unordered_if && rq->view->unordered_if(rq));
}

/* Has the client seen what there is? */
static bool is_seen(struct http_request *rq)
{
	if (http_view_is_unordered(rq))
		return rq->seen == rq->index;
	/* who knows more than there is has known another daemon, or this one before it lost its state */
	return rq->seen >= rq->index && rq->seen <= registry_generation(rq->http->reg);
}

uint64_t http_view_index(struct http_request *rq)
{
	uint64_t first = registry_first_generation(rq->http->reg), index = rq->view->scope->index(rq);

	if (!http_view_is_unordered(rq) && index < first)
		index = first;
	return index ? index : 1;
}

/* Answers now if there is something that the client has not seen, or else parks. */
static void consider(struct http_request *rq, const struct http_view *view)
{
	if (view->by_hash) {
		consider_hash(rq, view);
		return;
	}
	rq->index = http_view_index(rq);
	if (!rq->late && is_seen(rq) && park(rq, view))
		return;
	answer(rq, view);
}

static void on_answer(evutil_socket_t fd, short what, void *arg)
{
	struct http *http = arg;
	uint64_t end = wheel_now_us() + TURN_US;
	struct http_request *rq;

	while ((rq = TAILQ_FIRST(&http->woken)) && wheel_now_us() < end) {
		unpark(rq);
		consider(rq, rq->view);
	}
	if (rq) {
		answer_soon(http);
		return;
	}
	if (!TAILQ_EMPTY(&http->blocked))
		return;
	http_cache_settle(http);
	http_parts_settle(http);
}

/* What every view takes: false when it has been answered with an error. */
static bool read_options(struct http_request *rq)
{
	int64_t wait;

	wait = http_duration(rq, "wait", WAIT_MS);
	if (wait < 0 || http_number(rq, "index", &rq->seen) < 0)
		return false;
	if (wait == 0)
		wait = WAIT_MS;
	if (wait > WAIT_MAX_MS)
		wait = WAIT_MAX_MS;
	rq->deadline_ms = now_ms() + wait + rand() % (wait / JITTER + 1);
	return true;
}

void http_view(struct http_request *rq, const struct http_view *view)
{
	if (!read_options(rq))
		return;
	rq->view = view;
	rq->takes_gzip = evhttp_request_get_command(rq->raw) == EVHTTP_REQ_GET &&
			 http_gzip_accepted(evhttp_request_get_input_headers(rq->raw));
	rq->asked = http_cache_revision(rq);
	consider(rq, view);
}

int http_park_open(struct http *http)
{
	http->answer = event_new(http->base, -1, 0, on_answer, http);
	return http->answer ? 0 : -ENOMEM;
}

void http_park_close(struct http *http)
{
	struct http_request *rq;

	while ((rq = TAILQ_FIRST(&http->woken)) || (rq = TAILQ_FIRST(&http->parked)) ||
		(rq = TAILQ_FIRST(&http->blocked))) {
		unpark(rq);
		http_request_free(rq);
	}
	if (http->answer)
		event_free(http->answer);
}
