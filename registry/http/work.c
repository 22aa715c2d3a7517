#include "registry/http/work.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/base/wheel.h"
#include "registry/filter/filter.h"
#include "registry/http/cache.h"

TAILQ_HEAD(works, http_work);

struct http_works {
	struct http *http;
	struct works fresh, active, waiting;
	unsigned nactive, nwaiting;
	bool fresh_next;      /* whose turn it is */
	uint64_t spent_us;    /* of this turn, by first slices */
	struct event *go;     /* slices in the next turn */
	struct event *turned; /* a new turn has begun */
	uint64_t slices;
};

static const struct timeval at_once;

static void go_on(struct http_works *works)
{
	if (!event_pending(works->go, EV_TIMEOUT, NULL))
		event_add(works->go, &at_once);
}

/* Into the list that fits; it is in none. */
static void enter(struct http_works *works, struct http_work *work, int in)
{
	work->in = in;
	if (in == WORK_FRESH) {
		TAILQ_INSERT_TAIL(&works->fresh, work, link);
	} else if (in == WORK_ACTIVE) {
		TAILQ_INSERT_TAIL(&works->active, work, link);
		works->nactive++;
	} else {
		TAILQ_INSERT_TAIL(&works->waiting, work, link);
		works->nwaiting++;
	}
}

static void leave(struct http_works *works, struct http_work *work)
{
	if (work->in == WORK_FRESH) {
		TAILQ_REMOVE(&works->fresh, work, link);
	} else if (work->in == WORK_ACTIVE) {
		TAILQ_REMOVE(&works->active, work, link);
		works->nactive--;
	} else if (work->in == WORK_WAITING) {
		TAILQ_REMOVE(&works->waiting, work, link);
		works->nwaiting--;
	}
	work->in = WORK_NONE;
}

/* What it shows from here on has this revision and index, or later ones. */
static void mark(struct http_work *work)
{
	struct http_request *rq = work->rq;

	if (!rq->view)
		return;
	work->revision = http_cache_revision(rq);
	rq->index = http_view_index(rq);
}

/* To its beginning; what is read of the request stays. */
static void rewind_work(struct http_work *work)
{
	for (unsigned i = 0; i < 2; i++) {
		http_text_release(work->text[i]);
		work->text[i] = NULL;
		work->any[i] = false;
	}
	json_decref(work->seen);
	work->seen = NULL;
	work->at = (struct reg_cursor){0};
	work->phase = 0;
	work->key[0] = work->last[0] = '\0';
	work->worst = REG_PASSING;
	work->count = 0;
	work->budget = PATTERN_BUDGET;
	work->begun = false;
}

static void work_free(struct http_work *work)
{
	rewind_work(work);
	filter_free(work->filter);
	json_decref(work->head);
	free(work);
}

/* It is not under way any more: another may be, and those who waited for its answer look again. */
static void settle(struct http_works *works, struct http_work *work)
{
	struct http_work *next;

	leave(works, work);
	next = TAILQ_FIRST(&works->waiting);
	if (next && works->nactive < HTTP_WORKS) {
		leave(works, next);
		enter(works, next, WORK_ACTIVE);
		go_on(works);
	}
	http_unblock(works->http);
}

static void on_gone(struct evhttp_connection *connection, void *arg)
{
	struct http_work *work = arg;
	struct http_request *rq = work->rq;

	settle(rq->http->works, work);
	work_free(work);
	http_request_free(rq);
}

bool http_work_looked(struct http_work *work)
{
	/* an item costs microseconds, the clock a fraction of one */
	work->stopped |= work->fail_code || wheel_now_us() >= work->end_us;
	return !work->stopped;
}

bool http_work_fail(struct http_work *work, int code, const char *text)
{
	if (!work->fail_code) {
		work->fail_code = code;
		snprintf(work->fail, sizeof(work->fail), "%s", text);
	}
	work->stopped = true;
	return false;
}

/* Is somebody likely to ask for the same at once? */
static bool is_wanted_more(const struct http_request *rq)
{
	const struct http *http = rq->http;

	return !TAILQ_EMPTY(&http->blocked) || (rq->woken && !TAILQ_EMPTY(&http->woken));
}

/* All has been put: it is answered, and gone. */
static void finish(struct http_works *works, struct http_work *work)
{
	struct http_request *rq = work->rq;
	bool answered = !work->fail_code && work->list->end && work->list->end(work);
	struct http_text *text = answered || work->fail_code ? NULL : http_work_join(work);

	if (text) {
		struct http_text *told = text;

		http_text_trim(text);
		if (rq->view && work->code == 200) {
			told = http_cache_put(rq, text, work->revision, is_wanted_more(rq));
			rq->kept = rq->view->scope->revision;
		}
		http_reply_shared(rq, work->code, told);
		http_text_release(text);
	} else if (!answered) {
		http_fail(rq, work->fail_code, "%s", work->fail);
	}
	settle(works, work);
	work_free(work);
}

