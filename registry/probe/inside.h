/*
 * inside.h: what the files of half-open probes share: syn.c (probes), netns.c (sockets),
 * wire.c (packets).
 */
#pragma once

#include <event2/event_struct.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "registry/probe/segment.h"
#include "registry/probe/syn.h"

struct syn_probe {
	LIST_ENTRY(syn_probe) link;   /* in the bucket of its number */
	TAILQ_ENTRY(syn_probe) queue; /* of those to be sent */
	void (*done)(void *arg, int result);
	void *arg;
	struct syn_netns *netns;
	uint32_t address; /* of the target, network byte order */
	uint16_t port;
	struct wheel_timer again; /* sends it once more */
	uint64_t wait_us;	  /* until then; doubles */
	uint32_t number;
	bool queued;
};

struct syn_netns {
	struct syn *syn;
	LIST_ENTRY(syn_netns) link;
	uint64_t id;
	char network[REG_NAME_MAX + 1];
	int raw, holder;     /* sockets; -1: not to be had now */
	uint64_t away_until; /* when to try again */
	uint32_t address;    /* where probes come from */
	uint16_t port;
	unsigned probes;  /* under way */
	uint64_t used_us; /* by the last probe */
	uint64_t read_us; /* what came until then has been read */
	unsigned junk;	  /* useless answers since junk_since */
	unsigned asked;	  /* SYNs since then */
	uint64_t junk_since;
	struct wheel_timer idle, lull; /* `readable` is not waited for while lull is set */
	struct event readable, flush;
	TAILQ_HEAD(syn_queue, syn_probe) queue;
};

/* Reused by every system call: what is constant in it is set once. */
struct syn_batch {
	struct mmsghdr out[SYN_BATCH], in[SYN_BATCH];
	struct iovec out_part[SYN_BATCH], in_part[SYN_BATCH];
	struct sockaddr_in to[SYN_BATCH];
	uint8_t syn[SYN_BATCH][SEGMENT_SYN], answer[SYN_BATCH][SEGMENT_READ];
};

/** Ends the probe with this result. */
void syn_end(struct syn_probe *probe, int result);
/** The probe of `netns` with this number to that end, NULL: nobody asked. */
struct syn_probe *syn_find(const struct syn_netns *netns, uint32_t number, const struct segment_ends *ends);
/** It has been sent. */
void syn_sent(struct syn_probe *probe, uint64_t now_us);

/** The netns from which the target is asked, ready to be used. NULL: not to be had. */
struct syn_netns *syn_netns_get(struct syn *syn, const struct syn_target *target);
void syn_netns_free(struct syn_netns *netns);
/** Gives up its sockets for SYN_AWAY_MS. Probes under way end without a result. */
void syn_netns_leave(struct syn_netns *netns);

/** NULL: no memory. */
struct syn_batch *syn_batch_new(void);
/** Sends what is queued. How many packets. */
unsigned syn_wire_send(struct syn_netns *netns);
/** Reads at most a batch of what came. How many packets. */
unsigned syn_wire_read(struct syn_netns *netns);
