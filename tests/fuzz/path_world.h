/*
 * path_world.h: the switch that fuzz_path.c feeds, without a thread or a socket: guests whose rings and memory are
 * the input's, ports that stand for containers and take everything, an uplink by which guests reach the world outside,
 * vips, and a network of others into which nothing may come.
 */
#pragma once

#include <assert.h>

#include "dataplane/core/dp.h"
#include "dataplane/vhost/dev.h"
#include "dataplane/vhost/packed.h"

enum {
	PATH_GUESTS = 4,
	PATH_SINKS = 34, /* one more than a burst has frames, and the gateway */
	PATH_RING = 128, /* entries of a ring */
	PATH_GPA = 0x40000000,
	PATH_REGIONS = 2,
	PATH_REGION0 = 96 * 1024,
	PATH_REGION1 = 16 * 1024, /* follows for the guest, lies elsewhere here */
	PATH_MEMORY = PATH_REGION0 + PATH_REGION1,
	/* where in a guest's memory */
	PATH_RING_BYTES = 8192,
	PATH_TABLES = 2 * PATH_RING_BYTES, /* of indirect descriptors */
	PATH_TABLE_BYTES = 2304,
	PATH_NTABLE = 8,
	PATH_DATA = PATH_TABLES + PATH_NTABLE * PATH_TABLE_BYTES,
	PATH_BLOCK = 1024, /* what is cleared at a time */
	PATH_BLOCKS = PATH_MEMORY / PATH_BLOCK,
	PATH_VNI = 77,
	PATH_VIP6 = 0x64,
	PATH_GATEWAY6 = 6,
};
/* fd00::n: a guest's with the last byte of its MAC. */
#define PATH_IP6(n) ((struct ip_addr){.b = {0xfd, [15] = (uint8_t)(n)}})
static_assert(PATH_DATA % PATH_BLOCK == 0 && PATH_REGION0 % PATH_BLOCK == 0, "whole blocks");

/* The guest sends by ring 0 and receives by ring 1. */
struct path_guest {
	struct port *port;
	struct vhost_dev *dev;
	uint8_t *mem[PATH_REGIONS];
	struct vhost_ring *ring[2];
	struct vhost_position next[2]; /* packed: where it offers the next chain */
	bool written[PATH_BLOCKS];     /* blocks of its memory that are perhaps not as they were at first */
};

extern struct path_world {
	struct dp *dp;
	struct worker *w;
	uint16_t net;
	struct path_guest
		guest[PATH_GUESTS]; /* split, packed, split without anything negotiated, packed and guarded */
	struct port *sink[PATH_SINKS]; /* the last one is the gateway's */
	struct port *uplink;
	uint32_t room;	       /* frames that sinks and uplink take until they are full */
	uint8_t left[HDR_MAX]; /* the first bytes of what a guest last sent to the world outside */
	uint16_t left_len;     /* 0: nothing */
	uint32_t left_frame;   /* bytes of all of it */
} path;

/** Once a process. */
void path_open(void);

/** Everything as it was at first. */
void path_reset(void);

/** Aborts when the books do not balance or a ring is not where it should be. */
void path_check(void);

/** Bytes [at, at + len) of the guest's memory may be written to from now on. */
void path_writable(struct path_guest *g, uint32_t at, uint32_t len);

/** Copies into the guest's memory at offset `at`, as far as it reaches. */
void path_write(struct path_guest *g, uint32_t at, const void *data, uint32_t len);

/**
 * Memory number `i` (of BURST_MAX) as a source that is no guest has it: a frame of `len` bytes, zeros after its
 * first `n`, with nothing before and behind it that could be touched unnoticed. Until path_lend_end().
 */
const uint8_t *path_lend(unsigned i, const void *data, uint32_t n, uint32_t len);
void path_lend_end(unsigned i);

/** What the worker does at the end of a turn. */
void path_send_late(void);

/** One burst of the guest through the pipeline. */
void path_serve(struct path_guest *g);
