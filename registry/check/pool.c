#include "registry/check/pool.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void drop(struct check_pool *pool, unsigned i)
{
	pool->count--;
	memmove(&pool->idle[i], &pool->idle[i + 1], (pool->count - i) * sizeof(pool->idle[0]));
}

static void on_timer(void *arg)
{
	const uint64_t idle_us = CHECK_POOL_IDLE_MS * UINT64_C(1000);
	struct check_pool *pool = arg;
	uint64_t now = wheel_now_us();

	while (pool->count && now - pool->idle[0].since_us >= idle_us) {
		close(pool->idle[0].fd);
		drop(pool, 0);
	}
	if (pool->count)
		wheel_set(pool->wheel, &pool->timer, pool->idle[0].since_us + idle_us);
}

void check_pool_init(struct check_pool *pool, struct wheel *wheel)
{
	pool->wheel = wheel;
	pool->count = 0;
	wheel_timer_init(&pool->timer, on_timer, pool);
}

void check_pool_close(struct check_pool *pool)
{
	wheel_clear(pool->wheel, &pool->timer);
	while (pool->count)
		close(pool->idle[--pool->count].fd);
}

int check_pool_take(struct check_pool *pool, uint64_t netns_id)
{
	for (unsigned i = pool->count; i-- > 0;) {
		int fd = pool->idle[i].fd;

		if (pool->idle[i].netns_id != netns_id)
			continue;
		drop(pool, i);
		return fd;
	}
	return -1;
}

void check_pool_give(struct check_pool *pool, uint64_t netns_id, int fd)
{
	static const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

	if (connect(fd, &nowhere, sizeof(nowhere)) < 0 || pool->count == CHECK_POOL_MAX) {
		close(fd);
		return;
	}
	pool->idle[pool->count].fd = fd;
	pool->idle[pool->count].netns_id = netns_id;
	pool->idle[pool->count].since_us = wheel_now_us();
	if (!pool->count++)
		wheel_set(pool->wheel, &pool->timer,
			pool->idle[0].since_us + CHECK_POOL_IDLE_MS * UINT64_C(1000));
}
