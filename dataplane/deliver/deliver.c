/*
 * deliver.c: the last stage. Frames are gathered by receiver, so that a port is written to once a burst; a
 * receiver that is full never holds the sender: its frames are tried once more after the burst's other ports,
 * then dropped.
 */
#include "dataplane/deliver/deliver.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <stdlib.h>

#include "dataplane/bfd/bfd.h"
#include "dataplane/core/dp.h"
#include "dataplane/deliver/flood_budget.h"
#include "dataplane/deliver/merge.h"
#include "dataplane/deliver/too_big.h"
#include "dataplane/deliver/transmit.h"
#include "dataplane/frame/offload.h"
#include "dataplane/frame/parse.h"
#include "dataplane/l2/network.h"
#include "dataplane/l2/policy/guard.h"
#include "dataplane/l2/policy/rate.h"
#include "dataplane/overlay/vxlan.h"

struct tx_batch {
	struct port *port; /* as it was found, for control may unpublish it before the burst ends */
	uint16_t count;
	uint16_t sent;	  /* dealt with so far */
	uint8_t requests; /* not 0: some frame asks for a checksum or segments */
	uint32_t lengths; /* of its frames, ored */
	struct frame *frame[BURST_MAX];
	uint8_t end; /* unused, as in struct burst */
};

/*
 * What goes to ports in this burst. A frame is posted at most once, and a batch is made by the first frame that
 * is put into it: so there are no more batches than frames, and no more frames in one.
 */
struct outbox {
	unsigned count;
	uint8_t slot[MAX_PORTS]; /* batch number + 1; 0: none in this burst */
	struct tx_batch batch[BURST_MAX];
	struct tcp_gro gro; /* of the frames in them */
};
static_assert(BURST_MAX < UINT8_MAX, "a batch's number + 1 fits a slot");

int outbox_new(struct worker *w)
{
	w->outbox = calloc(1, sizeof(*w->outbox));
	return w->outbox ? 0 : -ENOMEM;
}

void outbox_free(struct worker *w)
{
	free(w->outbox);
}

/* The longest frame that `port` takes, of the kind of `f`: a VLAN tag is not counted. */
static uint32_t longest_frame(const struct port *port, const struct frame *f)
{
	uint16_t type = load16(f->hdr + f->hdr_off + 12);
	bool tagged = type == ETHERTYPE_8021Q || type == ETHERTYPE_8021AD;

	return port->mtu + (uint32_t)ETH_LEN + (tagged ? VLAN_LEN : 0);
}

/* Is the port the uplink that a frame of a network leaves by for the world outside (egress.h)? What came from there is
 * routed too, and is not translated for the way back. */
static bool leaves_by(const struct burst *b, const struct port *port, const struct frame *f)
{
	return port && port->is_uplink && f->routed && !b->in->is_uplink;
}

/* Why `f` may not leave by `port`, DROP_COUNT when it may. Checked again here, so that isolation does not
 * rest on the fdb. */
static enum drop_reason refusal(const struct burst *b, const struct port *port, const struct frame *f)
{
	if (__builtin_expect(!port || port->net != f->net, 0) && !leaves_by(b, port, f))
		return DROP_WRONG_NETWORK;
	if (__builtin_expect(!atomic_load_explicit(&port->up, memory_order_relaxed), 0))
		return DROP_LINK_DOWN;
	/* a large frame counts by its segments */
	if (__builtin_expect(
		    f->len > port->mtu + (uint32_t)ETH_LEN && offload_wire_len(f) > longest_frame(port, f),
		    0))
		return DROP_MTU;
	return DROP_COUNT;
}

/* Counts what was refused: at the egress port if it is the frame's network's. */
static void refuse(struct worker *w, const struct burst *b, const struct port *port, const struct frame *f,
	enum drop_reason reason)
{
	port_drop(w, reason == DROP_WRONG_NETWORK ? b->in : port, f->net, reason);
}

/* Readies frames from `first` on for a port with these offloads. Returns the first that must go in segments,
 * or count. */
static uint16_t serve_requests(struct tx_batch *batch, uint16_t first, uint32_t offloads)
{
	for (uint16_t i = first; i < batch->count; i++) {
		struct frame *f = batch->frame[i];

		if (!f->off.flags && !f->off.gso_type)
			continue;
		if (transmit_wants_segments(f, offloads))
			return i;
		if ((f->off.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) && !(offloads & PORT_CSUM))
			offload_checksum(f);
	}
	return batch->count;
}

