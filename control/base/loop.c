#include "control/base/loop.h"

#include <event2/event.h>
#include <stdlib.h>

/* One watched descriptor or timer. */
struct watch {
	struct event *event;
	void (*fd_fn)(void *arg, unsigned events);
	void (*timer_fn)(void *arg);
	void *arg;
};

static void on_fd(evutil_socket_t fd, short what, void *arg)
{
	struct watch *watch = arg;

	watch->fd_fn(watch->arg, (what & EV_READ ? DP_READ : 0) | (what & EV_WRITE ? DP_WRITE : 0));
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct watch *watch = arg;

	watch->timer_fn(watch->arg);
}

static void watch_free(void *ctx, void *handle)
{
	struct watch *watch = handle;

	if (!watch)
		return;
	if (watch->event)
		event_free(watch->event);
	free(watch);
}

/* Starts it; frees it and returns NULL when that fails. */
static void *watch_start(struct watch *watch, struct event *event, const struct timeval *every)
{
	watch->event = event;
	if (!event || event_add(event, every) < 0) {
		watch_free(NULL, watch);
		return NULL;
	}
	return watch;
}

static void *fd_add(void *ctx, int fd, unsigned events, void (*fn)(void *arg, unsigned events), void *arg)
{
	short what =
		(short)(EV_PERSIST | (events & DP_READ ? EV_READ : 0) | (events & DP_WRITE ? EV_WRITE : 0));
	struct watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return NULL;
	watch->fd_fn = fn;
	watch->arg = arg;
	return watch_start(watch, event_new(ctx, fd, what, on_fd, watch), NULL);
}

static void *timer_add(void *ctx, unsigned ms, void (*fn)(void *arg), void *arg)
{
	struct timeval every = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};
	struct watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return NULL;
	watch->timer_fn = fn;
	watch->arg = arg;
	return watch_start(watch, event_new(ctx, -1, EV_PERSIST, on_timer, watch), &every);
}

struct dp_loop loop_of(struct event_base *base)
{
	return (struct dp_loop){.ctx = base,
		.fd_add = fd_add,
		.fd_del = watch_free,
		.timer_add = timer_add,
		.timer_del = watch_free};
}
