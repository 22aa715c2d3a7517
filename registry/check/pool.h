/*
 * pool.h: TCP sockets that are used again. Dissolving a connection by connect() to AF_UNSPEC resets it
 * (the peer gets an RST) and leaves a socket as new, whose next connection has another source port. That
 * saves the making of one and, for those inside a network, the way into its namespace.
 */
#pragma once

#include <stdint.h>

#include "registry/base/wheel.h"

enum { CHECK_POOL_MAX = 128, CHECK_POOL_IDLE_MS = 2000 };

struct check_pool {
	struct wheel *wheel;
	struct wheel_timer timer; /* closes what nobody wanted for CHECK_POOL_IDLE_MS */
	unsigned count;
	struct {
		uint64_t netns_id, since_us;
		int fd;
	} idle[CHECK_POOL_MAX]; /* the longest unused first */
};

void check_pool_init(struct check_pool *pool, struct wheel *wheel);
void check_pool_close(struct check_pool *pool);

/** An unconnected, non-blocking socket of that namespace (see registry_sink), now the caller's. -1: none. */
int check_pool_take(struct check_pool *pool, uint64_t netns_id);
/** Takes over a connected socket, whose connection ends by a reset. */
void check_pool_give(struct check_pool *pool, uint64_t netns_id, int fd);