/* Is there perhaps something to merge for a port with these offloads? Short frames are left alone, and so are those for a
 * tunnel, and what is tried a second time: the first may have taken a part of it before the port said that it merges. */
static inline bool may_merge(const struct tx_batch *batch, uint32_t offloads)
{
	return batch->lengths >= TCP_GRO_MIN && batch->count > 1 && (offloads & PORT_MERGE) && !batch->sent;
}

static __attribute__((noinline)) void merge(struct tcp_gro *gro, struct tx_batch *batch, uint32_t offloads)
{
	uint16_t left = merge_for_port(gro, offloads, batch->frame, batch->count);

	if (left < batch->count)
		batch->requests = 1;
	batch->count = left;
	batch->lengths = 0; /* once is enough */
}

/* Sends batch->frame[sent..] as far as the receiver takes it. Returns whether all of it was dealt with. */
static bool transmit_batch(struct worker *w, struct port *port, struct tx_batch *batch)
{
	uint32_t offloads = transmit_offloads(port);

	while (batch->sent < batch->count) {
		uint16_t first = batch->sent, end = batch->count, done;

		if (__builtin_expect(batch->requests, 0))
			end = serve_requests(batch, first, offloads);
		if (end > first) {
			done = transmit_frames(w, port, batch->frame + first, end - first);
			batch->sent += done;
			if (done < end - first)
				return false;
		}
		if (end < batch->count) {
			transmit_segments(w, port, batch->frame[end], NULL);
			batch->sent++;
		}
	}
	return true;
}

static inline void put(struct tx_batch *batch, struct frame *f)
{
	/* NOLINTNEXTLINE: no frame has a length of 0, so none gets by a hop that has no batch */
	batch->requests |= f->off.flags | f->off.gso_type;
	batch->lengths |= f->len;
	batch->frame[batch->count++] = f;
}

/* Puts `f` into the batch for `port`, which it makes if it is the first. */
static struct tx_batch *post(struct outbox *box, struct port *port, struct frame *f)
{
	struct tx_batch *batch;

	if (!box->slot[port->id]) {
		assert(box->count < BURST_MAX);
		batch = &box->batch[box->count++];
		box->slot[port->id] = (uint8_t)box->count;
		batch->port = port;
		batch->count = 0;
		batch->sent = 0;
		batch->requests = 0;
		batch->lengths = 0;
	}
	batch = &box->batch[box->slot[port->id] - 1];
	assert(batch->count < BURST_MAX);
	put(batch, f);
	return batch;
}

/* Where the frame before went: as a rule the next one goes there too. One for ports, one for vteps. */
struct last_hop {
	uint16_t out, net;
	uint32_t longest;	 /* frames up to this length need no second look; 0: each needs one */
	struct tx_batch *batch;	 /* of that frame */
	const struct vtep *vtep; /* of those to a vtep */
};

/*
 * `f` was dropped as longer than `longest`: tells its sender, if that is possible. Not for flooded frames:
 * some other receiver may be the one that they are for.
 */
static void answer_too_big(struct worker *w, struct burst *b, struct frame *f, uint32_t longest)
{
	if (!too_big_answer(w, b, f, longest))
		return;
	stat_add(&w->net_stats[f->net].generated, 1);
	post(w->outbox, b->in, f);
}

/* The first frame to a port, or an odd one: its port is not ready, or it is long. */
static void post_first(struct worker *w, struct burst *b, struct frame *f, struct last_hop *hop)
{
	struct port *port = dp_get_port(w->dp, f->out);
	enum drop_reason reason = refusal(b, port, f);

	if (reason == DROP_COUNT) {
		hop->out = f->out;
		hop->net = f->net;
		hop->longest = port->mtu + (uint32_t)ETH_LEN;
		hop->batch = post(w->outbox, port, f);
		return;
	}
	refuse(w, b, port, f, reason);
	if (reason == DROP_MTU)
		answer_too_big(w, b, f, longest_frame(port, f));
}

static inline void post_port(struct worker *w, struct burst *b, struct frame *f, struct last_hop *hop)
{
	if (__builtin_expect(f->out == hop->out && f->net == hop->net && f->len <= hop->longest, 1))
		put(hop->batch, f);
	else
		post_first(w, b, f, hop);
}

