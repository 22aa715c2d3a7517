/*
 * hosts.h: Linux hosts for tests of ports: a namespace with one interface, eth0, whose other end is a port.
 * The ports run alone, on a worker without a thread: the test is the switch. Everything lies in namespaces of
 * the test's own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/core/dp.h"

/* What a port may do to its surroundings, kept for looking at. */
struct bench {
	struct dp dp;
	struct worker *w;
	struct timer {
		void (*fn)(void *arg);
		void *arg;
	} timer[8];
};

enum host_kind { HOST_TAP, HOST_VETH };

struct host {
	enum host_kind kind;
	int netns;
	int index; /* of eth0, in netns */
	uint8_t mac[6];
	char outer[16]; /* HOST_VETH: the end that is here */
	struct port port;
};

/** Ends the test program as skipped unless it is root and can make namespaces; moves it into one of its own.
 */
void hosts_isolate(void);

/** Makes the worker. Asserts like all of the following. */
void bench_open(struct bench *bench);
void bench_close(struct bench *bench);
/** Runs every timer once. */
void bench_tick(struct bench *bench);

/**
 * Host number `number` has 10.9.0.`number`/24, an IPv6 link-local address without delay, and is up. port.spec
 * says what its port is to be.
 */
void host_make(struct host *host, enum host_kind kind, unsigned number);
void host_unmake(struct host *host);

/** Makes a host and opens its port alone. */
void host_open(struct host *host, struct bench *bench, enum host_kind kind, unsigned number);
void host_close(struct host *host);
/** Sets the interface that the port is at up or down: eth0 of a TAP, the near end of a veth. */
void host_set_up(struct host *host, bool up);
/** Runs a shell command in the test's own namespace, or inside the host; it must succeed. */
void here_run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void host_run(const struct host *host, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** Takes a burst from the host's port. The worker's burst. */
struct burst *host_rx(struct bench *bench, struct host *host);
void host_complete(struct bench *bench, struct host *host);
/** Sends one frame to the host as ports do. Returns what tx returns. */
uint16_t host_tx(struct bench *bench, struct host *host, struct frame *f);

/** A counter of the port. */
uint64_t host_drops(const struct bench *bench, const struct host *host, enum drop_reason reason);
