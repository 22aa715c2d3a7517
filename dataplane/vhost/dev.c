#include "dataplane/vhost/dev.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/core/dp.h"
#include "dataplane/core/rcu.h"
#include "dataplane/vhost/resume.h"

static bool has(const struct vhost_dev *dev, unsigned feature)
{
	return dev->features >> feature & 1;
}

/* A feature is offered only together with those that it needs (virtio 1.1, 2.2.2 and 5.1.3.1). */
static uint64_t without_orphans(uint64_t offered)
{
	if (!(offered >> VIRTIO_NET_F_CSUM & 1))
		offered &= ~(UINT64_C(1) << VIRTIO_NET_F_HOST_TSO4 | UINT64_C(1) << VIRTIO_NET_F_HOST_TSO6);
	if (!(offered >> VIRTIO_NET_F_GUEST_CSUM & 1))
		offered &= ~(UINT64_C(1) << VIRTIO_NET_F_GUEST_TSO4 | UINT64_C(1) << VIRTIO_NET_F_GUEST_TSO6);
	return offered;
}

static uint64_t features_offered(const struct port *port)
{
	uint64_t offered = UINT64_C(1) << VIRTIO_F_VERSION_1 | UINT64_C(1) << VIRTIO_NET_F_MRG_RXBUF |
			   UINT64_C(1) << VIRTIO_NET_F_CSUM | UINT64_C(1) << VIRTIO_NET_F_GUEST_CSUM |
			   UINT64_C(1) << VIRTIO_NET_F_HOST_TSO4 | UINT64_C(1) << VIRTIO_NET_F_HOST_TSO6 |
			   UINT64_C(1) << VIRTIO_NET_F_GUEST_TSO4 | UINT64_C(1) << VIRTIO_NET_F_GUEST_TSO6 |
			   UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC |
			   UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX | UINT64_C(1) << VHOST_F_PROTOCOL_FEATURES;

	/* a Linux driver refuses a device that has MQ but no control queue, which the front-end adds for
	 * several */
	if (port->spec.queues > 1)
		offered |= UINT64_C(1) << VIRTIO_NET_F_MQ;
	if (port->spec.packed)
		offered |= UINT64_C(1) << VIRTIO_F_RING_PACKED;
	return without_orphans(offered & ~port->spec.mask);
}

static void vring_clear(struct vhost_vring *v)
{
	memset(v, 0, sizeof(*v));
	v->kick = -1;
	v->call = (struct vhost_call){.fd = -1};
}

void vhost_dev_init(struct vhost_dev *dev, struct port *port, int event_fd)
{
	memset(dev, 0, sizeof(*dev));
	dev->port = port;
	dev->nvring = 2 * port->nqueue;
	dev->offered = features_offered(port);
	dev->request_fd = -1;
	dev->guard = (struct vhost_guard){.broken = &dev->broken, .event_fd = event_fd};
	for (unsigned i = 0; i < VHOST_RINGS; i++)
		vring_clear(&dev->vring[i]);
}

static _Atomic(struct vhost_ring *) *published(struct vhost_dev *dev, unsigned i)
{
	struct vhost_queue *q = &dev->queue[i / 2];

	return i % 2 ? &q->rx : &q->tx;
}

static void free_ring(struct vhost_ring *r)
{
	if (r)
		free(r->given);
	free(r);
}

static void pause_range(struct vhost_dev *dev, unsigned first, unsigned end)
{
	bool any = false;

	for (unsigned i = first; i < end; i++) {
		any |= dev->vring[i].ring != NULL;
		atomic_store_explicit(published(dev, i), NULL, memory_order_release);
	}
	if (!any)
		return;
	rcu_wait(dev->port->dp);
	for (unsigned i = first; i < end; i++) {
		struct vhost_vring *v = &dev->vring[i];

		if (!v->ring)
			continue;
		v->base = v->ring->packed ? vhost_packed_base(v->ring) : v->ring->next_avail;
		free_ring(v->ring);
		v->ring = NULL;
	}
}

void vhost_dev_pause(struct vhost_dev *dev, unsigned i)
{
	pause_range(dev, i, i + 1);
}

void vhost_dev_pause_all(struct vhost_dev *dev)
{
	pause_range(dev, 0, VHOST_RINGS);
}

void vhost_dev_forget(struct vhost_dev *dev, unsigned i)
{
	struct vhost_vring *v = &dev->vring[i];
	struct vring_packed_desc_event *wish = NULL;

	if (v->has_addr && has(dev, VIRTIO_F_RING_PACKED))
		wish = vhost_mem_uva(&dev->mem, v->used, sizeof(*wish));
	if (wish && (uintptr_t)wish % sizeof(*wish) == 0)
		vhost_resume_forget(wish);
	vhost_inflight_forget(&dev->inflight, i);
}

