/*
 * memory.h: memory that a back-end in another process can map. It is a memfd, of huge pages where there
 * are enough free ones, else of small ones with the wish that the kernel joins them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/front/front.h"

struct front_memory {
	uint8_t *base; /* zeroed, and touched, so that no page fault falls into a measurement */
	size_t size;   /* rounded up to the page size */
	int fd;
	bool huge;
};

/** At least `size` bytes. Returns 0, -ENOMEM (FRONT_PAGES_HUGE: no huge pages left) or -errno. */
int front_memory_open(struct front_memory *m, size_t size, enum front_pages pages);

/** What has never been opened must be zeroed with fd -1. */
void front_memory_close(struct front_memory *m);
