/*
 * backend.h: the backends of all services, by a small id that connections, Maglev tables and counters use. A
 * backend keeps its id, and so its connections, as long as its service lists it; a deleted one keeps the id
 * until no connection bears it.
 */
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/core/stats.h"
#include "dataplane/dataplane.h"

enum {
	BACKEND_USED = 1,    /* the id is taken */
	BACKEND_ACTIVE = 2,  /* has a weight: gets new connections; neither dead nor gone */
	BACKEND_DEAD = 4,    /* cannot be reached: its connections are lost */
	BACKEND_GONE = 8,    /* deleted; waits until it has no connections */
	BACKEND_DRAINS = 16, /* its connections go on until `ends` */
	BACKEND_RESETS = 32, /* those that are left then are reset */
};

struct backend {
	/* read by workers; control writes */
	_Atomic(uint64_t) mac;	 /* as it lies in a frame, in the low six bytes; 0: not known */
	_Atomic(uint64_t) ends;	 /* TSC; good with BACKEND_DRAINS */
	_Atomic(uint64_t) since; /* TSC; good with BACKEND_ACTIVE: it takes connections since then */
	_Atomic(uint32_t) flags;
	uint32_t ip; /* of IPv4, the same as `address` */
	uint32_t id;
	uint16_t port; /* network byte order */
	uint16_t net;
	struct ip_addr address;
	_Atomic(uint16_t) weight;  /* workers read it for its load only: the table has it already */
	_Atomic(uint8_t) distance; /* enum dp_distance, likewise */
	uint8_t protocol;
	/* control only */
	bool wanted; /* its MAC is asked for */
	uint16_t service;
} __attribute__((aligned(64)));
static_assert(sizeof(struct backend) == 64, "a backend is one cache line");

struct backend_table;

/** Control thread. Room for `size` backends. NULL without memory. */
struct backend_table *backend_open(struct dp *dp, uint32_t size);
/** NULL is allowed. */
void backend_close(struct backend_table *t);

/** Any thread; `id` is one that the table gave out. */
struct backend *backend_get(const struct backend_table *t, uint32_t id);
/** Control thread. No backend has this id or a higher one. */
uint32_t backend_end(const struct backend_table *t);
/** Control thread. *ids: those with BACKEND_RESETS, good until one changes; returns how many. */
uint32_t backend_resets(const struct backend_table *t, const uint32_t **ids);

/**
 * Control thread. Makes a backend and starts to look for its MAC: among the network's guests, or the
 * gateway's where the address lies outside the subnet. `spec->net` exists. -ENOSPC, -ENOMEM.
 */
int backend_new(struct backend_table *t, const struct dp_service *spec, const struct dp_backend *what,
	uint32_t service, uint32_t *id);

/** Control thread. Takes over weight, dead, and how it drains: from the first call that says so on. */
void backend_set(struct backend_table *t, uint32_t id, const struct dp_backend *what);

/** Control thread. Workers that look at the flags from now on leave it alone; its MAC is no longer looked
 * for. */
void backend_delete(struct backend_table *t, uint32_t id);

/** Control thread. Frees the ids of deleted backends for which `idle` says that nothing bears them. */
void backend_reap(struct backend_table *t, bool (*idle)(void *arg, uint32_t id), void *arg);

/** Control thread. What its packets came to since it was made. */
struct backend_stats backend_sum(const struct backend_table *t, uint32_t id);
/** Control thread. What came of the connections that it was given since it was made. */
struct backend_answers backend_answered(const struct backend_table *t, uint32_t id);
