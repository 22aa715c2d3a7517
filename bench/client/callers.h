/*
 * callers.h: clients on several hosts, each a thread in its network namespace, that ask servers (backends.h) behind a balancer. A
 * request comes when it is due (Poisson), on a connection of its own, whether others are answered or not; how long its answer
 * takes counts from then.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "bench/client/stream.h"
#include "bench/host/histogram.h"

enum { CALLERS_MAX = 12 };

struct callers {
	const struct stream_end *from[CALLERS_MAX];
	unsigned n;
	const char *address; /* whom all of them ask */
	uint16_t port;
	double rate;		 /* requests a second, of all together */
	double warm_up, seconds; /* what is due in the former is not timed */
	int core;
	uint64_t seed;
	const atomic_bool *stop;
};

struct callers_result {
	struct histogram *took; /* cycles of host_tsc() until each answer */
	uint64_t sent;
	uint64_t lost;	  /* refused, reset, or not answered 5 s after the last was due */
	uint64_t wrong;	  /* answers to another question */
	uint32_t reached; /* a bit for each backend that answered */
};

/** 0, or -errno: a thread could not live there, or had no memory. Adds to *result. */
int callers_run(const struct callers *c, struct callers_result *result);
