/*
 * TCP segments of a burst, some of whose bytes are the input's, merged and cut again: every frame that went in comes out,
 * once, to the byte. Only the id of a packet with DF may be another.
 */
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/frame/offload.h"
#include "dataplane/frame/parse.h"
#include "dataplane/frame/tcp_gro.h"
#include "tests/unit/dataplane/frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SIX = 1, PARTIAL = 2, LONG_COPY = 4, PIECES = 8, OPTIONS = 16, FLOWS = 10, PAYLOAD = 600 };

static struct input {
	const uint8_t *data;
	size_t left;
} in;

static struct flat flat[BURST_MAX];
static bool seen[BURST_MAX];
static struct burst burst, cut;
static struct tcp_gro gro;
static uint32_t next[FLOWS]; /* sequence number and id of each connection's next segment */

static uint8_t take(void)
{
	if (!in.left)
		return 0;
	in.left--;
	return *in.data++;
}

/* The next segment of some connection; then some of its bytes are changed, with its checksums made right after that or not. */
static void make(struct flat *f, uint8_t way)
{
	struct recipe r = {
		way & SIX ? 6 : 4, IPPROTO_TCP, .tcp_options = way & OPTIONS ? 12 : 0, .tcp_flags = 0x10};
	uint8_t what = take(), changes = take(), flow = what % FLOWS;

	r.payload = what & 128 ? take() : PAYLOAD;
	flat_make(f, &r, way & PARTIAL);
	put16(f->data + f->l4, 1000 + flow);
	put32(f->data + f->l4 + 4, next[flow]);
	if (r.version == 4)
		put16(f->data + f->l3 + 4, next[flow] / PAYLOAD);
	next[flow] += r.payload;
	flat_finish(f, way & PARTIAL);
	for (unsigned i = 0; i < changes % 4; i++) {
		uint8_t at = take();

		if (at < f->len)
			f->data[at] ^= take();
	}
	if (changes & 4)
		flat_finish(f, way & PARTIAL);
}

/* Without what may be another: under DF the id, and a sum that somebody has yet to make right. */
static void forget(uint8_t *d, bool partial)
{
	if (get16(d + 12) == ETHERTYPE_IP4 && (d[20] & 0x40)) {
		memset(d + 18, 0, 2);
		memset(d + 24, 0, 2);
	}
	if (partial)
		memset(d + flat[0].l4 + 16, 0, 2);
}

/* It is one of those that went in, and the first of its like that has not come yet. */
static void must_be_one(const struct frame *f, unsigned n, bool partial)
{
	static uint8_t got[FRAME_MAX], was[FRAME_MAX];

	frame_copy(f, got);
	forget(got, partial);
	for (unsigned i = 0; i < n; i++) {
		if (seen[i] || flat[i].len != f->len)
			continue;
		memcpy(was, flat[i].data, f->len);
		forget(was, partial);
		if (memcmp(was, got, f->len) == 0) {
			seen[i] = true;
			return;
		}
	}
	abort();
}

static void check(struct frame *f, unsigned n, bool partial)
{
	uint32_t offset = 0;
	unsigned pieces = 0;

	if (!f->merged) {
		must_be_one(f, n, partial);
		return;
	}
	if (!offload_valid(f) || f->off.gso_type == VIRTIO_NET_HDR_GSO_NONE || f->len > FRAME_MAX)
		abort();
	while (offload_segment(f, &cut, &offset, partial) > 0)
		for (unsigned i = 0; i < cut.count; i++, pieces++)
			must_be_one(&cut.frame[i], n, partial);
	if (pieces != f->merged + 1u)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame *list[BURST_MAX];
	unsigned n = 0, left, frames = 0;
	uint8_t way;

	in = (struct input){data, size};
	way = take();
	memset(next, 0, sizeof(next));
	memset(seen, 0, sizeof(seen));
	burst.count = burst.nspan = gro.used = 0;
	for (; n < BURST_MAX && in.left; n++) {
		make(&flat[n], way);
		list[n] = split(&burst, flat[n].data, flat[n].len, way & LONG_COPY ? HDR_MAX : HDR_COPY,
			way & PIECES ? 200 : 0);
		if (way & PARTIAL) {
			ask(list[n], &flat[n], 0);
			if (!offload_valid(list[n])) /* no port would have let it in */
				break;
		}
	}
	left = tcp_gro_merge(&gro, list, (uint16_t)n, true, true);
	for (unsigned i = 0; i < left; i++) {
		frames += list[i]->merged + 1u;
		check(list[i], n, way & PARTIAL);
	}
	if (frames != n)
		abort();
	return 0;
}
