/*
 * inflight.h: memory that a front-end keeps for its back-ends, so that each finds what the one before it
 * had taken and not given back (INFLIGHT_SHMFD; QEMU's docs/interop/vhost-user.rst, "Inflight I/O tracking").
 * Front-ends ask for it, keep the fd and show it to the next one; Cloud Hypervisor does it for networks, QEMU
 * for other devices only.
 *
 * We give back in order and find our position in the ring itself (resume.h), so what we leave here says only
 * where we are, and that nothing is out of order: in a split ring nothing has to be written at all, in a packed
 * one two words a batch. What another kind of back-end left here is given back as holding nothing.
 *
 * The memory is the front-end's as well: it is guarded, and what is read from it is checked.
 */
#pragma once

#include <assert.h>

#include "dataplane/vhost/map.h"
#include "dataplane/vhost/packed.h"
#include "dataplane/vhost/proto.h"

struct vhost_split_desc {
	uint8_t inflight;
	uint8_t padding[5];
	uint16_t next; /* of the last batch that was given back */
	uint64_t counter;
};

struct vhost_split_region {
	uint64_t features;
	uint16_t version; /* 0: not filled in */
	uint16_t ring_size;
	uint16_t last_batch; /* head of that list */
	uint16_t used_idx;
	struct vhost_split_desc desc[];
};

struct vhost_packed_entry {
	uint8_t inflight;
	uint8_t padding;
	uint16_t next;	  /* of the free ones */
	uint16_t last;	  /* of the chain's entries */
	uint16_t slots;	  /* of the chain */
	uint64_t counter; /* when it was taken */
	uint16_t id, flags;
	uint32_t len;
	uint64_t addr;
};

struct vhost_packed_region {
	uint64_t features;
	uint16_t version;
	uint16_t ring_size;
	uint16_t free_head, old_free_head;
	uint16_t used, old_used; /* the position; the old one while a batch is given back */
	uint8_t wrap, old_wrap;
	uint8_t padding[7];
	struct vhost_packed_entry entry[];
};
static_assert(
	sizeof(struct vhost_split_desc) == 16 && sizeof(struct vhost_split_region) == 16, "the standard's");
static_assert(
	sizeof(struct vhost_packed_entry) == 32 && sizeof(struct vhost_packed_region) == 32, "likewise");

struct vhost_inflight {
	struct vhost_map map;
	uint16_t rings, ring_size;
	bool packed;
};

/**
 * Control thread. Makes memory for what `wire` asks (rings and ring_size), fills in its size and offset.
 * -EINVAL: of no rings or more than `most`, or of a size that none has.
 */
int vhost_inflight_make(struct vhost_wire_inflight *wire, bool packed, unsigned most, int *fd);

/** Control thread, while no ring runs. Takes over memory that a front-end shows. Errors: as vhost_map(). */
int vhost_inflight_set(struct vhost_inflight *in, const struct vhost_wire_inflight *wire, bool packed,
	unsigned most, int fd, const struct vhost_guard *guard);

/** Control thread, while no ring runs. */
void vhost_inflight_clear(struct vhost_inflight *in);

/** Control thread. The region of ring `i`; NULL: none, or not one for such a ring. */
void *vhost_inflight_region(const struct vhost_inflight *in, unsigned i, unsigned ring_size, bool packed);

/** Control thread, before the ring's indices are set. Gives back what another back-end left. -ENOMEM. */
int vhost_inflight_return_split(struct vhost_ring *r, struct vhost_split_region *region);

/** Control thread. The same; *at, where the ring begins, is set where the region says it. */
int vhost_inflight_return_packed(
	struct vhost_ring *r, struct vhost_packed_region *region, struct vhost_position *position);

/** Control thread, when the ring's indices are set: nothing is in flight, and this is the position. */
void vhost_inflight_begin_split(const struct vhost_ring *r, struct vhost_split_region *region);
void vhost_inflight_begin_packed(const struct vhost_ring *r, struct vhost_packed_region *region);

/** Control thread. Ring `i` may begin anew. */
void vhost_inflight_forget(const struct vhost_inflight *in, unsigned i);

/** Worker. The chains between next_used and next_avail are about to be given back. */
static inline void vhost_inflight_before(const struct vhost_ring *r)
{
	r->tracked->used = r->next_avail;
	r->tracked->wrap = r->avail_wrap;
	__atomic_signal_fence(__ATOMIC_RELEASE);
}

/** Worker. They have been. */
static inline void vhost_inflight_after(const struct vhost_ring *r)
{
	__atomic_signal_fence(__ATOMIC_RELEASE);
	r->tracked->old_used = r->next_used;
	r->tracked->old_wrap = r->used_wrap;
}
