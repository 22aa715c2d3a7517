/*
 * vxlan: port 0 is of an overlay network, port 1 the underlay that leads to the bench as the other host. The
 * inner frames are those of l2, between pairs of hosts in random order; what the switch wraps and unwraps is
 * checked with its outer headers.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/peer/peer.h"
#include "bench/run/measure.h"
#include "bench/traffic/arp.h"
#include "bench/traffic/generator.h"
#include "bench/traffic/overlay.h"
#include "bench/traffic/traffic.h"

enum { INSIDE, UNDERLAY }; /* the ports */

struct vxlan {
	struct generator g; /* first: what its functions are given */
	struct traffic traffic;
	struct overlay overlay;
};

static unsigned write_frames(struct generator *g, unsigned from, unsigned n)
{
	struct vxlan *v = (struct vxlan *)g;
	struct front_ring *r = g->tx[from];

	/* what changes lies in two lines of a frame with outer headers, and the switch has both */
	for (unsigned i = 0; from == UNDERLAY && i < n; i++) {
		__builtin_prefetch(front_tx_frame(r, i), 1);
		__builtin_prefetch(front_tx_frame(r, i) + OVERLAY_OUTER + TRAFFIC_HEAD - 1, 1);
	}
	for (unsigned i = 0; i < n; i++) {
		const struct traffic_frame *t = traffic_of_slot(&v->traffic, front_tx_descriptor(r, i));
		uint8_t *frame = front_tx_frame(r, i);
		uint32_t pair = generator_item(g, from);

		if (from == UNDERLAY) {
			overlay_write(&v->overlay, frame, t->length, pair);
			frame += OVERLAY_OUTER;
		}
		traffic_write(t, frame, from, pair, pair, g->from[from].sent++);
	}
	return n;
}

static void read_one(struct vxlan *v, unsigned at, const struct front_frame *frame)
{
	const uint8_t *inner = frame->data;
	uint32_t len = frame->len;
	bool ok = frame->buffers == 1;
	uint64_t seq;

	if (at == UNDERLAY && ok) {
		ok = overlay_read(&v->overlay, frame->data, len);
		inner += OVERLAY_OUTER;
		len -= OVERLAY_OUTER;
	}
	if (!ok || !traffic_read(&v->traffic, inner, len, at, &seq)) {
		if (at != UNDERLAY || !arp_take(v->g.tx[at], frame, overlay_host))
			generator_wrong(&v->g, at);
		return;
	}
	generator_count(&v->g, at, seq);
	if (generator_due(&v->g) && (!traffic_intact(&v->traffic, inner, len, !at) ||
					    (at == UNDERLAY && !overlay_udp_intact(frame->data, frame->len))))
		generator_wrong(&v->g, at);
}

static void read_frames(struct generator *g, unsigned at, const struct front_frame *frames, unsigned n)
{
	for (unsigned i = 0; at == UNDERLAY && i < n; i++)
		__builtin_prefetch(frames[i].data + OVERLAY_OUTER + TRAFFIC_HEAD - 1);
	for (unsigned i = 0; i < n; i++)
		read_one((struct vxlan *)g, at, &frames[i]);
}

static int take_variants(struct session *s, struct vxlan *v)
{
	static const struct {
		const char *name;
		bool silent[2];
	} variants[] = {
		{"encap", {[UNDERLAY] = true}},
		{"decap", {[INSIDE] = true}},
		{"both", {false}},
	};
	int rc = 0;

	for (unsigned i = 0; i < 3 && rc == 0; i++) {
		measure_variant(s, variants[i].name);
		memcpy(v->g.silent, variants[i].silent, sizeof(v->g.silent));
		for (unsigned k = 0; k < s->o->trials && rc == 0 && !atomic_load(s->stop); k++)
			rc = measure_throughput(s, &v->g);
	}
	return rc;
}

int vxlan_take(struct session *s)
{
	struct vxlan *v = aligned_alloc(_Alignof(struct vxlan), sizeof(*v));
	int rc = 0;

	if (!v)
		return -ENOMEM;
	for (unsigned i = 0; i < s->o->n_sizes && rc == 0 && !atomic_load(s->stop); i++) {
		memset(v, 0, sizeof(*v));
		generator_init(&v->g, s->fronts, s->o->window, s->stop);
		v->g.items = s->kind.count;
		v->g.write = write_frames;
		v->g.read = read_frames;
		s->kind.size = s->o->sizes[i];
		traffic_init(&v->traffic, s->kind.size);
		overlay_init(&v->overlay, s->peer->mac);
		traffic_fill(&v->traffic, v->g.tx[INSIDE], 0, INSIDE);
		traffic_fill(&v->traffic, v->g.tx[UNDERLAY], OVERLAY_OUTER, UNDERLAY);
		rc = measure_learn(s, &v->g);
		if (rc == 0)
			rc = take_variants(s, v);
	}
	free(v);
	return rc;
}