static void post_reply(struct worker *w, struct burst *b, struct frame *f)
{
	if (f->net != NET_NONE) {
		stat_add(&w->net_stats[f->net].consumed, 1);
		stat_add(&w->net_stats[f->net].generated, 1);
	}
	post(w->outbox, b->in, f);
}

/* The longest frame that fits into the tunnel to `vtep` over `uplink`. */
static uint32_t longest_inner(const struct port *uplink, const struct vtep *vtep)
{
	return uplink->mtu + (uint32_t)ETH_LEN - vxlan_outer(vtep);
}

static struct port *uplink_of(struct worker *w, const struct vtep *vtep)
{
	return vtep ? dp_get_port(w->dp, vtep->uplink) : NULL;
}

/* Why `f` cannot go through `vtep` over `uplink`, DROP_COUNT when it can. */
static enum drop_reason tunnel_refusal(
	const struct worker *w, const struct vtep *vtep, const struct port *uplink, const struct frame *f)
{
	if (!vtep || vtep->net != f->net)
		return DROP_WRONG_NETWORK;
	if (!uplink)
		return DROP_NO_UPLINK;
	if (bfd_is_cut(w->dp, vtep->peer))
		return DROP_PEER_DOWN;
	if (!vtep->ready)
		return DROP_NEIGHBOUR;
	if (!atomic_load_explicit(&uplink->up, memory_order_relaxed))
		return DROP_LINK_DOWN;
	return offload_wire_len(f) > longest_inner(uplink, vtep) ? DROP_MTU : DROP_COUNT;
}

/* Readies `f` for a tunnel: the outer packet's receiver sees no offload request. False: it went in segments.
 */