/* May ring `v` run, by what the front-end has said so far? */
static bool wanted(const struct vhost_dev *dev, const struct vhost_vring *v)
{
	bool enabled = has(dev, VHOST_F_PROTOCOL_FEATURES) ? v->enabled : v->started;

	if ((dev->proto_features >> VHOST_PROTO_STATUS & 1) && !(dev->status & VIRTIO_CONFIG_S_DRIVER_OK))
		return false;
	return v->started && enabled && v->num && v->has_addr && !dev->broken;
}

/* Finds the ring's three parts. False: they do not all lie in the guest's memory, aligned. */
static bool locate_packed(const struct vhost_dev *dev, const struct vhost_vring *v, struct vhost_ring *r)
{
	r->slot = vhost_mem_uva(&dev->mem, v->desc, v->num * sizeof(struct vring_packed_desc));
	r->guest_wish = vhost_mem_uva(&dev->mem, v->avail, sizeof(*r->guest_wish));
	r->wish = vhost_mem_uva(&dev->mem, v->used, sizeof(*r->wish));
	return r->slot && r->guest_wish && r->wish && (uintptr_t)r->slot % VRING_DESC_ALIGN_SIZE == 0 &&
	       (uintptr_t)r->guest_wish % sizeof(*r->guest_wish) == 0 &&
	       (uintptr_t)r->wish % sizeof(*r->wish) == 0;
}

static bool locate_split(const struct vhost_dev *dev, const struct vhost_vring *v, struct vhost_ring *r)
{
	r->desc = vhost_mem_uva(&dev->mem, v->desc, v->num * sizeof(struct vring_desc));
	r->avail = vhost_mem_uva(
		&dev->mem, v->avail, sizeof(struct vring_avail) + (v->num + 1) * sizeof(uint16_t));
	r->used = vhost_mem_uva(&dev->mem, v->used,
		sizeof(struct vring_used) + v->num * sizeof(struct vring_used_elem) + sizeof(uint16_t));
	return r->desc && r->avail && r->used && (uintptr_t)r->desc % VRING_DESC_ALIGN_SIZE == 0 &&
	       (uintptr_t)r->avail % VRING_AVAIL_ALIGN_SIZE == 0 &&
	       (uintptr_t)r->used % VRING_USED_ALIGN_SIZE == 0;
}

static void set_features(const struct vhost_dev *dev, struct vhost_ring *r)
{
	r->hdr_len = has(dev, VIRTIO_F_VERSION_1) || has(dev, VIRTIO_NET_F_MRG_RXBUF) ? VHOST_HDR
										      : VHOST_HDR_LEGACY;
	r->packed = has(dev, VIRTIO_F_RING_PACKED);
	r->event_idx = has(dev, VIRTIO_RING_F_EVENT_IDX);
	r->indirect = has(dev, VIRTIO_RING_F_INDIRECT_DESC);
	r->mergeable = has(dev, VIRTIO_NET_F_MRG_RXBUF);
	r->rx_flags = has(dev, VIRTIO_NET_F_CSUM) ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0;
	r->tx_flags = has(dev, VIRTIO_NET_F_GUEST_CSUM)
			      ? VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID
			      : 0;
	r->gso_types = (uint8_t)(1u << VIRTIO_NET_HDR_GSO_NONE |
				 (unsigned)has(dev, VIRTIO_NET_F_HOST_TSO4) << VIRTIO_NET_HDR_GSO_TCPV4 |
				 (unsigned)has(dev, VIRTIO_NET_F_HOST_TSO6) << VIRTIO_NET_HDR_GSO_TCPV6);
}

/* Where the ring goes on, as position_packed(). */
static int position_split(struct vhost_dev *dev, unsigned i, struct vhost_ring *r)
{
	struct vhost_split_region *region =
		vhost_inflight_region(&dev->inflight, i, dev->vring[i].num, false);
	int rc;

	if (!locate_split(dev, &dev->vring[i], r))
		return 0;
	rc = region ? vhost_inflight_return_split(r, region) : 0;
	if (rc < 0)
		return rc;
	/* not at the base: front-ends that lost a back-end tell 0, or where the guest is */
	vhost_resume_split(r);
	if (region)
		vhost_inflight_begin_split(r, region);
	vhost_ring_want_kick(r, false);
	return 1;
}

