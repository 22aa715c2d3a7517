/*
 * vxlan: port 0 is of an overlay network, port 1 the underlay that leads to the bench as the other host. The
 * inner frames are those of l2, between pairs of hosts in random order; what the switch wraps and unwraps is
 * checked with its outer headers.
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/peer/peer.h"
#include "bench/run/measure.h"
#include "bench/traffic/arp.h"
#include "bench/traffic/exchange.h"
#include "bench/traffic/overlay.h"
#include "bench/traffic/traffic.h"

enum { INSIDE, UNDERLAY }; /* the ports */

#define LEARN_S 10.0

struct vxlan {
	struct exchange x; /* first: what its functions are given */
	struct traffic traffic;
	struct overlay overlay;
};

static void write_frames(struct exchange *x, unsigned from, unsigned n)
{
	struct vxlan *v = (struct vxlan *)x;
	struct front_ring *r = x->tx[from];

	/* what changes lies in two lines of a frame with outer headers, and the switch has both */
	for (unsigned i = 0; from == UNDERLAY && i < n; i++) {
		__builtin_prefetch(front_tx_frame(r, i), 1);
		__builtin_prefetch(front_tx_frame(r, i) + OVERLAY_OUTER + TRAFFIC_HEAD - 1, 1);
	}
	for (unsigned i = 0; i < n; i++) {
		const struct traffic_frame *t = traffic_of_slot(&v->traffic, front_tx_descriptor(r, i));
		uint8_t *frame = front_tx_frame(r, i);
		uint32_t pair = exchange_item(x, from);

		if (from == UNDERLAY) {
			overlay_write(&v->overlay, frame, t->length, pair);
			frame += OVERLAY_OUTER;
		}
		traffic_write(t, frame, from, pair, pair, x->from[from].sent++);
	}
	front_tx_publish(r, n);
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
		if (at != UNDERLAY || !arp_take(v->x.tx[at], frame, overlay_host))
			exchange_wrong(&v->x, at);
		return;
	}
	exchange_count(&v->x, at, seq);
	if (exchange_due(&v->x) && (!traffic_intact(&v->traffic, inner, len, !at) ||
					   (at == UNDERLAY && !overlay_udp_intact(frame->data, frame->len))))
		exchange_wrong(&v->x, at);
}

static void read_frames(struct exchange *x, unsigned at, const struct front_frame *frames, unsigned n)
{
	for (unsigned i = 0; at == UNDERLAY && i < n; i++)
		__builtin_prefetch(frames[i].data + OVERLAY_OUTER + TRAFFIC_HEAD - 1);
	for (unsigned i = 0; i < n; i++)
		read_one((struct vxlan *)x, at, &frames[i]);
}

/* Every slot has its frame's pattern and length from the start. */
static void fill_slots(struct vxlan *v, unsigned from)
{
	struct front_ring *r = v->x.tx[from];
	uint32_t outer = from == UNDERLAY ? OVERLAY_OUTER : 0;

	for (uint16_t i = 0; i < r->size; i++) {
		const struct traffic_frame *t = traffic_of_slot(&v->traffic, i);

		memcpy(front_ring_buffer(r, i) + FRONT_HEADROOM + outer, t->whole[from], t->length);
		*front_ring_length(r, i) = FRONT_HDR + outer + t->length;
	}
}

static void run(void *arg, double seconds, struct generator_result *result)
{
	exchange_run(arg, seconds, result);
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
		snprintf(s->kind.variant, sizeof(s->kind.variant), "%s", variants[i].name);
		memcpy(v->x.silent, variants[i].silent, sizeof(v->x.silent));
		for (unsigned k = 0; k < s->o->trials && rc == 0 && !atomic_load(s->stop); k++) {
			struct trial t;

			measure_warm_up_with(s, run, &v->x);
			measure_trial(s, run, &v->x, &t);
			rc = atomic_load(s->stop) ? 0 : report_add(s->report, &t);
		}
	}
	return rc;
}

static int learn(struct session *s, struct vxlan *v)
{
	double patience = LEARN_S + v->x.items * 20e-6;

	/* Twice each, as what was flooded on the way to an unknown address is then sent to a known one. */
	for (unsigned round = 0; round < 4; round++) {
		int rc = exchange_each(&v->x, round % 2, 0, v->x.items, patience);

		if (rc < 0) {
			if (!atomic_load(s->stop))
				warnx("%s: it does not deliver every frame %s the underlay, even at a slow "
				      "pace",
					s->peer->name, round % 2 ? "from" : "to");
			return rc;
		}
	}
	return 0;
}

int vxlan_take(struct session *s)
{
	struct vxlan *v = aligned_alloc(_Alignof(struct vxlan), sizeof(*v));
	int rc = 0;

	if (!v)
		return -ENOMEM;
	for (unsigned i = 0; i < s->o->n_sizes && rc == 0 && !atomic_load(s->stop); i++) {
		memset(v, 0, sizeof(*v));
		exchange_init(&v->x, s->fronts, s->o->window, s->stop);
		v->x.items = s->kind.count;
		v->x.write = write_frames;
		v->x.read = read_frames;
		s->kind.size = s->o->sizes[i];
		traffic_init(&v->traffic, s->kind.size, s->kind.count);
		overlay_init(&v->overlay, s->peer->mac);
		fill_slots(v, INSIDE);
		fill_slots(v, UNDERLAY);
		rc = learn(s, v);
		if (rc == 0)
			rc = take_variants(s, v);
	}
	free(v);
	return rc;
}
