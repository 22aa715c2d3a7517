/*
 * follow.c: /v1/sluice/watch: what changes in the registry and why, as server-sent events (the text/event-stream of HTML),
 * for a browser's EventSource and for curl. Each client stands at a generation: what comes behind it is read from the
 * registry's last changes (registry_changes()) in its turn, so that one that comes back with Last-Event-ID is served no
 * otherwise than one that was there. Only the last change of a generation has its id: who is torn away within one is told
 * all of it anew.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/base/wheel.h"
#include "registry/http/stream.h"
#include "registry/source/consul/inside.h"

enum { TURN_US = 500, RETRY_US = 50000, BEAT_S = 15, EVENT_MAX = 8192 };

struct follower {
	TAILQ_ENTRY(follower) link;
	struct consul *consul;
	struct http_stream *stream;
	uint64_t next;	  /* the number of the change that it is told next */
	uint64_t at;	  /* all up to this generation has been sent */
	uint64_t full_us; /* since when it takes nothing, 0: it does */
};

struct following {
	TAILQ_HEAD(, follower) followers; /* those that were served last stand last */
	unsigned count;
	struct registry_watch *watch;
	struct event *turn, *beat;
};

static bool put(struct follower *follower, const char *text)
{
	return http_stream_put(follower->stream, text, strlen(text));
}

/* Is it one of those that the client asked for? */
static bool is_wanted(const struct http_request *rq, const char *service)
{
	bool any = false;

	if (rq->arg[0])
		return strcmp(rq->arg[0], service) == 0;
	for (const struct http_pair *pair = rq->query; pair->name; pair++) {
		if (strcmp(pair->name, "service") != 0 || !pair->value[0])
			continue;
		any = true;
		if (strcmp(pair->value, service) == 0)
			return true;
	}
	return !any;
}

static void put_change(struct follower *follower, const struct reg_change *change, bool last)
{
	const char *json = reg_change_json(change);
	char text[EVENT_MAX], id[40] = "";

	if (last)
		snprintf(id, sizeof(id), "id: %" PRIu64 "\n", change->generation);
	if (json) {
		snprintf(text, sizeof(text), "%sdata: %s\n\n", id, json);
		put(follower, text);
	}
}

/* It goes on with what is to come. */
static void put_reset(struct follower *follower)
{
	struct registry *reg = follower->consul->reg;
	uint64_t generation = registry_generation(reg);
	char text[256];

	snprintf(text, sizeof(text),
		"event: reset\nid: %" PRIu64 "\ndata: {\"generation\":%" PRIu64 ",\"after\":%" PRIu64
		",\"reason\":\"what came behind that generation is not kept: ask for what there is\"}\n\n",
		generation, generation, follower->at);
	follower->at = generation;
	registry_changes_behind(reg, generation, &follower->next);
	put(follower, text);
}

/* All has been sent; by which id would it come back? That of the last event, if that has one. */
static void arrive(struct follower *follower, bool tell)
{
	char text[40];

	follower->at = registry_generation(follower->consul->reg);
	snprintf(text, sizeof(text), "id: %" PRIu64 "\n\n", follower->at);
	if (tell)
		put(follower, text);
}

/* Sends what it has not been told, as far as it takes that. False: there is more. */
static bool serve(struct follower *follower)
{
	struct registry *reg = follower->consul->reg;
	const struct http_request *rq = http_stream_request(follower->stream);
	const struct reg_change *change, *next;
	bool lost, beyond, open = false;

	consul_index_shown(follower->consul, registry_generation(reg));
	while (http_stream_has_room(follower->stream)) {
		change = registry_change(reg, follower->next, &lost);
		if (lost) {
			put_reset(follower);
			return true;
		}
		if (!change) {
			arrive(follower, open);
			return true;
		}
		next = registry_change(reg, ++follower->next, &beyond);
		if (!is_wanted(rq, change->service))
			continue;
		open = next && next->generation == change->generation;
		put_change(follower, change, !open);
	}
	return false;
}

