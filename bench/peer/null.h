/*
 * null.h: the ideal back-end: a thread that moves frames between two fronts of this process with one copy and
 * no check. No switch can show more than the generator reaches against it.
 */
#pragma once

#include <stdbool.h>

struct front;
struct null_switch;

/**
 * Joins two fronts made without a socket, on a thread on `core` that polls, or `sleeps` between frames that
 * come now and then. NULL without memory or thread.
 */
struct null_switch *null_start(struct front *const fronts[2], int core, bool sleeps);

/** Forgets the cycles counted so far; says what a packet has taken since. */
void null_reset(struct null_switch *n);
double null_cycles_per_packet(struct null_switch *n);

/** Percent of the time since null_reset that the thread was given its core. */
double null_share_pct(struct null_switch *n);

/** Holds the thread still, or lets it go on; returns when it does. */
void null_pause(struct null_switch *n, bool paused);

/** Ends the thread, which must not be paused. NULL is allowed. */
void null_stop(struct null_switch *n);
