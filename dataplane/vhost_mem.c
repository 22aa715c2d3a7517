#include "dataplane/vhost_mem.h"

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

/* Does [a, a + alen) share a byte with [b, b + blen)? Neither wraps around. */
static bool overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return a < b + blen && b < a + alen;
}

static int check_range(const struct vhost_mem *mem, const struct vhost_wire_region *wire)
{
	if (!wire->size || wire->gpa + wire->size < wire->gpa || wire->uva + wire->size < wire->uva ||
		wire->offset + wire->size < wire->offset)
		return -EINVAL;
	for (unsigned i = 0; i < mem->count; i++) {
		const struct vhost_region *r = &mem->region[i];

		if (overlap(wire->gpa, wire->size, r->gpa, r->size))
			return -EEXIST;
	}
	return mem->count < VHOST_MEM_SLOTS ? 0 : -ENOSPC;
}

/* Whose page faults the kernel answers by itself. One that a process answers (FUSE, or what is stacked on it)
 * could hold a worker for ever, and one that a network answers for long. */
static bool is_prompt(const struct statfs *fs)
{
	switch (fs->f_type) {
	case TMPFS_MAGIC: /* memfd_create */
	case HUGETLBFS_MAGIC:
	case RAMFS_MAGIC:
	case EXT4_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
	case BTRFS_SUPER_MAGIC:
		return true;
	default:
		return false;
	}
}

/* The file must be a plain, prompt one that reaches past the region. *page: the size that mappings of it are
 * multiples of. */
static int check_file(int fd, const struct vhost_wire_region *wire, size_t *page)
{
	struct stat st;
	struct statfs fs;

	if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || !is_prompt(&fs))
		return -EINVAL;
	if (st.st_size < 0 || wire->offset + wire->size > (uint64_t)st.st_size)
		return -EINVAL;
	*page = fs.f_type == HUGETLBFS_MAGIC ? (size_t)fs.f_bsize : (size_t)sysconf(_SC_PAGESIZE);
	return 0;
}

int vhost_mem_add(
	struct vhost_mem *mem, const struct vhost_wire_region *wire, int fd, const struct vhost_guard *guard)
{
	struct vhost_region *r = &mem->region[mem->count];
	uint64_t base, len;
	size_t page = 0;
	void *map;
	int slot, rc = check_range(mem, wire);

	if (!rc)
		rc = check_file(fd, wire, &page);
	if (rc < 0)
		return rc;
	/* best effort: a memfd made without MFD_ALLOW_SEALING says no, and the guard remains */
	fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
	base = wire->offset / page * page;
	len = (wire->offset + wire->size - base + page - 1) / page * page;
	map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, (off_t)base);
	if (map == MAP_FAILED)
		return -errno;
	slot = vhost_guard_set(map, len, guard);
	if (slot < 0) {
		munmap(map, len);
		return slot;
	}
	madvise(map, len, MADV_DONTDUMP);
	*r = (struct vhost_region){.gpa = wire->gpa,
		.size = wire->size,
		.uva = wire->uva,
		.host = (uint8_t *)map + (wire->offset - base),
		.map = map,
		.map_len = len,
		.guard = slot};
	mem->count++;
	return 0;
}

static void region_unmap(struct vhost_region *r)
{
	vhost_guard_clear(r->guard);
	munmap(r->map, r->map_len);
}

int vhost_mem_del(struct vhost_mem *mem, const struct vhost_wire_region *wire)
{
	for (unsigned i = 0; i < mem->count; i++) {
		struct vhost_region *r = &mem->region[i];

		if (r->gpa != wire->gpa || r->size != wire->size || r->uva != wire->uva)
			continue;
		region_unmap(r);
		*r = mem->region[--mem->count];
		return 0;
	}
	return -ENOENT;
}

void vhost_mem_clear(struct vhost_mem *mem)
{
	while (mem->count)
		region_unmap(&mem->region[--mem->count]);
}

void *vhost_mem_uva(const struct vhost_mem *mem, uint64_t uva, uint64_t len)
{
	for (unsigned i = 0; i < mem->count; i++) {
		const struct vhost_region *r = &mem->region[i];
		uint64_t at = uva - r->uva;

		if (at < r->size && len <= r->size - at)
			return r->host + at;
	}
	return NULL;
}