/* True when it has come to its end. */
static bool slice(struct http_works *works, struct http_work *work, int64_t us)
{
	works->slices++;
	if (!work->begun)
		mark(work);
	work->begun = true;
	work->end_us = wheel_now_us() + us;
	work->stopped = false;
	return work->list->walk(work) || work->fail_code;
}

static struct http_work *next_of(struct http_works *works)
{
	struct http_work *fresh = TAILQ_FIRST(&works->fresh), *active = TAILQ_FIRST(&works->active);

	works->fresh_next = !works->fresh_next;
	if (!fresh || !active)
		return fresh ? fresh : active;
	return works->fresh_next ? fresh : active;
}

/* It had a slice, and was not done. */
static void put_off(struct http_works *works, struct http_work *work)
{
	bool had_place = work->in == WORK_ACTIVE;

	leave(works, work);
	if (had_place || works->nactive < HTTP_WORKS) {
		enter(works, work, WORK_ACTIVE);
		return;
	}
	rewind_work(work);
	enter(works, work, WORK_WAITING);
}

static void on_go(evutil_socket_t fd, short what, void *arg)
{
	struct http_works *works = arg;
	uint64_t end = wheel_now_us() + HTTP_WORK_TURN_US;
	struct http_work *work;

	while ((work = next_of(works)) && wheel_now_us() < end) {
		if (slice(works, work, HTTP_WORK_SLICE_US))
			finish(works, work);
		else
			put_off(works, work);
	}
	if (work)
		go_on(works);
}

static void on_turned(evutil_socket_t fd, short what, void *arg)
{
	((struct http_works *)arg)->spent_us = 0;
}

/* The first slice at once, if others have not had too much of this turn yet. */
static bool begin_now(struct http_works *works, struct http_work *work)
{
	uint64_t start = wheel_now_us();
	bool done;

	if (works->spent_us >= HTTP_WORK_TURN_US || !TAILQ_EMPTY(&works->fresh))
		return false;
	done = slice(works, work, HTTP_WORK_SLICE_US);
	works->spent_us += wheel_now_us() - start;
	if (!event_pending(works->turned, EV_TIMEOUT, NULL))
		event_add(works->turned, &at_once);
	return done;
}

void http_list(struct http_request *rq, const struct http_list *list)
{
	struct http_works *works = rq->http->works;
	struct http_work *work = calloc(1, sizeof(*work));

	if (!work) {
		http_fail(rq, 500, "out of memory");
		return;
	}
	work->rq = rq;
	work->list = list;
	work->code = 200;
	work->budget = PATTERN_BUDGET;
	if (list->begin && !list->begin(work)) {
		work_free(work);
		return;
	}
	if (begin_now(works, work)) {
		finish(works, work);
		return;
	}
	evhttp_connection_set_closecb(evhttp_request_get_connection(rq->raw), on_gone, work);
	if (work->end_us) /* it had a slice */
		put_off(works, work);
	else
		enter(works, work, WORK_FRESH);
	go_on(works);
}

bool http_work_is_made(struct http_request *rq)
{
	const struct http_works *works = rq->http->works;
	const struct works *const lists[] = {&works->active, &works->fresh};
	const struct http_work *work;

	for (unsigned i = 0; i < 2; i++)
		TAILQ_FOREACH (work, lists[i], link)
			if (work->rq->view == rq->view && (!work->begun || work->revision >= rq->asked) &&
				http_cache_same(work->rq, rq))
				return true;
	return false;
}

int http_works_open(struct http *http)
{
	struct http_works *works = calloc(1, sizeof(*works));

	if (!works)
		return -ENOMEM;
	works->http = http;
	TAILQ_INIT(&works->fresh);
	TAILQ_INIT(&works->active);
	TAILQ_INIT(&works->waiting);
	works->go = event_new(http->base, -1, 0, on_go, works);
	works->turned = event_new(http->base, -1, 0, on_turned, works);
	http->works = works;
	return works->go && works->turned ? 0 : -ENOMEM;
}

static void close_all(struct works *list)
{
	struct http_work *work;

	while ((work = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, work, link);
		evhttp_connection_set_closecb(evhttp_request_get_connection(work->rq->raw), NULL, NULL);
		http_request_free(work->rq);
		work_free(work);
	}
}

void http_works_close(struct http *http)
{
	struct http_works *works = http->works;

	if (!works)
		return;
	close_all(&works->fresh);
	close_all(&works->active);
	close_all(&works->waiting);
	if (works->go)
		event_free(works->go);
	if (works->turned)
		event_free(works->turned);
	free(works);
	http->works = NULL;
}

struct http_works_info http_works_info(const struct http *http)
{
	const struct http_works *works = http->works;

	return (struct http_works_info){works->nactive, works->nwaiting, works->slices};
}
