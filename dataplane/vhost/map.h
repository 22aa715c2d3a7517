/*
 * map.h: a file that a front-end shares, mapped: checked against its end, sealed where it can be, and
 * guarded against being cut short later (guard.h).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "dataplane/vhost/guard.h"

struct vhost_map {
	uint8_t *at; /* where what was asked for begins */
	void *start; /* the mapping, whole pages; NULL: none */
	size_t len;
	int guard;
};

/**
 * Control thread. Maps `size` bytes of a file from `offset` on; the fd stays the caller's. Errors: -EINVAL
 * (empty, wraps around, past the file's end, not shared memory), -ENOSPC, -ENOMEM.
 */
int vhost_map(struct vhost_map *map, int fd, uint64_t offset, uint64_t size, const struct vhost_guard *guard);

/** Control thread, when no worker can touch it any more. Nothing when there is none. */
void vhost_unmap(struct vhost_map *map);
