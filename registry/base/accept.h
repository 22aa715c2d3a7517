/*
 * accept.h: a listener that takes no connections while the process has no descriptor left (EMFILE, ENFILE). The kernel
 * goes on reporting the connection that cannot be taken, and libevent would try, fail and log without end. A guarded
 * listener rests instead and tries again by a timer; who connects meanwhile waits in the kernel's queue.
 *
 * libevent also takes connections for as long as there are any, before it looks at anything else: whoever connects as
 * fast as they are taken would have the loop for himself. So a listener takes ACCEPT_TURN of them a turn. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct accept_guard;
struct event_base;
struct evconnlistener;

enum { ACCEPT_REST_MS = 200, ACCEPT_TURN = 64 };

/**
 * Guards `listener` until accept_unguard(). Before it is enabled again may(arg) is asked (NULL: always), for whoever has
 * limits of his own enables it when those allow. say(arg, line) hears of each rest. NULL: no memory.
 */
struct accept_guard *accept_guard(struct event_base *base, struct evconnlistener *listener, const char *what,
	bool (*may)(void *arg), void (*say)(void *arg, const char *line), void *arg);
/** A connection was taken. */
void accept_taken(struct accept_guard *guard);
/** Before the listener is freed. NULL is allowed. */
void accept_unguard(struct accept_guard *guard);

/** Does it rest, and must not be enabled by its owner? NULL: no. */
bool accept_is_resting(const struct accept_guard *guard);

/** How often a listener has rested since the start, all together. */
uint64_t accept_rests(void);
