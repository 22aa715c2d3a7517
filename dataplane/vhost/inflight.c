#include "dataplane/vhost/inflight.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/vhost/resume.h"

enum { VERSION = 1, REGION_ALIGN = 64 };

/* Bytes from one ring's region to the next. The standard leaves it open; DPDK's back-ends have the same. */
static uint64_t stride(unsigned ring_size, bool packed)
{
	uint64_t bytes = packed ? sizeof(struct vhost_packed_region) +
					  (uint64_t)ring_size * sizeof(struct vhost_packed_entry)
				: sizeof(struct vhost_split_region) +
					  (uint64_t)ring_size * sizeof(struct vhost_split_desc);

	return (bytes + REGION_ALIGN - 1) / REGION_ALIGN * REGION_ALIGN;
}

static bool possible(const struct vhost_wire_inflight *wire, unsigned most)
{
	unsigned size = wire->ring_size;

	return wire->rings && wire->rings <= most && size && size <= VHOST_RING_MAX && !(size & (size - 1));
}

int vhost_inflight_make(struct vhost_wire_inflight *wire, bool packed, unsigned most, int *fd)
{
	if (!possible(wire, most))
		return -EINVAL;
	wire->size = wire->rings * stride(wire->ring_size, packed);
	wire->offset = 0;
	*fd = memfd_create("sluice-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd < 0)
		return -errno;
	if (ftruncate(*fd, (off_t)wire->size) < 0) {
		int rc = -errno;

		close(*fd);
		return rc;
	}
	return 0;
}

/* Checks that the file is as long as the front-end says, however little of it is used. */
static bool holds(int fd, const struct vhost_wire_inflight *wire)
{
	struct stat file;

	return fstat(fd, &file) == 0 && wire->offset <= (uint64_t)file.st_size &&
	       wire->size <= (uint64_t)file.st_size - wire->offset;
}

int vhost_inflight_set(struct vhost_inflight *in, const struct vhost_wire_inflight *wire, bool packed,
	unsigned most, int fd, const struct vhost_guard *guard)
{
	int rc;

	vhost_inflight_clear(in);
	if (!possible(wire, most) || wire->size < wire->rings * stride(wire->ring_size, packed) ||
		wire->offset % REGION_ALIGN || !holds(fd, wire))
		return -EINVAL;
	/* as much as is used, however long the front-end says that it is */
	rc = vhost_map(&in->map, fd, wire->offset, wire->rings * stride(wire->ring_size, packed), guard);
	if (rc < 0)
		return rc;
	in->rings = wire->rings;
	in->ring_size = wire->ring_size;
	in->packed = packed;
	return 0;
}

void vhost_inflight_clear(struct vhost_inflight *in)
{
	vhost_unmap(&in->map);
	*in = (struct vhost_inflight){0};
}

void *vhost_inflight_region(const struct vhost_inflight *in, unsigned i, unsigned ring_size, bool packed)
{
	if (i >= in->rings || ring_size > in->ring_size || packed != in->packed)
		return NULL;
	return in->map.at + i * stride(in->ring_size, packed);
}

/* An entry that is in flight. */
struct left {
	uint64_t counter;
	uint16_t at;
};

static int by_counter(const void *a, const void *b)
{
	const struct left *x = a, *y = b;

	return (x->counter > y->counter) - (x->counter < y->counter);
}

static int count_split(const struct vhost_split_region *region, unsigned size, struct left *left)
{
	unsigned n = 0;

	for (unsigned i = 0; i < size; i++)
		if (vhost_read8(&region->desc[i].inflight))
			left[n++] = (struct left){vhost_read64(&region->desc[i].counter), (uint16_t)i};
	qsort(left, n, sizeof(*left), by_counter);
	return (int)n;
}

/* What went back last may still be said to be in flight. */
static void settle_split(const struct vhost_ring *r, struct vhost_split_region *region)
{
	uint16_t used = vhost_read16(&r->used->idx);
	unsigned n = (uint16_t)(used - vhost_read16(&region->used_idx));
	uint16_t at = vhost_read16(&region->last_batch);

	for (; n && n <= r->mask + 1u && at <= r->mask; n--) {
		region->desc[at].inflight = 0;
		at = vhost_read16(&region->desc[at].next);
	}
	region->used_idx = used;
}

int vhost_inflight_return_split(struct vhost_ring *r, struct vhost_split_region *region)
{
	uint16_t used = vhost_read16(&r->used->idx);
	struct left *left;
	int n;

	if (!vhost_read16(&region->version))
		return 0;
	left = calloc(r->mask + 1u, sizeof(*left));
	if (!left)
		return -ENOMEM;
	settle_split(r, region);
	n = count_split(region, r->mask + 1u, left);
	for (int i = 0; i < n; i++) {
		region->desc[left[i].at].next = region->last_batch;
		region->last_batch = left[i].at;
		r->used->ring[(used + i) & r->mask] = (struct vring_used_elem){left[i].at, 0};
	}
	if (n)
		__atomic_store_n(&r->used->idx, (uint16_t)(used + n), __ATOMIC_RELEASE);
	settle_split(r, region);
	free(left);
	return 0;
}

/* Where the ring stands: further on if the first chain of the last batch has gone back. */
static bool settle_packed(
	const struct vhost_ring *r, struct vhost_packed_region *region, struct vhost_position *position)
{
	struct vhost_position old = {vhost_read16(&region->old_used), vhost_read8(&region->old_wrap)};
	struct vhost_position now = {vhost_read16(&region->used), vhost_read8(&region->wrap)};

	if (old.slot > r->mask || now.slot > r->mask)
		return false;
	if (vhost_packed_offers(vhost_read16(&r->slot[old.slot].flags), old.wrap)) {
		*position = old;
		region->free_head = region->old_free_head;
	} else {
		*position = now;
	}
	return true;
}

static int count_packed(struct vhost_packed_region *region, unsigned size, struct left *left)
{
	uint16_t at = vhost_read16(&region->free_head);
	unsigned n = 0;

	for (unsigned i = 0; i < size && at < size; i++) {
		region->entry[at].inflight = 0;
		at = vhost_read16(&region->entry[at].next);
	}
	for (unsigned i = 0; i < size; i++)
		if (vhost_read8(&region->entry[i].inflight))
			left[n++] = (struct left){vhost_read64(&region->entry[i].counter), (uint16_t)i};
	qsort(left, n, sizeof(*left), by_counter);
	return (int)n;
}

/* In the standard's steps, since we may be killed too. */
static bool return_entry(struct vhost_ring *r, struct vhost_packed_region *region, uint16_t at,
	unsigned slots, struct vhost_position *position)
{
	const struct vhost_position next = vhost_packed_after(r, *position, slots);
	uint16_t last = vhost_read16(&region->entry[at].last);

	if (last > r->mask)
		return false;
	region->entry[last].next = region->free_head;
	region->free_head = at;
	region->used = next.slot;
	region->wrap = next.wrap;
	vhost_resume_empty(r, *position, slots, vhost_read16(&region->entry[last].id));
	region->entry[at].inflight = 0;
	region->old_free_head = region->free_head;
	region->old_used = next.slot;
	region->old_wrap = next.wrap;
	*position = next;
	return true;
}

int vhost_inflight_return_packed(
	struct vhost_ring *r, struct vhost_packed_region *region, struct vhost_position *position)
{
	const unsigned size = r->mask + 1u;
	struct left *left;
	unsigned room = size;
	int n;

	if (!vhost_read16(&region->version) || vhost_resume_marked(r) || !settle_packed(r, region, position))
		return 0;
	left = calloc(size, sizeof(*left));
	if (!left)
		return -ENOMEM;
	n = count_packed(region, size, left);
	for (int i = 0; i < n; i++) {
		unsigned slots = vhost_read16(&region->entry[left[i].at].slots);

		if (slots && slots <= room && return_entry(r, region, left[i].at, slots, position))
			room -= slots;
	}
	free(left);
	return 0;
}

void vhost_inflight_begin_split(const struct vhost_ring *r, struct vhost_split_region *region)
{
	region->features = 0;
	region->ring_size = r->mask + 1;
	region->used_idx = r->next_used;
	for (unsigned i = 0; i <= r->mask; i++)
		region->desc[i] = (struct vhost_split_desc){0};
	region->version = VERSION;
}

void vhost_inflight_begin_packed(const struct vhost_ring *r, struct vhost_packed_region *region)
{
	region->features = 0;
	region->ring_size = r->mask + 1;
	region->free_head = region->old_free_head = 0;
	region->used = region->old_used = r->next_used;
	region->wrap = region->old_wrap = r->used_wrap;
	for (unsigned i = 0; i <= r->mask; i++)
		region->entry[i] = (struct vhost_packed_entry){.next = (uint16_t)(i + 1)};
	region->version = VERSION;
}

void vhost_inflight_forget(const struct vhost_inflight *in, unsigned i)
{
	struct vhost_packed_region *packed = vhost_inflight_region(in, i, 0, true);
	struct vhost_split_region *split = vhost_inflight_region(in, i, 0, false);

	if (packed)
		packed->version = 0;
	if (split)
		split->version = 0;
}