/* 1; 0: the ring is not in the memory that there is; or -ENOMEM. */
static int position_packed(struct vhost_dev *dev, unsigned i, struct vhost_ring *r)
{
	const struct vhost_vring *v = &dev->vring[i];
	/* the lower half is of what was offered; all that was taken has been given back */
	struct vhost_position at = {v->base & INT16_MAX, v->base >> 15 & 1};
	int rc;

	/* of one slot: a chain of two, which it can't hold, would be one that changes between two reads */
	if (v->num < 2 || at.slot >= v->num || !locate_packed(dev, v, r))
		return 0;
	r->tracked = vhost_inflight_region(&dev->inflight, i, v->num, true);
	rc = r->tracked ? vhost_inflight_return_packed(r, r->tracked, &at) : 0;
	if (rc < 0)
		return rc;
	vhost_resume_packed(r, at);
	if (r->tracked)
		vhost_inflight_begin_packed(r, r->tracked);
	vhost_packed_want_kick(r, false);
	return 1;
}

static int publish(struct vhost_dev *dev, unsigned i)
{
	struct vhost_vring *v = &dev->vring[i];
	struct vhost_ring *r = aligned_alloc(64, sizeof(*r));
	int rc;

	if (!r)
		return -ENOMEM;
	memset(r, 0, sizeof(*r));
	set_features(dev, r);
	rte_spinlock_init(&r->lock);
	r->mem = &dev->mem;
	r->mask = (uint16_t)(v->num - 1);
	r->kick = v->kick;
	r->call = v->call;
	if (r->packed && !(r->given = calloc(BURST_MAX, sizeof(*r->given)))) {
		free_ring(r);
		return -ENOMEM;
	}
	rc = r->packed ? position_packed(dev, i, r) : position_split(dev, i, r);
	if (rc <= 0) {
		free_ring(r); /* the memory may be told later */
		return rc;
	}
	v->ring = r;
	dev->published++;
	atomic_store_explicit(published(dev, i), r, memory_order_release);
	/* who ran it before may have died between giving chains back and saying so */
	vhost_notify(dev->port->dp->notifier, r->call);
	return 0;
}

static uint32_t port_offloads(const struct vhost_dev *dev)
{
	uint32_t offloads = 0;

	if (!has(dev, VIRTIO_NET_F_GUEST_CSUM))
		return 0; /* segmentation needs it too (virtio 1.1, 5.1.3.1) */
	offloads |= PORT_CSUM;
	offloads |= has(dev, VIRTIO_NET_F_GUEST_TSO4) ? PORT_TSO4 : 0;
	offloads |= has(dev, VIRTIO_NET_F_GUEST_TSO6) ? PORT_TSO6 : 0;
	/* without, each of its buffers would have to hold the largest frame, and there are drivers whose do not */
	offloads |= has(dev, VIRTIO_NET_F_MRG_RXBUF) ? PORT_MERGE : 0;
	return offloads;
}

int vhost_dev_resume(struct vhost_dev *dev)
{
	struct port *port = dev->port;
	bool news = false;
	uint16_t active = 0;
	int rc = 0;

	atomic_store_explicit(&port->offloads, port_offloads(dev), memory_order_relaxed);
	for (unsigned i = 0; i < dev->nvring && !rc; i++) {
		struct vhost_vring *v = &dev->vring[i];

		if (v->ring || !wanted(dev, v))
			continue;
		rc = publish(dev, i);
		news |= v->ring != NULL;
	}
	while (active < port->nqueue && dev->vring[2 * active].ring)
		active++;
	atomic_store_explicit(&dev->active, active, memory_order_relaxed);
	port_set_link(port, dev->vring[0].ring && dev->vring[1].ring);
	if (news)
		workers_wake(port->dp); /* a sleeper does not know the new kick fds, and the guest's kick may
					   be past */
	return rc;
}

void vhost_dev_reset(struct vhost_dev *dev)
{
	port_set_link(dev->port, false);
	vhost_dev_pause_all(dev);
	for (unsigned i = 0; i < VHOST_RINGS; i++) {
		if (dev->vring[i].kick >= 0)
			close(dev->vring[i].kick);
		vhost_call_close(&dev->vring[i].call, dev->closer);
		vring_clear(&dev->vring[i]);
	}
	vhost_mem_clear(&dev->mem);
	dev->port->guest.memory = 0;
	vhost_inflight_clear(&dev->inflight);
	vhost_closer_close(dev->closer, dev->request_fd);
	dev->request_fd = -1;
	dev->features = 0;
	dev->proto_features = 0;
	dev->status = 0;
	atomic_store_explicit(&dev->queue[0].rarp, 0, memory_order_relaxed);
	atomic_store_explicit(&dev->active, 0, memory_order_relaxed);
	atomic_store_explicit(&dev->broken, false, memory_order_relaxed);
}
