#include "dataplane/frame/burst.h"

/* Moves the header back to its first place when what is wanted does not fit behind it. */
static void make_room(struct frame *f, uint16_t want)
{
	if (f->hdr_off + want <= (int)sizeof(f->hdr))
		return;
	memmove(f->hdr + HDR_ROOM, frame_data(f), f->hdr_len);
	f->hdr_off = HDR_ROOM;
}

uint16_t frame_pull(struct frame *f, uint16_t want)
{
	/* the vector lies in a burst of this worker, which frames may shorten but otherwise only read */
	struct span *span = (struct span *)f->span;

	if (want > HDR_MAX)
		want = HDR_MAX;
	if (want > f->len)
		want = (uint16_t)f->len;
	if (f->hdr_len >= want)
		return f->hdr_len;
	make_room(f, want);
	while (f->hdr_len < want && f->nspan) {
		uint32_t n = want - f->hdr_len;

		if (n > span->len)
			n = span->len;
		memcpy(frame_data(f) + f->hdr_len, span->ptr, n);
		f->hdr_len += (uint16_t)n;
		span->ptr += n;
		span->len -= n;
		if (span->len == 0) {
			span++;
			f->nspan--;
		}
	}
	f->span = span;
	return f->hdr_len;
}

void frame_trim(struct frame *f, uint32_t len)
{
	struct span *span = (struct span *)f->span; /* as in frame_pull() */
	uint32_t excess = f->len - len;

	while (excess && f->nspan) {
		struct span *last = &span[f->nspan - 1];
		uint32_t cut = last->len < excess ? last->len : excess;

		last->len -= cut;
		excess -= cut;
		f->nspan -= last->len == 0;
	}
	f->hdr_len -= (uint16_t)excess;
	f->len = len;
}

void frame_copy(const struct frame *f, uint8_t *dst)
{
	memcpy(dst, f->hdr + f->hdr_off, f->hdr_len);
	dst += f->hdr_len;
	for (unsigned i = 0; i < f->nspan; i++) {
		memcpy(dst, f->span[i].ptr, f->span[i].len);
		dst += f->span[i].len;
	}
}
