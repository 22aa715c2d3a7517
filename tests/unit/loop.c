#include "tests/unit/loop.h"

#include <poll.h>
#include <stdlib.h>
#include <time.h>

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static struct loop_item *item_new(struct loop *loop)
{
	for (unsigned i = 0; i < LOOP_MAX; i++)
		if (!loop->item[i].used) {
			loop->item[i] = (struct loop_item){.fd = -1, .used = true};
			return &loop->item[i];
		}
	return NULL;
}

static void *fd_add(void *ctx, int fd, unsigned events, void (*fn)(void *arg, unsigned events), void *arg)
{
	struct loop_item *item = item_new(ctx);

	if (!item)
		return NULL;
	item->fd = fd;
	item->events = events;
	item->fd_fn = fn;
	item->arg = arg;
	return item;
}

static void *timer_add(void *ctx, unsigned ms, void (*fn)(void *arg), void *arg)
{
	struct loop_item *item = item_new(ctx);

	if (!item)
		return NULL;
	item->ms = ms;
	item->due_ms = now_ms() + ms;
	item->timer_fn = fn;
	item->arg = arg;
	return item;
}

static void item_del(void *ctx, void *handle)
{
	struct loop_item *item = handle;

	if (!item->used)
		abort();
	item->used = false;
}

struct dp_loop loop_ops(struct loop *loop)
{
	return (struct dp_loop){.ctx = loop,
		.fd_add = fd_add,
		.fd_del = item_del,
		.timer_add = timer_add,
		.timer_del = item_del};
}

void loop_turn(struct loop *loop, int ms)
{
	struct pollfd fd[LOOP_MAX];
	uint64_t now;

	for (unsigned i = 0; i < LOOP_MAX; i++) {
		struct loop_item *item = &loop->item[i];

		fd[i] = (struct pollfd){.fd = item->used ? item->fd : -1,
			.events = (short)((item->events & DP_READ ? POLLIN : 0) |
					  (item->events & DP_WRITE ? POLLOUT : 0))};
	}
	poll(fd, LOOP_MAX, ms);
	now = now_ms();
	for (unsigned i = 0; i < LOOP_MAX; i++) {
		struct loop_item *item = &loop->item[i];

		/* an earlier item may have taken this one away, or put another in its place */
		if (!item->used)
			continue;
		if (fd[i].fd >= 0 && item->fd == fd[i].fd && fd[i].revents) {
			item->fd_fn(item->arg, DP_READ);
		} else if (item->fd < 0 && fd[i].fd < 0 && now >= item->due_ms && item->timer_fn) {
			item->due_ms = now + item->ms;
			item->timer_fn(item->arg);
		}
	}
}

unsigned loop_count(const struct loop *loop)
{
	unsigned n = 0;

	for (unsigned i = 0; i < LOOP_MAX; i++)
		n += loop->item[i].used;
	return n;
}
