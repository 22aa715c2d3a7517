/*
 * mem.h: memory for large tables: zeroed, page-aligned, touched lazily, in huge pages where the kernel gives
 * them by itself (madvise). Control thread.
 */
#pragma once

#include <stddef.h>

/** Returns NULL when there is no address space or memory left. */
void *mem_alloc(size_t bytes);
/** `bytes` as given to mem_alloc. NULL is allowed. */
void mem_free(void *ptr, size_t bytes);
