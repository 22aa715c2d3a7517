/*
 * ending.h: SIGTERM and SIGINT, from the first moment of the process on. Control thread.
 *
 * DPDK starts in one call that may take long and cannot be interrupted. Until it returns nothing exists that
 * would outlive the process, so a signal ends the process on the spot. What is made afterwards must be taken
 * away again. From then on a signal is only noted: code that makes many things asks between two of them, and
 * the loop is told.
 */
#pragma once

#include <stdbool.h>

struct ending;
struct event_base;

/** From now on a signal ends the process at once, with status 0. `leave` runs before, in the signal handler.
 */
void ending_at_once(void (*leave)(void));

/**
 * From now on a signal only makes ending_asked() true, and once the loop runs calls fn with its number.
 * -errno when that cannot be had.
 */
int ending_by_loop(struct event_base *base, void (*fn)(void *arg, int sig), void *arg, struct ending **out);
/** NULL is allowed. */
void ending_free(struct ending *ending);

/** Has the process been told to end? Then there is no use in making anything more. */
bool ending_asked(void);
