/*
 * mem.h: memory for large tables: zeroed, page-aligned, touched lazily, in huge pages where the kernel gives
 * them by itself (madvise). Control thread.
 */
#pragma once

#include <stddef.h>

/** Returns NULL when there is no address space or memory left. */
void *mem_alloc(size_t bytes);
/** Has the kernel give all of it now, so that no worker waits when it first writes there. What cannot be had
 * stays lazy. */
void mem_touch(void *ptr, size_t bytes);
/** `bytes` as given to mem_alloc. NULL is allowed. */
void mem_free(void *ptr, size_t bytes);
