/*
 * offer.h: DNS questions at a rate of one's own, whether they are answered or not: what a server does when more comes than
 * it can answer.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

struct offer_result {
	double seconds;
	uint64_t questions, answers;
};

/**
 * Asks the server at `port` of 127.0.0.1 for s0.service.consul to s(`services` - 1) in turn, from 32 sockets, `rate` times a
 * second for `seconds`, or as often as the core allows. 0 or -errno.
 */
int offer_run(uint16_t port, unsigned services, double rate, double seconds, const atomic_bool *stop,
	struct offer_result *result);
