#include "tests/unit/dataplane/vhost/rig.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static void ring_lay(struct rig *rig, struct guest_ring *g, uint64_t gpa)
{
	struct vhost_ring *r = aligned_alloc(64, sizeof(*r));

	memset(r, 0, sizeof(*r));
	g->desc = (struct vring_desc *)rig_at(rig, gpa);
	g->avail = (struct vring_avail *)rig_at(rig, gpa + 8192);
	g->used = (struct vring_used *)rig_at(rig, gpa + 16384);
	g->kick = eventfd(0, EFD_NONBLOCK);
	g->call = eventfd(0, EFD_NONBLOCK);
	r->desc = g->desc;
	r->avail = g->avail;
	r->used = g->used;
	r->mem = &rig->dev.mem;
	r->mask = RIG_SIZE - 1;
	r->hdr_len = VHOST_HDR;
	r->indirect = true;
	r->mergeable = true;
	r->rx_flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	r->tx_flags = VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID;
	r->gso_types =
		1 << VIRTIO_NET_HDR_GSO_NONE | 1 << VIRTIO_NET_HDR_GSO_TCPV4 | 1 << VIRTIO_NET_HDR_GSO_TCPV6;
	r->kick = g->kick;
	r->call = (struct vhost_call){g->call, VHOST_CALL_EVENTFD};
	g->ring = r;
}

static void memory_lay(struct rig *rig)
{
	for (unsigned i = 0; i < 2; i++) {
		struct vhost_region *region = &rig->dev.mem.region[i];

		/* pages that fault lie behind each region: a byte too far ends the test */
		rig->mem[i] = mmap(NULL, RIG_REGION + 4096, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		mprotect(rig->mem[i], RIG_REGION, PROT_READ | PROT_WRITE);
		*region = (struct vhost_region){
			.gpa = RIG_GPA + (uint64_t)i * RIG_REGION, .size = RIG_REGION, .host = rig->mem[i]};
	}
	rig->dev.mem.count = 2;
}

struct rig *rig_new(void)
{
	struct rig *rig = aligned_alloc(64, (sizeof(*rig) + 63) / 64 * 64);

	memset(rig, 0, sizeof(*rig));
	rig->dp.nworker = 1;
	rig->dp.worker[0] = &rig->w;
	rig->w.dp = &rig->dp;
	rig->w.port_stats = calloc(MAX_PORTS, sizeof(*rig->w.port_stats));
	if (notifier_new(&rig->w.notifier) < 0)
		rig->w.notifier = NULL; /* it writes then */
	rig->w.net_stats = calloc(MAX_NETS, sizeof(*rig->w.net_stats));
	rig->port =
		(struct port){.dp = &rig->dp, .priv = &rig->dev, .nqueue = 1, .mtu = 1500, .id = 3, .net = 5};
	memory_lay(rig);
	ring_lay(rig, &rig->rx, RIG_GPA);
	ring_lay(rig, &rig->tx, RIG_GPA + 32768);
	atomic_store(&rig->dev.queue[0].rx, rig->rx.ring);
	atomic_store(&rig->dev.queue[0].tx, rig->tx.ring);
	rig->dev.active = 1;
	return rig;
}

static void ring_free(struct guest_ring *g)
{
	close(g->kick);
	close(g->call);
	free(g->ring);
}

void rig_free(struct rig *rig)
{
	ring_free(&rig->rx);
	ring_free(&rig->tx);
	for (unsigned i = 0; i < 2; i++)
		munmap(rig->mem[i], RIG_REGION + 4096);
	notifier_free(rig->w.notifier);
	free(rig->w.port_stats);
	free(rig->w.net_stats);
	free(rig);
}

int rig_setup(void **state)
{
	*state = rig_new();
	return 0;
}

int rig_teardown(void **state)
{
	rig_free(*state);
	return 0;
}

uint8_t *rig_at(struct rig *rig, uint64_t gpa)
{
	uint64_t at = gpa - RIG_GPA;

	return rig->mem[at / RIG_REGION] + at % RIG_REGION;
}

void rig_desc(struct guest_ring *g, unsigned i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	g->desc[i] = (struct vring_desc){addr, len, flags, next};
}

void rig_offer(struct guest_ring *g, uint16_t head)
{
	g->avail->ring[g->avail->idx % RIG_SIZE] = head;
	g->avail->idx++;
}

uint16_t rig_used(const struct guest_ring *g)
{
	return g->used->idx;
}

uint16_t rig_rx(struct rig *rig)
{
	struct burst *b = &rig->w.burst;

	b->in = &rig->port;
	b->queue = 0;
	b->count = 0;
	b->nspan = 0;
	b->bytes = 0;
	return vhost_rx(&rig->port, &rig->w, b);
}

void rig_complete(struct rig *rig)
{
	vhost_complete(&rig->port, &rig->w, &rig->w.burst);
}

uint64_t rig_drops(const struct rig *rig, enum drop_reason reason)
{
	return rig->w.port_stats[rig->port.id].drop[reason];
}

uint64_t rig_all_drops(const struct rig *rig)
{
	uint64_t sum = 0;

	for (int i = 0; i < DROP_COUNT; i++)
		sum += rig_drops(rig, i);
	return sum;
}

uint64_t rig_signals(int fd)
{
	uint64_t n = 0;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

void rig_fill(uint8_t *dst, uint32_t len, uint8_t seed)
{
	for (uint32_t i = 0; i < len; i++)
		dst[i] = (uint8_t)(i * 31 + seed + (i >> 8));
}

uint32_t rig_write_frame(struct rig *rig, uint64_t gpa, uint32_t len, uint8_t seed)
{
	memset(rig_at(rig, gpa), 0, VHOST_HDR);
	rig_fill(rig_at(rig, gpa) + VHOST_HDR, len, seed);
	return VHOST_HDR + len;
}

unsigned rig_link(struct vring_desc *table, unsigned from, uint64_t gpa, uint32_t len, uint32_t step)
{
	unsigned n = 0;

	for (uint32_t at = 0; at < len; at += step, n++) {
		uint32_t part = len - at < step ? len - at : step;

		table[from + n] = (struct vring_desc){
			gpa + at, part, at + part < len ? VRING_DESC_F_NEXT : 0, (uint16_t)(from + n + 1)};
	}
	return n;
}

void rig_expect_frame(struct rig *rig, unsigned i, uint32_t len, uint8_t seed)
{
	static uint8_t want[FRAME_MAX], got[FRAME_MAX];
	const struct frame *f = &rig->w.burst.frame[i];

	assert_int_equal(f->len, len);
	assert_int_equal(f->hdr_len, len < HDR_COPY ? len : HDR_COPY);
	rig_fill(want, len, seed);
	frame_copy(f, got);
	assert_memory_equal(got, want, len);
}

void rig_expect_empty(const struct rig *rig, uint16_t at, uint16_t head)
{
	assert_int_equal(rig->rx.used->ring[at % RIG_SIZE].id, head);
	assert_int_equal(rig->rx.used->ring[at % RIG_SIZE].len, 0);
}
