#include "bench/front/memory.h"

#include <errno.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SMALL_PAGE = 4096, HUGE_PAGE = 2 << 20 };

static int map(struct front_memory *m, size_t size, bool huge)
{
	size_t page = huge ? HUGE_PAGE : SMALL_PAGE;
	void *base;

	*m = (struct front_memory){.size = (size + page - 1) / page * page, .huge = huge};
	m->fd = memfd_create("sluice-front", MFD_CLOEXEC | (huge ? MFD_HUGETLB | MFD_HUGE_2MB : 0));
	if (m->fd < 0)
		return -errno;
	if (ftruncate(m->fd, (off_t)m->size) < 0)
		goto fail;
	/* MAP_POPULATE of huge pages that are not there fails here; without it the first touch would kill us.
	 */
	base = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, m->fd, 0);
	if (base == MAP_FAILED)
		goto fail;
	if (!huge)
		madvise(base, m->size, MADV_HUGEPAGE);
	m->base = base;
	memset(m->base, 0, m->size);
	return 0;
fail:
	close(m->fd);
	m->fd = -1;
	return -ENOMEM;
}

int front_memory_open(struct front_memory *m, size_t size, enum front_pages pages)
{
	int rc = pages == FRONT_PAGES_SMALL ? -ENOMEM : map(m, size, true);

	return rc < 0 && pages != FRONT_PAGES_HUGE ? map(m, size, false) : rc;
}

void front_memory_close(struct front_memory *m)
{
	if (m->base)
		munmap(m->base, m->size);
	if (m->fd >= 0)
		close(m->fd);
	*m = (struct front_memory){.fd = -1};
}
