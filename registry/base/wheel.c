#include "registry/base/wheel.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { TICK_US = 1000 };

uint64_t wheel_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* The first tick after wheel->tick that has timers in its slot, 0: none has. */
static uint64_t next_used(const struct wheel *wheel)
{
	uint64_t tick = wheel->tick + 1, end = tick + WHEEL_SLOTS;

	while (tick < end) {
		uint64_t bits = wheel->used[tick % WHEEL_SLOTS / 64] >> tick % 64;

		if (bits) {
			tick += (uint64_t)__builtin_ctzll(bits);
			return tick < end ? tick : 0;
		}
		tick += 64 - tick % 64;
	}
	return 0;
}

static void arm(struct wheel *wheel, uint64_t tick)
{
	const uint64_t second = 1000000 / TICK_US;
	struct itimerspec at = {.it_value = {.tv_sec = (time_t)(tick / second),
					.tv_nsec = (long)(tick % second) * TICK_US * 1000}};

	if (wheel->armed == tick)
		return;
	wheel->armed = tick;
	timerfd_settime(wheel->fd, TFD_TIMER_ABSTIME, &at, NULL);
}

/* The timerfd is watched only while there is something to wait for. */
static void attend(struct wheel *wheel)
{
	uint64_t tick = next_used(wheel);

	if (wheel->nfar && (!tick || wheel->sweep < tick))
		tick = wheel->sweep;
	arm(wheel, tick);
	if (wheel->count && !event_pending(&wheel->event, EV_READ, NULL))
		event_add(&wheel->event, NULL);
	else if (!wheel->count)
		event_del(&wheel->event);
}

static void fire(struct wheel *wheel, uint64_t now)
{
	struct wheel_timer *timer;
	uint64_t tick;

	while ((tick = next_used(wheel)) && tick <= now) {
		wheel->tick = tick;
		/* what its functions set goes to a later slot */
		while ((timer = LIST_FIRST(&wheel->slot[tick % WHEEL_SLOTS]))) {
			wheel_clear(wheel, timer);
			timer->fn(timer->arg);
		}
	}
	if (wheel->tick < now)
		wheel->tick = now;
}

static void sweep(struct wheel *wheel)
{
	struct wheel_list all = wheel->far;
	struct wheel_timer *timer;

	wheel->sweep = wheel->tick + WHEEL_SLOTS / 2;
	if (LIST_EMPTY(&all))
		return;
	LIST_FIRST(&all)->link.le_prev = &all.lh_first;
	LIST_INIT(&wheel->far);
	while ((timer = LIST_FIRST(&all)))
		wheel_set(wheel, timer, timer->due_us);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct wheel *wheel = arg;

	wheel->firing = true;
	wheel->armed = 0; /* it has fired: edge-triggered, so there is no need to read it */
	fire(wheel, wheel_now_us() / TICK_US);
	if (wheel->tick >= wheel->sweep)
		sweep(wheel);
	wheel->firing = false;
	attend(wheel);
}

int wheel_init(struct wheel *wheel, struct event_base *base)
{
	memset(wheel, 0, sizeof(*wheel));
	wheel->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (wheel->fd < 0)
		return -errno;
	return event_assign(&wheel->event, base, wheel->fd, EV_READ | EV_ET | EV_PERSIST, on_timer, wheel) < 0
		       ? -EINVAL
		       : 0;
}

void wheel_close(struct wheel *wheel)
{
	assert(wheel->count == 0);
	event_del(&wheel->event);
	close(wheel->fd);
}

void wheel_timer_init(struct wheel_timer *timer, void (*fn)(void *arg), void *arg)
{
	*timer = (struct wheel_timer){.fn = fn, .arg = arg};
}

static void insert(struct wheel *wheel, struct wheel_timer *timer, uint64_t tick)
{
	uint64_t slot = tick % WHEEL_SLOTS;

	timer->tick = tick;
	timer->far = tick - wheel->tick >= WHEEL_SLOTS;
	wheel->count++;
	if (timer->far) {
		if (!wheel->nfar++)
			wheel->sweep = wheel->tick + WHEEL_SLOTS / 2;
		LIST_INSERT_HEAD(&wheel->far, timer, link);
	} else {
		LIST_INSERT_HEAD(&wheel->slot[slot], timer, link);
		wheel->used[slot / 64] |= (uint64_t)1 << slot % 64;
	}
}

void wheel_set(struct wheel *wheel, struct wheel_timer *timer, uint64_t due_us)
{
	uint64_t tick = (due_us + TICK_US - 1) / TICK_US;

	wheel_clear(wheel, timer);
	if (!wheel->count && !wheel->firing)
		wheel->tick = wheel_now_us() / TICK_US;
	timer->due_us = due_us;
	insert(wheel, timer, tick > wheel->tick ? tick : wheel->tick + 1);
	if (!wheel->firing && (wheel->count == 1 || !wheel->armed || timer->tick < wheel->armed))
		attend(wheel);
}

void wheel_clear(struct wheel *wheel, struct wheel_timer *timer)
{
	uint64_t slot = timer->tick % WHEEL_SLOTS;

	if (!timer->tick)
		return;
	LIST_REMOVE(timer, link);
	if (timer->far)
		wheel->nfar--;
	else if (LIST_EMPTY(&wheel->slot[slot]))
		wheel->used[slot / 64] &= ~((uint64_t)1 << slot % 64);
	timer->tick = 0;
	wheel->count--;
	if (!wheel->count && !wheel->firing)
		attend(wheel);
}