static bool finish_for_tunnel(struct worker *w, struct port *uplink, struct frame *f, const struct vtep *vtep)
{
	if (__builtin_expect(f->off.gso_type != VIRTIO_NET_HDR_GSO_NONE, 0)) {
		transmit_segments(w, uplink, f, vtep);
		return false;
	}
	if (f->off.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		offload_checksum(f);
	f->off = (struct offload){0};
	return true;
}

/* The request is the inner packet's still. */
static void shift_request(struct frame *f, uint16_t by)
{
	f->off.hdr_len += by;
	f->off.csum_start += by;
}

/* The first frame to a vtep, or an odd one: its tunnel is not ready, or it asks for something, or it is long. */
static void post_vtep_first(struct worker *w, struct burst *b, struct frame *f, struct last_hop *hop)
{
	const struct vtep *vtep = dp_get_vtep(w->dp, f->out);
	struct port *uplink = uplink_of(w, vtep);
	enum drop_reason reason = tunnel_refusal(w, vtep, uplink, f);

	if (reason != DROP_COUNT) {
		port_drop_frame(w, uplink ? uplink : b->in, f, reason);
		if (reason == DROP_MTU)
			answer_too_big(w, b, f, longest_inner(uplink, vtep));
	} else if (merge_takes_large(uplink, f, vtep)) {
		shift_request(f, vxlan_outer(vtep));
		vxlan_encap(f, vtep);
		post(w->outbox, uplink, f);
	} else if (finish_for_tunnel(w, uplink, f, vtep)) {
		hop->out = f->out;
		hop->net = f->net;
		hop->vtep = vtep;
		hop->longest = longest_inner(uplink, vtep);
		vxlan_encap(f, vtep);
		hop->batch = post(w->outbox, uplink, f);
	}
}

static __attribute__((noinline)) void post_vtep(
	struct worker *w, struct burst *b, struct frame *f, struct last_hop *hop)
{
	if (__builtin_expect(f->out == hop->out && f->net == hop->net && f->len <= hop->longest &&
				     !(f->off.flags | f->off.gso_type),
		    1)) {
		vxlan_encap(f, hop->vtep);
		put(hop->batch, f);
	} else {
		post_vtep_first(w, b, f, hop);
	}
}

static void limit_batch(struct worker *w, struct tx_batch *batch)
{
	batch->count = rate_limit_out(w, batch->port, batch->frame, batch->count);
}

/* Delivers what the batches hold; those whose receiver is full get a second try when all have had their
 * first. */
static void empty_outbox(struct worker *w)
{
	struct outbox *box = w->outbox;

	for (unsigned i = 0; i < box->count; i++)
		if (port_bounds(box->batch[i].port, RATE_OUT))
			limit_batch(w, &box->batch[i]);
	for (int try = 0; try < 2; try++)
		for (unsigned i = 0; i < box->count; i++) {
			struct tx_batch *batch = &box->batch[i];

			if (batch->sent == batch->count)
				continue;
			if (may_merge(batch, transmit_offloads(batch->port)))
				merge(&box->gro, batch, transmit_offloads(batch->port));
			transmit_batch(w, batch->port, batch);
		}
	for (unsigned i = 0; i < box->count; i++) {
		struct tx_batch *batch = &box->batch[i];

		for (; __builtin_expect(batch->sent < batch->count, 0); batch->sent++)
			port_drop_frame(w, batch->port, batch->frame[batch->sent], DROP_RING_FULL);
		box->slot[batch->port->id] = 0;
	}
	box->count = 0;
	box->gro.used = 0;
}

/* Copies of n frames of one network to a port. */
static void flood_port(struct worker *w, struct burst *b, uint16_t id, struct frame **frames, unsigned n)
{
	struct port *port = dp_get_port(w->dp, id);
	struct tx_batch batch = {.port = port};

	assert(n <= BURST_MAX);
	for (unsigned i = 0; i < n; i++) {
		enum drop_reason reason = refusal(b, port, frames[i]);

		if (reason == DROP_COUNT)
			put(&batch, frames[i]);
		else
			refuse(w, b, port, frames[i], reason);
	}
	if (batch.count && port_bounds(port, RATE_OUT))
		limit_batch(w, &batch);
	if (batch.count && !transmit_batch(w, port, &batch) && !transmit_batch(w, port, &batch))
		for (; batch.sent < batch.count; batch.sent++)
			port_drop(w, port, batch.frame[batch.sent]->net, DROP_RING_FULL);
}

/* Copies to a vtep: the outer header is put on for the moment of sending only. */
static void flood_vtep(struct worker *w, struct burst *b, uint16_t id, struct frame **frames, unsigned n)
{
	const struct vtep *vtep = dp_get_vtep(w->dp, id);
	struct port *uplink = uplink_of(w, vtep);

	for (unsigned i = 0; i < n; i++) {
		struct frame *f = frames[i];
		enum drop_reason reason = tunnel_refusal(w, vtep, uplink, f);
		uint16_t sent = 0;

		if (reason != DROP_COUNT)
			port_drop(w, uplink ? uplink : b->in, f->net, reason);
		if (reason != DROP_COUNT || !finish_for_tunnel(w, uplink, f, vtep))
			continue;
		vxlan_encap(f, vtep);
		transmit_finish(uplink, f);
		for (int try = 0; try < 2 && !sent; try++)
			sent = transmit_frames(w, uplink, &f, 1);
		if (!sent)
			port_drop(w, uplink, f->net, DROP_RING_FULL);
		vxlan_unencap(f, vtep);
	}
}

/* Floods to port `id`. One that is down costs the sender nothing of its budget. */
static void flood_to_port(struct worker *w, struct burst *b, uint16_t id, struct frame **frames, unsigned n)
{
	const struct port *port = dp_get_port(w->dp, id);
	bool up = port && atomic_load_explicit(&port->up, memory_order_relaxed);

	flood_port(w, b, id, frames, up ? flood_budget_spend(w, b, frames, n) : n);
}

/* The same through vtep `id`, by its uplink. */
static void flood_to_vtep(struct worker *w, struct burst *b, uint16_t id, struct frame **frames, unsigned n)
{
	const struct port *uplink = uplink_of(w, dp_get_vtep(w->dp, id));
	bool up = uplink && atomic_load_explicit(&uplink->up, memory_order_relaxed);

	flood_vtep(w, b, id, frames, up ? flood_budget_spend(w, b, frames, n) : n);
}

/* Is it at a host that is dead? Then no copy is made for it. */
static bool vtep_is_cut(struct worker *w, uint16_t id)
{
	const struct vtep *vtep = dp_get_vtep(w->dp, id);

	return vtep && bfd_is_cut(w->dp, vtep->peer);
}

/* Those of n frames that port `id` may be sent, into taken[]; their bits into *reached. Returns how many. */
static unsigned choose_for(struct worker *w, uint16_t id, struct frame **frames, unsigned n,
	struct frame **taken, uint32_t *reached)
{
	const struct port *port = dp_get_port(w->dp, id);
	unsigned count = 0;

	for (unsigned i = 0; i < n; i++) {
		if (port && !guard_takes(port, frames[i]))
			continue;
		*reached |= 1u << i;
		taken[count++] = frames[i];
	}
	return count;
}
static_assert(BURST_MAX <= 32, "a bit of each frame");

/*
 * Does it stay on this host? Vteps are a full mesh, so what came through one has reached the others; and the router MAC,
 * which a routed frame bears, is every host's own.
 */
static bool stays_here(const struct burst *b, const struct frame *f)
{
	return f->src_vtep != VTEP_NONE || f->routed || b->in->is_gateway;
}

/* Floods n frames of one network, of which all stay on this host or none: from the same borrowed payload to every
 * receiver. */
static void flood(
	struct worker *w, struct burst *b, const struct network *net, struct frame **frames, unsigned n)
{
	bool stays = net->mode == DP_HOST || stays_here(b, frames[0]); /* known.h: hosts have ranges */
	unsigned nvtep = stays ? 0 : net->nvtep, copies = 0, cut = 0;
	uint32_t reached = 0;

	for (unsigned i = 0; i < net->nport; i++) {
		struct frame *taken[BURST_MAX];
		unsigned count;

		if (net->port[i] == b->in->id)
			continue;
		count = choose_for(w, net->port[i], frames, n, taken, &reached);
		copies += count;
		flood_to_port(w, b, net->port[i], taken, count);
	}
	/* last: sending through a tunnel completes checksums, which receivers above may have been spared */
	for (unsigned i = 0; i < nvtep; i++) {
		if (vtep_is_cut(w, net->vtep[i])) {
			cut++;
			continue;
		}
		reached = UINT32_MAX;
		copies += n;
		flood_to_vtep(w, b, net->vtep[i], frames, n);
	}
	for (unsigned i = 0; i < n; i++)
		if (reached & 1u << i)
			copies--;
		else
			port_drop(w, b->in, frames[i]->net, cut ? DROP_PEER_DOWN : DROP_NO_RECEIVER);
	stat_add(&w->net_stats[net->id].copies, copies);
}

static void flood_all(struct worker *w, struct burst *b, struct frame **frames, unsigned n)
{
	for (unsigned first = 0, last; first < n; first = last) {
		uint16_t id = frames[first]->net;
		bool stays = stays_here(b, frames[first]);
		const struct network *net = dp_get_net(w->dp, id);

		for (last = first;
			last < n && frames[last]->net == id && stays_here(b, frames[last]) == stays; last++)
			if (!net)
				port_drop(w, b->in, id, DROP_WRONG_NETWORK);
		if (net)
			flood(w, b, net, frames + first, last - first);
	}
}

void deliver_stage(struct worker *w, struct burst *b)
{
	struct frame *flooded[BURST_MAX];
	struct last_hop hop = {0}, tunnel = hop; /* a length of 0 admits no frame */
	unsigned nflood = 0;

	if (__builtin_expect(merge_may_for_tunnels(b), 0))
		merge_for_tunnels(w, b, &w->outbox->gro);
	for (unsigned i = 0; i < b->count; i++) {
		struct frame *f = &b->frame[i];

		switch (f->verdict) {
		case V_PORT:
			post_port(w, b, f, &hop);
			break;
		case V_VTEP:
			post_vtep(w, b, f, &tunnel);
			break;
		case V_FLOOD:
			flooded[nflood++] = f;
			break;
		case V_REPLY:
			post_reply(w, b, f);
			break;
		case V_REFUSE:
			port_drop(w, b->in, f->net, f->reason);
			stat_add(&w->net_stats[f->net].generated, 1);
			post(w->outbox, b->in, f);
			break;
		case V_MERGED:
			break;
		case V_CONSUMED:
			if (f->net != NET_NONE)
				stat_add(&w->net_stats[f->net].consumed, 1);
			break;
		default:
			port_drop(w, b->in, f->net, f->reason);
		}
	}
	empty_outbox(w);
	if (nflood && port_bounds(b->in, RATE_STORM))
		nflood = rate_limit_storm(w, b->in, flooded, nflood);
	if (nflood)
		flood_all(w, b, flooded, nflood);
}
