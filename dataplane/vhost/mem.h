/*
 * mem.h: a guest's memory. Regions are files that the front-end shares; each is checked against its
 * file's end, mapped and guarded (guard.h). A table that a ring was published with does not change:
 * control takes every ring back first.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "dataplane/vhost/map.h"
#include "dataplane/vhost/proto.h"

enum { VHOST_MEM_SLOTS = 32 }; /* as QEMU's own back-end library has */

struct vhost_region {
	uint64_t gpa; /* where the guest sees it */
	uint64_t size;
	uint8_t *host; /* where it is here */
	uint64_t uva;  /* where the front-end has it */
	struct vhost_map map;
};

struct vhost_mem {
	unsigned count;
	uint64_t limit; /* bytes that may be mapped; set before each table */
	struct vhost_region region[VHOST_MEM_SLOTS];
};

/**
 * Control thread. Maps a region and adds it, if it is not there already; the fd stays the caller's. Errors: -EINVAL (empty, wraps around,
 * unaligned, past the file's end, not shared memory), -EEXIST (overlaps another), -EFBIG (more than mem->limit in all), -ENOSPC, -ENOMEM.
 */
int vhost_mem_add(
	struct vhost_mem *mem, const struct vhost_wire_region *wire, int fd, const struct vhost_guard *guard);
/** Control thread. Removes the region with exactly these addresses. -ENOENT. */
int vhost_mem_del(struct vhost_mem *mem, const struct vhost_wire_region *wire);
/** Control thread. Unmaps everything. */
void vhost_mem_clear(struct vhost_mem *mem);

/** Bytes that a guest may share where its port says `memory_mb`; 0: 64 GB, or as much as the machine has. */
uint64_t vhost_mem_limit(uint32_t memory_mb);

/** Control thread. Bytes that are mapped now. */
uint64_t vhost_mem_size(const struct vhost_mem *mem);

/** Control thread. `len` bytes at the front-end's address `uva`, all in one region; NULL when they are not.
 */
void *vhost_mem_uva(const struct vhost_mem *mem, uint64_t uva, uint64_t len);

/** Any thread. The region that holds guest address `gpa`, NULL when none does. */
static inline const struct vhost_region *vhost_mem_find(const struct vhost_mem *mem, uint64_t gpa)
{
	for (unsigned i = 0; i < mem->count; i++)
		if (gpa - mem->region[i].gpa < mem->region[i].size)
			return &mem->region[i];
	return NULL;
}
