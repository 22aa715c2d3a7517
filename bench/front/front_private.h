/*
 * front_private.h: what front.c and front_handshake.c share; nobody else includes it.
 */
#pragma once

#include <sys/un.h>

#include "bench/front/front.h"
#include "bench/front/front_memory.h"
#include "bench/front/front_wire.h"

struct front {
	struct front_options opt; /* defaults filled in; `socket` points into address.sun_path */
	struct sockaddr_un address;
	struct front_memory memory;
	struct front_ring *rings; /* 2 * opt.pairs */
	int listener, socket;	  /* -1: none */
	uint64_t features, protocol;
	char error[200];
};

/* Where the back-end sees our memory. Unlike our own addresses, so that a mix-up of the two shows at once. */
#define FRONT_GUEST_BASE 0x100000000ULL

/** Notes why a control function failed and returns `rc`. */
int front_fail(struct front *f, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/** Everything from SET_OWNER to the enabled rings, on a connected socket. Errors as front_connect. */
int front_handshake(struct front *f);

/** Tells the back-end to stop every ring (GET_VRING_BASE). Errors as front_connect. */
int front_handshake_stop(struct front *f);
