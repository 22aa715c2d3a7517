#include "dataplane/core/mem.h"

#include <sys/mman.h>

void *mem_alloc(size_t bytes)
{
	void *ptr =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (ptr == MAP_FAILED)
		return NULL;
	madvise(ptr, bytes, MADV_HUGEPAGE);
	return ptr;
}

void mem_touch(void *ptr, size_t bytes)
{
	if (madvise(ptr, bytes, MADV_POPULATE_WRITE) < 0)
		return; /* a kernel before 5.14, or too little memory */
}

void mem_free(void *ptr, size_t bytes)
{
	if (ptr)
		munmap(ptr, bytes);
}
