/*
 * packed_guest.h: a rig (rig.h) whose rings are packed, and what its guest does with them.
 */
#pragma once

#include "dataplane/vhost/packed.h"
#include "tests/unit/dataplane/vhost/rig.h"

/* A ring from the guest's side. */
struct packed_guest {
	struct vring_packed_desc *slot; /* [RIG_SIZE] */
	struct vring_packed_desc_event *wish, *device_wish;
	struct vhost_ring *ring; /* the device's side */
	int call;
	struct vhost_position next; /* to offer */
	struct vhost_position used; /* to be given back */
};

struct packed_rig {
	struct rig *rig;
	struct packed_guest rx; /* the guest sends by it */
	struct packed_guest tx; /* the guest receives by it */
};

/* One descriptor of a chain: flags are NEXT, WRITE, INDIRECT. */
struct packed_link {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
};

struct packed_rig *packed_new(void);
void packed_free(struct packed_rig *p);

/* cmocka fixtures: *state is the struct packed_rig */
int packed_setup(void **state);
int packed_teardown(void **state);

/** Offers a chain of `n` descriptors with buffer id `id`; NEXT is set where it belongs unless `flags` has
 * more. */
void packed_offer(struct packed_guest *g, const struct packed_link *link, unsigned n, uint16_t id);
/** Has the next chain, of `slots` descriptors, been given back? Then what it says. */
bool packed_take(struct packed_guest *g, unsigned slots, uint16_t *id, uint32_t *len);
