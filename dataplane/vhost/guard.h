/*
 * guard.h: outliving a guest that takes its memory away. A front-end may truncate the file that it
 * shares after it was checked; the next access raises SIGBUS. The handler maps zero pages over the whole
 * mapping, tells the owner through an eventfd and a flag, and returns: the access goes on with zeros.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* Who is told. `broken` and `event_fd` must stay valid while the guard is set. */
struct vhost_guard {
	_Atomic(bool) *broken;
	int event_fd; /* eventfd, written once when memory is lost */
};

/** Control thread. Guards [start, start + len), a mapping of its own. Returns a slot, or -ENOSPC. */
int vhost_guard_set(void *start, size_t len, const struct vhost_guard *guard);
/** Control thread. When no worker can touch the mapping any more. -1 is allowed. */
void vhost_guard_clear(int slot);
