/*
 * udp_gso.h: tunnel packets of one flow as one large UDP datagram (virtio's GSO_UDP_L4): the headers once, then
 * the payloads of all, each of the same size but for the last. Where a port takes it (PORT_USO), the kernel
 * or the device behind it cuts it, at the latest moment; between hosts of one machine nobody has to. Worker.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/frame/burst.h"

enum { UDP_GSO_SPANS = 128 }; /* of its frame at most */

struct udp_gso {
	struct frame frame;
	struct span span[UDP_GSO_SPANS];
};

/**
 * Puts the first of n encapsulated frames (vxlan.h) of one flow together in gso->frame, which borrows from them.
 * All are as long as the first, but for the last. Returns how many; with less than 2 it is not worth it, and
 * gso->frame is not to be sent.
 */
unsigned udp_gso_coalesce(struct udp_gso *gso, struct frame *const *frames, unsigned n);

/**
 * Takes the next packet out of the large datagram of `len` bytes at `data`, a UDP frame with the request
 * `off` (GSO_UDP_L4). `f` gets at most HDR_MAX private bytes and no spans; the rest, which may be empty, is in
 * *span, for the caller to lend. *offset is the position in the payload, 0 at first; the last packet brings it to
 * udp_gso_payload(). Returns false, and makes nothing, when the datagram is not what its request says.
 */
bool udp_gso_split(const uint8_t *data, uint32_t len, const struct offload *off, uint32_t *offset,
	struct frame *f, struct span *span);

/** Bytes of payload of such a datagram; 0: it is none. */
uint32_t udp_gso_payload(const uint8_t *data, uint32_t len, const struct offload *off);
