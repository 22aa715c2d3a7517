/*
 * vnet.h: the virtio_net_hdr that the kernel puts before each frame of a TAP or packet socket, and frames as
 * the kernel's vectors. The header's first ten bytes are struct offload, in the byte order of the machine.
 */
#pragma once

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <sys/uio.h>

#include "dataplane/core/port.h"
#include "dataplane/core/stats.h"
#include "dataplane/frame/tcp_gro.h"
#include "dataplane/frame/udp_gso.h"

static_assert(sizeof(struct virtio_net_hdr) == sizeof(struct offload), "one is read as the other");

enum {
	VNET_IOVS = 2 + UDP_GSO_SPANS, /* of one frame with its header */
};
static_assert((int)TCP_GRO_FRAME_SPANS <= (int)UDP_GSO_SPANS && FRAME_SPANS <= (int)UDP_GSO_SPANS,
	"whoever makes a frame gives it no more spans");

/**
 * Worker. Takes over the request `hdr` of a frame that came from the kernel at `port`: f->off is then sound.
 * On an uplink it may name the inner packet of a tunnel, so there only its bounds are checked: the stage that
 * takes the tunnel apart calls offload_valid(). Returns the reason to drop the frame, DROP_COUNT for none.
 */
enum drop_reason vnet_take(const struct port *port, struct frame *f, const struct virtio_net_hdr *hdr);

/**
 * Worker. The frame behind a header of `hdr_len` bytes at `hdr` (at least a virtio_net_hdr; the rest is
 * zeroed) as a vector of at most VNET_IOVS. Returns how many.
 */
unsigned vnet_vector(const struct frame *f, void *hdr, unsigned hdr_len, struct iovec *iov);

/**
 * Worker. Keeps `f`, which was begun last in `b`, when vnet_take() takes its request, else counts it as dropped at
 * `port`. Returns whether it was kept.
 */
bool vnet_keep(struct port *port, struct worker *w, struct burst *b, struct frame *f,
	const struct virtio_net_hdr *hdr);

/**
 * Worker. The kernel refused `f` with the error number `error`. True: it is dropped and counted. False: it is not dealt
 * with, for the receiver is full; or the kernel is older than large UDP datagrams (Linux 6.2), and the port takes no
 * more of them.
 */
bool vnet_refused(struct port *port, struct worker *w, const struct frame *f, int error);
