#include "dataplane/deliver/transmit.h"

#include <linux/virtio_net.h>

#include "dataplane/core/dp.h"
#include "dataplane/deliver/budget.h"
#include "dataplane/frame/offload.h"
#include "dataplane/frame/udp_gso.h"
#include "dataplane/overlay/vxlan.h"

bool transmit_wants_segments(const struct frame *f, uint32_t offloads)
{
	switch (f->off.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return false;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return !(offloads & PORT_TSO4);
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return !(offloads & PORT_TSO6);
	default: /* large UDP */
		return !(offloads & PORT_USO);
	}
}

void transmit_finish(const struct port *port, struct frame *f)
{
	if ((f->off.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) && !(transmit_offloads(port) & PORT_CSUM))
		offload_checksum(f);
}

/* Frames that left by an uplink count for their networks: as a rule one after the other for the same. */
static void count_networks(struct worker *w, struct frame *const *frames, uint16_t n)
{
	uint16_t first = 0;

	for (uint16_t i = 1; i <= n; i++) {
		if (i < n && frames[i]->net == frames[first]->net)
			continue;
		if (frames[first]->net != NET_NONE)
			stat_add(&w->net_stats[frames[first]->net].tx, i - first);
		first = i;
	}
}

/* Merged frames count as those that they were made of: what else there is to count for them. */
static void count_merged(struct worker *w, const struct port *port, struct frame *const *frames, uint16_t n)
{
	for (unsigned i = 0; i < n; i++)
		port_sent(
			w, port, frames[i]->net, frames[i]->merged, frame_bytes(frames[i]) - frames[i]->len);
}

uint16_t transmit_now(struct worker *w, struct port *port, struct frame *const *frames, uint16_t n)
{
	uint16_t done = port->ops->tx(port, w, frames, n);
	uint64_t bytes = 0;
	unsigned merged = 0;

	for (unsigned i = 0; i < done; i++) {
		bytes += frames[i]->len;
		merged += frames[i]->merged;
	}
	if (__builtin_expect(merged, 0))
		count_merged(w, port, frames, done);
	if (port->is_uplink)
		count_networks(w, frames, done);
	port_sent(w, port, port->net, done, bytes);
	return done;
}

uint16_t transmit_frames(struct worker *w, struct port *port, struct frame *const *frames, uint16_t n)
{
	return __builtin_expect(w->watching, 0) ? budget_transmit(w, port, frames, n)
						: transmit_now(w, port, frames, n);
}

/* Sends n segments; those that do not fit are dropped as ring-full. Returns how many frames they became. */
static uint32_t transmit_cut(struct worker *w, struct port *port, struct frame *const *list, uint16_t n)
{
	for (unsigned i = 0; i < n; i++)
		transmit_finish(port, list[i]);
	for (unsigned i = transmit_frames(w, port, list, n); i < n; i++)
		port_drop(w, port, list[i]->net, DROP_RING_FULL);
	return n;
}

/* The same for encapsulated segments, in as few frames as the port takes. */
static uint32_t transmit_coalesced(struct worker *w, struct port *port, struct frame *const *list, uint16_t n)
{
	struct frame *large = &w->gso->frame;
	uint32_t made = 0;

	while (n > 0) {
		unsigned segments =
			transmit_offloads(port) & PORT_USO ? udp_gso_coalesce(w->gso, list, n) : 0;

		if (segments < 2)
			return made + transmit_cut(w, port, list, n);
		if (!transmit_frames(w, port, &large, 1)) {
			if (!(transmit_offloads(port) & PORT_USO))
				continue; /* it turned out that it does not: one by one then */
			port_drop(w, port, large->net, DROP_RING_FULL);
		}
		made++;
		list += segments;
		n -= (uint16_t)segments;
	}
	return made;
}

void transmit_segments(struct worker *w, struct port *port, struct frame *f, const struct vtep *vtep)
{
	bool keep_csum = !vtep && (transmit_offloads(port) & PORT_CSUM);
	struct frame *list[BURST_MAX];
	uint32_t offset = 0, copies = 0;
	uint16_t n;

	while ((n = offload_segment(f, &w->segments, &offset, keep_csum)) > 0) {
		for (unsigned i = 0; i < n; i++) {
			list[i] = &w->segments.frame[i];
			list[i]->net = f->net;
			if (vtep)
				vxlan_encap(list[i], vtep);
		}
		copies += vtep ? transmit_coalesced(w, port, list, n) : transmit_cut(w, port, list, n);
	}
	if (!copies) /* a hostile payload length: nothing came of it */
		port_drop_frame(w, port, f, DROP_BAD_OFFLOAD);
	else if (f->net != NET_NONE)
		stat_add(&w->net_stats[f->net].copies, copies - 1 - f->merged);
}