/* Who takes nothing for as long as an answer may take is cut off. */
static void look_after(struct follower *follower, bool done)
{
	const struct http_request *rq = http_stream_request(follower->stream);
	uint64_t now = wheel_now_us();

	if (done || http_stream_has_room(follower->stream))
		follower->full_us = 0;
	else if (!follower->full_us)
		follower->full_us = now;
	else if (now - follower->full_us > rq->http->slow_s * UINT64_C(1000000))
		http_stream_cut(follower->stream);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval now, soon = {.tv_usec = RETRY_US};
	struct consul *consul = arg;
	struct following *following = consul->following;
	uint64_t end = wheel_now_us() + TURN_US;
	bool all = true;

	for (unsigned i = following->count; i > 0; i--) {
		struct follower *follower = TAILQ_FIRST(&following->followers);
		bool done = serve(follower);

		TAILQ_REMOVE(&following->followers, follower, link);
		TAILQ_INSERT_TAIL(&following->followers, follower, link);
		look_after(follower, done);
		all &= done;
		if (wheel_now_us() >= end && i > 1) {
			event_add(following->turn, &now);
			return;
		}
	}
	if (!all)
		event_add(following->turn, &soon);
}

static void on_commit(void *arg, const char *topic, uint64_t generation)
{
	static const struct timeval now;
	struct following *following = arg;

	if (following->count)
		event_add(following->turn, &now);
}

/* Tells a client, and whatever is between, that the stream lives; and the id by which it would come back, for what it is
 * not told moves that, too. */
static void on_beat(evutil_socket_t fd, short what, void *arg)
{
	struct consul *consul = arg;
	struct follower *follower;
	char text[64];

	TAILQ_FOREACH (follower, &consul->following->followers, link) {
		snprintf(text, sizeof(text), ": alive\nid: %" PRIu64 "\n\n", follower->at);
		if (http_stream_has_room(follower->stream))
			put(follower, text);
	}
}

static void on_gone(void *arg)
{
	struct follower *follower = arg;

	TAILQ_REMOVE(&follower->consul->following->followers, follower, link);
	follower->consul->following->count--;
	free(follower);
}

/* Where to begin. False after http_fail(). */
static bool read_start(struct http_request *rq, bool *resumes, uint64_t *at)
{
	const char *header = evhttp_find_header(evhttp_request_get_input_headers(rq->raw), "Last-Event-ID"),
		   *text = header ? header : http_param(rq, "last-event-id");
	size_t len = text ? strlen(text) : 0;

	*resumes = len > 0;
	*at = len ? strtoull(text, NULL, 10) : registry_generation(rq->http->reg);
	if (len > 19 || (len && strspn(text, "0123456789") != len))
		return http_fail(rq, 400, "Last-Event-ID: \"%.40s\" is no id of this stream", text);
	return true;
}

static void begin(struct follower *follower, bool resumes)
{
	struct registry *reg = follower->consul->reg;
	uint64_t generation = registry_generation(reg);
	bool known = registry_changes_behind(reg, follower->at, &follower->next);
	char text[160];

	snprintf(text, sizeof(text),
		"retry: 2000\nevent: begin\nid: %" PRIu64 "\ndata: {\"generation\":%" PRIu64
		",\"resumed\":%s}\n\n",
		follower->at, generation, resumes && known ? "true" : "false");
	put(follower, text);
	if (!known)
		put_reset(follower);
	event_active(follower->consul->following->turn, 0, 0);
}

void consul_follow(struct http_request *rq)
{
	struct consul *consul = consul_of(rq);
	struct follower *follower;
	uint64_t at;
	bool resumes;

	if (!read_start(rq, &resumes, &at))
		return;
	follower = calloc(1, sizeof(*follower));
	if (!follower) {
		http_fail(rq, 500, "out of memory");
		return;
	}
	*follower = (struct follower){.consul = consul, .at = at};
	follower->stream = http_stream_open(rq, "text/event-stream", on_gone, follower);
	if (!follower->stream) {
		free(follower);
		return;
	}
	TAILQ_INSERT_TAIL(&consul->following->followers, follower, link);
	consul->following->count++;
	begin(follower, resumes);
}

int consul_follow_open(struct consul *consul)
{
	static const struct timeval beat = {.tv_sec = BEAT_S};
	struct following *following = calloc(1, sizeof(*following));

	if (!following)
		return -ENOMEM;
	consul->following = following;
	TAILQ_INIT(&following->followers);
	following->turn = event_new(consul->base, -1, 0, on_turn, consul);
	following->beat = event_new(consul->base, -1, EV_PERSIST, on_beat, consul);
	following->watch = registry_watch(consul->reg, REG_WATCH_ANY, on_commit, following);
	if (!following->turn || !following->beat || !following->watch)
		return -ENOMEM;
	return event_add(following->beat, &beat) < 0 ? -ENOMEM : 0;
}

void consul_follow_close(struct consul *consul)
{
	struct following *following = consul->following;

	if (!following)
		return;
	registry_unwatch(following->watch);
	if (following->turn)
		event_free(following->turn);
	if (following->beat)
		event_free(following->beat);
	free(following);
	consul->following = NULL;
}
