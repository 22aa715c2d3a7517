/*
 * backends.h: the backends of traffic/queues.h as TCP servers in one network namespace, by one thread: each of QUEUES ports has
 * its own servers and its own queue. A connection carries one request, a number of four bytes; when its time has passed it is
 * answered with the same number and a byte that says by whom, and closed.
 */
#pragma once

#include <stdint.h>

#include "bench/traffic/queues.h"

enum { BACKENDS_PORT = 5000 /* of the first */, BACKENDS_ANSWER = 5 /* bytes */ };

struct backends;

/** Listens in `netns` and answers, by a thread on `core`; `seed` and `slower` are those of queues_open().
 * NULL and errno. */
struct backends *backends_start(const char *netns, int core, uint64_t seed, double slower);

/** Ends it, and the connections that it has. 0, or the -errno that it ended with before. May be NULL. */
int backends_stop(struct backends *b);
