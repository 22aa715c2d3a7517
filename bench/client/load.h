/*
 * load.h: what a registry does beside its checks: DNS questions at a steady rate, and blocking queries of a
 * service that changes ten times a second. A thread of its own.
 */
#pragma once

#include <stdint.h>

#include "bench/host/histogram.h"

enum { LOAD_QUESTIONS = 20000, LOAD_WAITING = 100 };

struct load;

struct load_result {
	double seconds;
	uint64_t questions, answers; /* by DNS */
	struct histogram *woken;     /* cycles of host_tsc() from a change until a query was answered */
};

/** Asks LOAD_QUESTIONS a second for NAME.service.consul, `service` being NAME. NULL and errno. */
struct load *load_start(uint16_t http, uint16_t dns, const char *service);
/** Ends it, fills *result (whose histogram is the caller's), and returns 0 or the -errno that it ended with. */
int load_stop(struct load *b, struct load_result *result);
