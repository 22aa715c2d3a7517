/* nothing.h: a loop that never calls and a port without rings, for a dataplane of which only stages run. */
#pragma once

#include <stdatomic.h>

#include "dataplane/core/dp.h"

static inline void *nothing_fd_add(
	void *ctx, int fd, unsigned events, void (*fn)(void *arg, unsigned what), void *arg)
{
	return ctx;
}

static inline void *nothing_timer_add(void *ctx, unsigned ms, void (*fn)(void *arg), void *arg)
{
	return ctx;
}

static inline void nothing_del(void *ctx, void *handle) {}

static inline int nothing_open(struct port *port, struct dp_err *err)
{
	atomic_store(&port->up, true);
	return 0;
}

static inline void nothing_close(struct port *port) {}

static inline uint16_t nothing_rx(struct port *port, struct worker *w, struct burst *b)
{
	return 0;
}

static inline uint16_t nothing_tx(
	struct port *port, struct worker *w, struct frame *const *frames, uint16_t n)
{
	return n;
}

static const struct port_ops nothing = {
	.name = "nothing", .open = nothing_open, .close = nothing_close, .rx = nothing_rx, .tx = nothing_tx};

/** A dataplane of one worker that does not run, for dp_prepare(). */
static inline struct dp_config nothing_config(uint32_t fdb_size, uint32_t conn_size)
{
	static const int cores[] = {0};
	static int here;

	return (struct dp_config){.main_core = -1,
		.cores = cores,
		.ncores = 1,
		.memory_mb = 64,
		.hugepages = DP_HUGE_OFF,
		.fdb_size = fdb_size,
		.conn_size = conn_size,
		.backends = 16384,
		.loop = {&here, nothing_fd_add, nothing_del, nothing_timer_add, nothing_del}};
}
