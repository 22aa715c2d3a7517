/*
 * private.h: what the files of the front share; nobody else includes it.
 */
#pragma once

#include <sys/un.h>

#include "bench/front/front.h"
#include "bench/front/memory.h"
#include "bench/front/wire.h"

/* The rings and their buffers lie in the first; the second is plugged in later (front_grow). */
enum { FRONT_MEMORIES = 2 };

struct front {
	struct front_options opt; /* defaults filled in; `socket` points into address.sun_path */
	struct sockaddr_un address;
	struct front_memory memory[FRONT_MEMORIES];
	struct front_ring *rings; /* 2 * opt.pairs */
	int listener, socket;	  /* -1: none */
	uint64_t features, protocol;
	unsigned boots; /* how often it has begun anew on its connections */
	char error[200];
};

/*
 * Where the back-end sees our memory. Unlike our own addresses, so that a mix-up of the two shows at once, and
 * elsewhere after each boot.
 */
static inline uint64_t front_guest_base(const struct front *f, unsigned memory)
{
	return 0x100000000ULL * (1 + memory + FRONT_MEMORIES * (f->boots % 16));
}

/** Notes why a control function failed and returns `rc`. */
int front_fail(struct front *f, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/** Everything from SET_OWNER to the enabled rings, on a connected socket. Errors as front_connect. */
int front_handshake(struct front *f);

/** Tells the back-end to stop every ring (GET_VRING_BASE). Errors as front_connect. */
int front_handshake_stop(struct front *f);

/** The same without SET_OWNER, which stands for a connection's whole life. */
int front_negotiate(struct front *f);

/** Tells of all the memory there is (SET_MEM_TABLE). */
int front_share_memory(struct front *f);

/** Tells of the second one: by ADD_MEM_REG where slots were agreed on, else by a whole table. */
int front_share_more(struct front *f);

/** Describes ring `index` from its size to its kick; it starts there at `base`. */
int front_tell_ring(struct front *f, unsigned index, uint32_t base);

/** Closes a ring's notification descriptors. */
void front_close_eventfds(struct front_ring *r);

/** Stops ring `index`; *base: where it would go on. */
int front_stop_ring(struct front *f, unsigned index, uint32_t *base);

/** Takes over `opt` (defaults filled in) and makes memory and rings by it. Errors as front_create. */
int front_lay_out(struct front *f, const struct front_options *opt);
/** Frees memory and rings. */
void front_clear_out(struct front *f);

/** A request that has no answer of its own; acknowledged where REPLY_ACK was agreed on. */
int front_request_set(struct front *f, struct front_wire *msg, const int *fds, unsigned nfds);
/** The same with a number and at most one fd (-1: none), and with a ring's index and a number. */
int front_request_value(struct front *f, uint32_t request, uint64_t value, int fd);
int front_request_state(struct front *f, uint32_t request, unsigned ring, uint32_t value);
/** A request that has an answer, which replaces it; and one whose answer is a number. */
int front_request_ask(struct front *f, struct front_wire *msg);
int front_request_get(struct front *f, uint32_t request, uint64_t *value);
