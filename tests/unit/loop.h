/* loop.h: a struct dp_loop for tests, turned by hand: one poll(2) and the timers that are due. */
#pragma once

#include "dataplane/dataplane.h"

enum { LOOP_MAX = 64 };

struct loop_item {
	int fd; /* -1: a timer */
	unsigned events, ms;
	uint64_t due_ms;
	void (*fd_fn)(void *arg, unsigned events);
	void (*timer_fn)(void *arg);
	void *arg;
	bool used;
};

struct loop {
	struct loop_item item[LOOP_MAX];
};

/** The functions of `loop` as the dataplane takes them. */
struct dp_loop loop_ops(struct loop *loop);

/** Does what is due, waiting for the first thing at most `ms`. */
void loop_turn(struct loop *loop, int ms);

/** Watches and timers that are left. */
unsigned loop_count(const struct loop *loop);
