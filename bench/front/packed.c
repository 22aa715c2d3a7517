#include "bench/front/packed.h"

#include "bench/front/front.h"

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
