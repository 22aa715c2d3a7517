#include "dataplane/vhost/map.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

/*
 * File systems whose page faults the kernel serves by itself. A process that serves them (FUSE, or what is
 * stacked on it) could hold a worker for ever, and a network for long.
 */
static bool is_prompt(const struct statfs *fs)
{
	switch (fs->f_type) {
	case TMPFS_MAGIC: /* memfd_create */
	case HUGETLBFS_MAGIC:
	case EXT4_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
		return true;
	default:
		return false;
	}
}

/*
 * May its attributes be asked for? A process that answers for a file system might never do so. Only memory of the
 * kernel's own has seals to tell, and only what lies on a block device has a major number; neither question goes
 * to anybody.
 */
static bool may_ask(int fd)
{
	struct statx stx;

	return fcntl(fd, F_GET_SEALS) >= 0 ||
	       (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &stx) == 0 &&
		       stx.stx_dev_major);
}

/* The file must be a plain, prompt one that reaches as far as `end`. *page: the size that mappings of it are
 * multiples of. */
static int check_file(int fd, uint64_t end, size_t *page)
{
	struct stat st;
	struct statfs fs;

	if (!may_ask(fd))
		return -EINVAL;
	if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || !is_prompt(&fs))
		return -EINVAL;
	if (st.st_size < 0 || end > (uint64_t)st.st_size)
		return -EINVAL;
	*page = fs.f_type == HUGETLBFS_MAGIC ? (size_t)fs.f_bsize : (size_t)sysconf(_SC_PAGESIZE);
	return 0;
}

int vhost_map(struct vhost_map *map, int fd, uint64_t offset, uint64_t size, const struct vhost_guard *guard)
{
	uint64_t base, len;
	size_t page = 0;
	void *start;
	int slot, rc = size && offset + size > offset ? check_file(fd, offset + size, &page) : -EINVAL;

	if (rc < 0)
		return rc;
	/* best effort: a memfd made without MFD_ALLOW_SEALING says no, and the guard remains */
	fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
	base = offset / page * page;
	len = (offset + size - base + page - 1) / page * page;
	start = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, (off_t)base);
	if (start == MAP_FAILED)
		return -errno;
	slot = vhost_guard_set(start, len, guard);
	if (slot < 0) {
		munmap(start, len);
		return slot;
	}
	madvise(start, len, MADV_DONTDUMP);
	*map = (struct vhost_map){
		.at = (uint8_t *)start + (offset - base), .start = start, .len = len, .guard = slot};
	return 0;
}

void vhost_unmap(struct vhost_map *map)
{
	if (!map->start)
		return;
	vhost_guard_clear(map->guard);
	munmap(map->start, map->len);
	*map = (struct vhost_map){0};
}
