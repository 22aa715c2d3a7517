/*
 * harness.h: the real pipeline without guests. A test is the worker: it makes networks and ports whose other
 * end is the test, puts frames in, and looks at what comes out of which port.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "dataplane/core/dp.h"

enum { TEST_FRAMES = 256, HARNESS_WORKERS_MAX = 4 };

/* What a test port was given. */
struct received {
	uint32_t len;
	struct offload off;
	uint8_t data[2048]; /* the first bytes */
};

struct test_port {
	struct port *port; /* NULL until harness_port() */
	unsigned count;	   /* frames received */
	unsigned room;	   /* frames it takes before it is full */
	bool old_kernel;   /* finds out that it cannot have large UDP (PORT_USO) when it gets one */
	struct received got[TEST_FRAMES];
};

/** Starts DPDK (once a process) and a dataplane with one worker that has no thread. */
struct dp *harness_open(void);
/** The same with several workers, whose threads (worker_main) are the test's to make. */
struct dp *harness_open_workers(unsigned n);
/** Before either: how many connections its table has, 1024 else. */
void harness_conns(uint32_t n);
void harness_close(struct dp *dp);

/** A network with defaults: bridge, mtu 1500, 300 s. `edit` may be NULL. */
uint16_t harness_network(struct dp *dp, const struct dp_network *edit);

/** A port of `net` (DP_NET_NONE: an uplink) whose link is up. `edit` may be NULL. Forgets what *tp had
 * received. */
void harness_port(struct dp *dp, struct test_port *tp, uint16_t net, const struct dp_port *edit);

/** Puts one frame in: private copy as a port makes it, the rest as spans of `span` bytes (0: one span). */
void harness_send(
	struct dp *dp, struct test_port *tp, const void *data, size_t len, struct offload off, size_t span);

/** The same for a burst: begin, add up to BURST_MAX frames, whose data stay where they are, run. */
void harness_begin(struct dp *dp, struct test_port *tp);
/** False: the burst takes no more. */
bool harness_add(struct dp *dp, const void *data, size_t len, struct offload off, size_t span);
void harness_run(struct dp *dp);

/** Sum of a drop reason over ports and networks. */
uint64_t harness_drops(struct dp *dp, const char *reason);

/** rx + generated + copies - tx - drops - consumed of a network: 0 when nothing is lost from the books. */
int64_t harness_balance(struct dp *dp, uint16_t net);

/** Runs control's timer work only, for a test whose workers have threads. */
void harness_control(void);
/** Runs control's timer work and what workers and control sent each other. */
void harness_tick(struct dp *dp);
