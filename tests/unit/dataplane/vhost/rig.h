/*
 * rig.h: a vhost-user device with rings that the test writes itself, as a guest would, in memory of its
 * own. No socket, no front-end: what is tested is the data path alone.
 */
#pragma once

#include <linux/virtio_net.h>

#include "dataplane/core/dp.h"
#include "dataplane/vhost/dev.h"

enum {
	RIG_REGION = 1 << 20, /* bytes of each of the two regions, which follow each other for the guest */
	RIG_GPA = 0x40000000, /* guest address of the first */
	RIG_DATA = RIG_GPA + 65536, /* the first that no ring uses */
	RIG_SIZE = 128,		    /* entries of a ring */
};

/* A ring from the guest's side. */
struct guest_ring {
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	struct vhost_ring *ring; /* the device's side */
	int kick, call;		 /* eventfds */
};

struct rig {
	struct dp dp;
	struct worker w;
	struct port port;
	struct vhost_dev dev;
	uint8_t *mem[2];
	struct guest_ring rx; /* the guest sends by it */
	struct guest_ring tx; /* the guest receives by it */
};

/** MRG_RXBUF, indirect descriptors, all offloads; no event index. */
struct rig *rig_new(void);
void rig_free(struct rig *rig);

/* cmocka fixtures: *state is the struct rig */
int rig_setup(void **state);
int rig_teardown(void **state);

/** Where the guest's address `gpa` lies here. */
uint8_t *rig_at(struct rig *rig, uint64_t gpa);

/** Writes descriptor i. */
void rig_desc(struct guest_ring *g, unsigned i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next);
/** Offers the chain that begins at `head`. */
void rig_offer(struct guest_ring *g, uint16_t head);
/** The guest's index now. */
uint16_t rig_used(const struct guest_ring *g);

/** The `at`th entry given back by the ring that the guest sends by must be the chain at `head`, holding nothing. */
void rig_expect_empty(const struct rig *rig, uint16_t at, uint16_t head);

/** One poll of the device; frames are in rig->w.burst until rig_complete(). */
uint16_t rig_rx(struct rig *rig);
void rig_complete(struct rig *rig);

uint64_t rig_drops(const struct rig *rig, enum drop_reason reason);
/** All drops together. */
uint64_t rig_all_drops(const struct rig *rig);

/** Times that the eventfd was written since the last call. */
uint64_t rig_signals(int fd);

/** A repeatable pattern. */
void rig_fill(uint8_t *dst, uint32_t len, uint8_t seed);

/** Writes an empty virtio_net_hdr and a frame of the pattern behind it; returns the bytes of both. */
uint32_t rig_write_frame(struct rig *rig, uint64_t gpa, uint32_t len, uint8_t seed);
/** Writes links of `step` bytes, which cut the header too, from descriptor `from` of `table` on, for the `len`
 * bytes at `gpa`. Returns how many. */
unsigned rig_link(struct vring_desc *table, unsigned from, uint64_t gpa, uint32_t len, uint32_t step);
/** Frame i of the burst is `len` bytes of the pattern. */
void rig_expect_frame(struct rig *rig, unsigned i, uint32_t len, uint8_t seed);
