/*
 * queues.h: backends that take time: QUEUES of them with QUEUES_SERVERS servers each, and a queue before them. What a
 * request takes is exponential, 10 ms in the mean; three backends in ten are half as fast; and every 250 ms in the mean one of
 * them stalls: for 100 to 500 ms what it begins takes five times as long. All of these times may be some times as long. Times
 * are cycles of host_tsc().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { QUEUES = 20, QUEUES_SERVERS = 4 };

#define QUEUES_MEAN_S 0.010

struct queues;

/** The same sequence for the same seed; all takes `slower` times as long. NULL without memory. */
struct queues *queues_open(uint64_t now, uint64_t seed, double slower);
void queues_close(struct queues *q);

/** Is the backend one of those that are half as fast? */
bool queues_is_slow(unsigned backend);
/** Requests a second that all of them can do, so many times slower. */
double queues_capacity(double slower);

/** A request arrives; false: there are too many, and it is lost. */
bool queues_add(struct queues *q, unsigned backend, uint32_t request, uint64_t now);
/** The next request that is done by now. False: none. */
bool queues_done(struct queues *q, uint64_t now, unsigned *backend, uint32_t *request);
/** Before then nothing is done; UINT64_MAX: nothing is begun. */
uint64_t queues_next(const struct queues *q);

/** A number above 0 and up to 1, and one that is exponential with mean 1. */
double queues_random(struct queues *q);
double queues_exponential(struct queues *q);
