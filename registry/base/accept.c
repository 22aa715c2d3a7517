#include "registry/base/accept.h"

#include <event2/event.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct accept_guard {
	LIST_ENTRY(accept_guard) link;
	struct evconnlistener *listener;
	struct event *timer; /* the end of the rest, or of the turn in which some were taken */
	bool rests;
	unsigned taken; /* in this turn */
	const char *what;
	bool (*may)(void *arg);
	void (*say)(void *arg, const char *line);
	void *arg;
};

/* A listener's own argument is its owner's, evhttp's for one: so the guard is found by the listener. */
static LIST_HEAD(, accept_guard) guards = LIST_HEAD_INITIALIZER(guards);
static uint64_t rests;

static void on_rested(evutil_socket_t fd, short what, void *arg)
{
	struct accept_guard *guard = arg;
	bool rested = guard->rests;

	guard->rests = false;
	guard->taken = 0;
	if (rested && (!guard->may || guard->may(guard->arg)))
		evconnlistener_enable(guard->listener);
}

static void rest_for(struct accept_guard *guard, const struct timeval *time)
{
	/* without a timer it would rest for ever: then it goes on */
	if (event_add(guard->timer, time) < 0)
		return;
	guard->rests = true;
	evconnlistener_disable(guard->listener);
}

void accept_taken(struct accept_guard *guard)
{
	static const struct timeval at_once;

	if (++guard->taken >= ACCEPT_TURN)
		rest_for(guard, &at_once);
	else if (guard->taken == 1 && !guard->rests)
		event_add(guard->timer, &at_once);
}

static void on_error(struct evconnlistener *listener, void *arg)
{
	static const struct timeval rest = {.tv_usec = ACCEPT_REST_MS * 1000};
	const char *why = evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR());
	struct accept_guard *guard;
	char line[160];

	LIST_FOREACH (guard, &guards, link)
		if (guard->listener == listener)
			break;
	if (!guard)
		return;
	rests++;
	snprintf(line, sizeof(line), "%s: takes no connections for %d ms: %s", guard->what, ACCEPT_REST_MS,
		why);
	guard->say(guard->arg, line);
	rest_for(guard, &rest);
}

struct accept_guard *accept_guard(struct event_base *base, struct evconnlistener *listener, const char *what,
	bool (*may)(void *arg), void (*say)(void *arg, const char *line), void *arg)
{
	struct accept_guard *guard = calloc(1, sizeof(*guard));

	if (!guard)
		return NULL;
	*guard =
		(struct accept_guard){.listener = listener, .what = what, .may = may, .say = say, .arg = arg};
	guard->timer = event_new(base, -1, 0, on_rested, guard);
	if (!guard->timer) {
		free(guard);
		return NULL;
	}
	LIST_INSERT_HEAD(&guards, guard, link);
	evconnlistener_set_error_cb(listener, on_error);
	return guard;
}

void accept_unguard(struct accept_guard *guard)
{
	if (!guard)
		return;
	LIST_REMOVE(guard, link);
	event_free(guard->timer);
	free(guard);
}

bool accept_is_resting(const struct accept_guard *guard)
{
	return guard && guard->rests;
}

uint64_t accept_rests(void)
{
	return rests;
}
