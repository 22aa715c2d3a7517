/*
 * vxlan: port 0 is of an overlay network, port 1 the underlay that leads to the bench as the other host. The
 * inner frames are those of l2, between pairs of hosts in random order; what the switch wraps and unwraps is
 * checked with its outer headers. vxlan-ipv6 has three such pairs of ports, each of an overlay of its own: IPv4 in IPv4,
 * IPv6 in IPv6, and the same without checksums of the outer UDP.
 */
#include <errno.h>
#include <stdio.h>
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

/* Frames on their way. */
static const struct {
	const char *name;
	bool silent[2];
} ways[] = {
	{"encap", {[UNDERLAY] = true}},
	{"decap", {[INSIDE] = true}},
	{"both", {false}},
};

enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

/* The overlays, each with two ports; what its trials are called is put around the way's name. */
struct kind_of {
	const char *before, *after;
	enum overlay_kind kind;
};

static unsigned write_frames(struct generator *g, unsigned from, unsigned n)
{
	struct vxlan *v = (struct vxlan *)g;
	struct front_ring *r = g->tx[from];

	/* what changes lies in two lines of a frame with outer headers, and the switch has both */
	for (unsigned i = 0; from == UNDERLAY && i < n; i++) {
		__builtin_prefetch(front_tx_frame(r, i), 1);
		__builtin_prefetch(front_tx_frame(r, i) + v->overlay.outer + TRAFFIC_HEAD - 1, 1);
	}
	for (unsigned i = 0; i < n; i++) {
		const struct traffic_frame *t = traffic_of_slot(&v->traffic, front_tx_descriptor(r, i));
		uint8_t *frame = front_tx_frame(r, i);
		uint32_t pair = generator_item(g, from);

		if (from == UNDERLAY) {
			overlay_write(&v->overlay, frame, t->length, pair, traffic_sum6(t, from, pair, pair));
			frame += v->overlay.outer;
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
		inner += v->overlay.outer;
		len -= v->overlay.outer;
	}
	if (!ok || !traffic_read(&v->traffic, inner, len, at, &seq)) {
		if (at != UNDERLAY || !arp_take(v->g.tx[at], frame, overlay_host))
			generator_wrong(&v->g, at);
		return;
	}
	generator_count(&v->g, at, seq);
	if (generator_due(&v->g) &&
		(!traffic_intact(&v->traffic, inner, len, !at) ||
			(at == UNDERLAY && !overlay_udp_intact(&v->overlay, frame->data, frame->len))))
		generator_wrong(&v->g, at);
}

static void read_frames(struct generator *g, unsigned at, const struct front_frame *frames, unsigned n)
{
	struct vxlan *v = (struct vxlan *)g;

	for (unsigned i = 0; at == UNDERLAY && i < n; i++)
		__builtin_prefetch(frames[i].data + v->overlay.outer + TRAFFIC_HEAD - 1);
	for (unsigned i = 0; i < n; i++)
		read_one(v, at, &frames[i]);
}

static int take_ways(struct session *s, struct vxlan *v, const struct kind_of *kind)
{
	int rc = 0;

	for (unsigned i = 0; i < WAYS && rc == 0; i++) {
		char name[KIND_VARIANT];

		snprintf(name, sizeof(name), "%s%s%s", kind->before, ways[i].name, kind->after);
		measure_variant(s, name);
		memcpy(v->g.silent, ways[i].silent, sizeof(v->g.silent));
		for (unsigned k = 0; k < s->o->trials && rc == 0 && !atomic_load(s->stop); k++)
			rc = measure_throughput(s, &v->g);
	}
	return rc;
}

/* Overlay `n` with frames of one size. */
static int take_overlay(struct session *s, struct vxlan *v, const struct kind_of *kind, unsigned n)
{
	int rc;

	memset(v, 0, sizeof(*v));
	generator_init(&v->g, s->fronts + 2 * (size_t)n, s->o->window, s->stop);
	v->g.items = s->kind.count;
	v->g.write = write_frames;
	v->g.read = read_frames;
	traffic_init(&v->traffic, s->kind.size, kind->kind != OVERLAY_IPV4);
	overlay_init(&v->overlay, kind->kind, n, s->peer->mac);
	traffic_fill(&v->traffic, v->g.tx[INSIDE], 0, INSIDE);
	traffic_fill(&v->traffic, v->g.tx[UNDERLAY], v->overlay.outer, UNDERLAY);
	rc = measure_learn(s, &v->g);
	return rc == 0 ? take_ways(s, v, kind) : rc;
}

static int take(struct session *s, const struct kind_of *kinds, unsigned n)
{
	struct vxlan *v = aligned_alloc(_Alignof(struct vxlan), sizeof(*v));
	int rc = v ? 0 : -ENOMEM;

	for (unsigned i = 0; i < s->o->n_sizes && rc == 0; i++) {
		s->kind.size = s->o->sizes[i];
		for (unsigned k = 0; k < n && rc == 0 && !atomic_load(s->stop); k++)
			rc = take_overlay(s, v, &kinds[k], k);
	}
	free(v);
	return rc;
}

int vxlan_take(struct session *s)
{
	static const struct kind_of kinds[] = {{"", "", OVERLAY_IPV4}};

	return take(s, kinds, 1);
}

int vxlan_ipv6_take(struct session *s)
{
	static const struct kind_of kinds[] = {{"ipv4 ", "", OVERLAY_IPV4}, {"ipv6 ", "", OVERLAY_IPV6},
		{"ipv6 ", ", no sum", OVERLAY_IPV6_NO_SUM}};

	return take(s, kinds, sizeof(kinds) / sizeof(kinds[0]));
}
