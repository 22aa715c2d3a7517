#include "bench/front/ring.h"

#include <string.h>

#include "bench/front/front.h"
#include "bench/front/packed.h"

enum { LINE = 64, PART_ALIGN = 128 };

static size_t round_up(size_t value, size_t to)
{
	return (value + to - 1) / to * to;
}

static uint32_t stride_of(unsigned buffer_size)
{
	uint32_t lines = (uint32_t)(FRONT_HEADROOM + round_up(buffer_size, LINE)) / LINE;

	return (lines | 1) * LINE;
}

/*
 * The three parts of a ring follow each other; each ends with a 16-bit event index (virtio 1.1, 2.6.2). A
 * packed ring's descriptors take as much as a split one's, and its two event structures a line each where
 * `used` is.
 */
static size_t desc_bytes(unsigned size)
{
	return round_up(sizeof(struct vring_desc) * size, PART_ALIGN);
}

static size_t avail_bytes(unsigned size)
{
	return round_up(sizeof(struct vring_avail) + sizeof(uint16_t) * (size + 1), PART_ALIGN);
}

static size_t used_bytes(unsigned size)
{
	return round_up(sizeof(struct vring_used) + sizeof(struct vring_used_elem) * size + sizeof(uint16_t),
		PART_ALIGN);
}

size_t front_ring_bytes(unsigned size, unsigned buffer_size)
{
	size_t buffers = round_up((size_t)stride_of(buffer_size) * size, PART_ALIGN);

	return desc_bytes(size) + avail_bytes(size) + used_bytes(size) + buffers;
}

void front_ring_layout(struct front_ring *r, uint8_t *base, unsigned size, unsigned buffer_size)
{
	*r = (struct front_ring){
		.desc = (void *)base,
		.avail = (void *)(base + desc_bytes(size)),
		.used = (void *)(base + desc_bytes(size) + avail_bytes(size)),
		.buffers = base + desc_bytes(size) + avail_bytes(size) + used_bytes(size),
		.stride = stride_of(buffer_size),
		.buffer_size = buffer_size,
		.size = (uint16_t)size,
		.mask = (uint16_t)(size - 1),
		.kick = -1,
		.call = -1,
	};
}

static void reset_split(struct front_ring *r)
{
	for (uint16_t i = 0; i < r->size; i++)
		r->desc[i] = (struct vring_desc){
			.addr = r->first_header + (uint64_t)i * r->stride,
			.len = FRONT_HDR + r->buffer_size,
			.flags = r->receives ? VRING_DESC_F_WRITE : 0,
		};
	r->posted = r->receives ? r->size : 0;
	__atomic_store_n(&r->avail->idx, r->posted, __ATOMIC_RELEASE);
}

static void reset_packed(struct front_ring *r)
{
	memset(r->slot, 0, sizeof(*r->slot) * r->size);
	r->event = (void *)r->used;
	r->backend_event = (void *)((uint8_t *)r->used + LINE);
	r->posted = 0;
	if (r->receives)
		front_packed_post(r, r->size);
}

void front_ring_reset(
	struct front_ring *r, const uint8_t *base, uint64_t gpa, bool receives, bool event_idx, bool packed)
{
	r->seen = 0;
	r->packed = packed;
	r->receives = receives;
	r->event_idx = event_idx && !packed;
	r->first_header = gpa + (uint64_t)(r->buffers + FRONT_HEADROOM - FRONT_HDR - base);
	memset(r->used, 0, used_bytes(r->size));
	for (uint16_t i = 0; i < r->size; i++) {
		memset(front_ring_buffer(r, i) + FRONT_HEADROOM - FRONT_HDR, 0, FRONT_HDR);
		r->avail->ring[i] = i;
	}
	if (packed)
		reset_packed(r);
	else
		reset_split(r);
	front_ring_interrupts(r, false);
}

void front_ring_move(struct front_ring *r, uint8_t *buffers, uint64_t gpa)
{
	r->buffers = buffers;
	r->first_header = gpa + FRONT_HEADROOM - FRONT_HDR;
	for (uint16_t i = 0; i < r->size && !r->packed; i++)
		r->desc[i].addr = r->first_header + (uint64_t)i * r->stride;
}

void front_ring_interrupts(struct front_ring *r, bool on)
{
	/* An event index behind what we have seen is never passed, one equal to it is passed by the next
	 * entry. */
	if (r->packed)
		r->event->flags = on ? VRING_PACKED_EVENT_FLAG_ENABLE : VRING_PACKED_EVENT_FLAG_DISABLE;
	else if (r->event_idx)
		r->avail->ring[r->size] = on ? r->seen : (uint16_t)(r->seen - 1);
	else
		r->avail->flags = on ? 0 : VRING_AVAIL_F_NO_INTERRUPT;
	atomic_thread_fence(memory_order_seq_cst);
}

static uint64_t second_word(const struct front_ring *r, uint16_t pos, uint16_t buffer)
{
	uint16_t flags = front_packed_wrap(r, pos) ? FRONT_PACKED_AVAIL : FRONT_PACKED_USED;
	uint32_t len = r->receives ? FRONT_HDR + r->buffer_size : *front_ring_length(r, buffer);

	if (r->receives)
		flags |= VRING_DESC_F_WRITE;
	return (uint64_t)flags << 48 | (uint64_t)buffer << 32 | len;
}

/* The back-end looks at the first of them first, and sees none of the others before it. */
void front_packed_post(struct front_ring *r, uint16_t n)
{
	uint16_t first = r->posted;

	for (uint16_t i = n; i-- > 0;) {
		uint16_t pos = (uint16_t)(first + i), buffer = r->avail->ring[pos & r->mask];
		struct vring_packed_desc *slot = &r->slot[pos & r->mask];
		uint64_t address = r->first_header + (uint64_t)buffer * r->stride;

		if (slot->addr != address)
			slot->addr = address;
		__atomic_store_n((uint64_t *)&slot->len, second_word(r, pos, buffer),
			i ? __ATOMIC_RELAXED : __ATOMIC_RELEASE);
	}
	r->posted = (uint16_t)(first + n);
}
