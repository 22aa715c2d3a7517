/*
 * wheel.h: very many timers on one event of the loop. Each is set and cleared in constant time, and all that
 * are due together fire in one turn of the loop; a timerfd tells when, so they are exact to a millisecond
 * however coarse the loop's own clock is. A hashed wheel (Varghese and Lauck, SOSP 1987, scheme 6) of a slot
 * for each of the next milliseconds; what is further off waits in a list that is looked through now and then.
 *
 * Times are microseconds of CLOCK_MONOTONIC. One thread: the loop's.
 */
#pragma once

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

enum { WHEEL_SLOTS = 4096 };

struct wheel_timer {
	LIST_ENTRY(wheel_timer) link;
	void (*fn)(void *arg);
	void *arg;
	uint64_t due_us;
	uint64_t tick; /* that it fires at; 0: not set */
	bool far;      /* in the list, not in a slot */
};

LIST_HEAD(wheel_list, wheel_timer);

struct wheel {
	struct event event;
	int fd;
	bool firing;
	unsigned count, nfar; /* timers that are set, and how many of them are far */
	uint64_t tick;	      /* all that was due until then has fired */
	uint64_t armed;	      /* when the timerfd fires; 0: never */
	uint64_t sweep;	      /* when to look through the far ones */
	struct wheel_list far;
	uint64_t used[WHEEL_SLOTS / 64]; /* a bit for each slot: has timers */
	struct wheel_list slot[WHEEL_SLOTS];
};

uint64_t wheel_now_us(void);

/** Errors: -errno of timerfd_create(). */
int wheel_init(struct wheel *wheel, struct event_base *base);
/** No timer is set any more. */
void wheel_close(struct wheel *wheel);

/** Readies a timer, not yet set: fn(arg) is called when it fires, and may set and clear any timer. */
void wheel_timer_init(struct wheel_timer *timer, void (*fn)(void *arg), void *arg);
/** Fires it once at due_us or up to a millisecond later, never from inside this call; set anew, it forgets
 * the old time. */
void wheel_set(struct wheel *wheel, struct wheel_timer *timer, uint64_t due_us);
static inline bool wheel_is_set(const struct wheel_timer *timer)
{
	return timer->tick != 0;
}
/** Also one that is not set. */
void wheel_clear(struct wheel *wheel, struct wheel_timer *timer);
