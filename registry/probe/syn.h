/*
 * syn.h: is a port open? Asked by half a handshake, for targets inside networks. The SYN goes out by a raw
 * socket in the gateway's namespace, together with all that are due then; the answer says it; and that
 * namespace's kernel, which knows of no such connection, resets it at the target. No socket is made, bound,
 * connected and closed for it, so it takes a quarter of the time of a whole handshake, of which the
 * application behind the port would see nothing more (docs/adr/0008).
 *
 * A netns is a gateway's namespace (registry_sink). All SYNs of one leave from one port, held by a bound
 * socket so that nothing else there gets it; the raw socket's filter lets nothing in but what comes to that
 * port. A SYN's number is 32 random bits, found again by what acknowledges it, and an answer counts only from
 * the address and port that were asked. Where answers that nobody asked for come in masses, whole handshakes
 * take over for a while: the queue in which they would drown those of others is then closed.
 */
#pragma once

#include <event2/event.h>
#include <stdint.h>
#include <sys/queue.h>

#include "registry/base/wheel.h"
#include "registry/registry.h"

enum {
	SYN_BATCH = 64,		/* packets sent or read by one system call */
	SYN_BUCKETS = 4096,	/* of probes under way, by their number */
	SYN_NETNS_BUCKETS = 64, /* buckets of namespaces */
	SYN_RANDOM = 64,	/* numbers drawn at once: as much as getentropy() gives */
	SYN_MANY = 8,		/* SYNs sent together, whose answers are read together */
	SYN_LULL_US = 1500,	/* so long after */
	SYN_IDLE_MS = 5000,	/* a netns that was not used for so long is left */
	SYN_AWAY_MS = 10000,	/* for so long whole handshakes do, where half of one is not to be had */
	SYN_JUNK_EACH = 4,	/* useless answers that a SYN may have: late ones, repeated ones */
	SYN_JUNK_MAX = 4096,	/* and so many more in a second: beyond that is an attack */
	SYN_RETRY_MIN_MS =
		10, /* a SYN is repeated after a quarter of the time-out, at least and at most so */
	SYN_RETRY_MAX_MS = 1000,
};

struct syn_probe;
struct syn_netns;
struct syn_batch;

struct syn {
	struct event_base *base;
	struct wheel *wheel;
	const struct registry_sink *sink; /* makes the sockets */
	struct syn_batch *batch;	  /* for packets on their way; NULL until the first probe */
	LIST_HEAD(syn_bucket, syn_probe) probes[SYN_BUCKETS];
	LIST_HEAD(syn_netns_list, syn_netns) netns[SYN_NETNS_BUCKETS];
	uint32_t random[SYN_RANDOM];
	unsigned nrandom; /* of which so many are left */
};

/* What is asked, and from where. */
struct syn_target {
	const char *network; /* in which sockets are made; copied */
	uint64_t netns_id;   /* where those are now, by registry_sink.netns_id; not 0 */
	uint32_t address;    /* IPv4, network byte order */
	uint16_t port;	     /* host byte order */
	uint32_t timeout_ms; /* of the whole probe: says how often its SYN is repeated, and does not end it */
};

/* What a probe found, when it is no errno. */
enum { SYN_OPEN = 0, SYN_GIVEN_UP = -1 /* its netns was left: that says nothing of the target */ };

/** `wheel` and `sink` outlive it. */
void syn_init(
	struct syn *syn, struct event_base *base, struct wheel *wheel, const struct registry_sink *sink);
/** No probe is under way any more. */
void syn_close(struct syn *syn);

/**
 * Begins a probe. It ends by done(arg, result), later and once, with SYN_OPEN, SYN_GIVEN_UP, or the errno that says
 * why the port is not open. *out is gone by then. done() neither begins a probe nor stops one. Errors: -ENOTSUP: not
 * from there, a whole handshake has to do; -ENOMEM.
 */
int syn_start(struct syn *syn, const struct syn_target *target, void (*done)(void *arg, int result),
	void *arg, struct syn_probe **out);
/** Ends it, as above, if its answer came until `due_us` (of wheel_now_us()) and was not read yet. */
void syn_look(struct syn_probe *probe, uint64_t due_us);
/** Abandons it: done() is not called. */
void syn_stop(struct syn_probe *probe);
