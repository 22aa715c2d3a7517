#include "dataplane/vhost/mem.h"

#include <errno.h>
#include <unistd.h>

/* Does [a, a + alen) share a byte with [b, b + blen)? Neither wraps around. */
static bool overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return a < b + blen && b < a + alen;
}

/*
 * No guest has more memory than its machine, but one may share more of a sparse file. That costs the mapping
 * and, as far as the guest has a worker touch it, page tables: for 64 GB of small pages 128 MB at worst.
 */
#define LEAST_DEFAULT (UINT64_C(64) << 30)

uint64_t vhost_mem_limit(uint32_t memory_mb)
{
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	uint64_t machine = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;

	if (memory_mb)
		return (uint64_t)memory_mb << 20;
	return machine > LEAST_DEFAULT ? machine : LEAST_DEFAULT;
}

uint64_t vhost_mem_size(const struct vhost_mem *mem)
{
	uint64_t size = 0;

	for (unsigned i = 0; i < mem->count; i++)
		size += mem->region[i].size;
	return size;
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
	if (mem->count >= VHOST_MEM_SLOTS)
		return -ENOSPC;
	return wire->size > mem->limit || vhost_mem_size(mem) > mem->limit - wire->size ? -EFBIG : 0;
}

/* The region with exactly these addresses. */
static struct vhost_region *find(struct vhost_mem *mem, const struct vhost_wire_region *wire)
{
	for (unsigned i = 0; i < mem->count; i++) {
		struct vhost_region *r = &mem->region[i];

		if (r->gpa == wire->gpa && r->size == wire->size && r->uva == wire->uva)
			return r;
	}
	return NULL;
}

int vhost_mem_add(
	struct vhost_mem *mem, const struct vhost_wire_region *wire, int fd, const struct vhost_guard *guard)
{
	struct vhost_region *r = &mem->region[mem->count];
	int rc;

	if (find(mem, wire))
		return 0;
	rc = check_range(mem, wire);
	if (!rc)
		rc = vhost_map(&r->map, fd, wire->offset, wire->size, guard);
	if (rc < 0)
		return rc;
	r->gpa = wire->gpa;
	r->size = wire->size;
	r->uva = wire->uva;
	r->host = r->map.at;
	mem->count++;
	return 0;
}

int vhost_mem_del(struct vhost_mem *mem, const struct vhost_wire_region *wire)
{
	struct vhost_region *r = find(mem, wire);

	if (!r)
		return -ENOENT;
	vhost_unmap(&r->map);
	*r = mem->region[--mem->count];
	return 0;
}

void vhost_mem_clear(struct vhost_mem *mem)
{
	while (mem->count)
		vhost_unmap(&mem->region[--mem->count].map);
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
