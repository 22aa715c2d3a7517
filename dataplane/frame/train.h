/*
 * train.h: tunnel packets of one flow as one large UDP datagram (virtio's GSO_UDP_L4): the headers once, then
 * the payloads of all, each of the same size but for the last. Where a port takes it (PORT_USO), the kernel
 * or the device behind it cuts it, at the latest moment; between hosts of one machine nobody has to. Worker.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/frame/burst.h"

enum { TRAIN_SPANS = 128 }; /* of its frame at most */

struct train {
	struct frame frame;
	struct span span[TRAIN_SPANS];
};

/**
 * Couples the first of n encapsulated frames (vxlan.h) of one flow, all as long as the first but for the
 * last, as train->frame, which borrows from them. Returns how many: less than 2 when it is not worth it, and
 * then the train is not to be sent.
 */
unsigned train_couple(struct train *train, struct frame *const *frames, unsigned n);

/**
 * Takes the next packet out of the train of `len` bytes at `data`, an IPv4 UDP frame with the request `off`
 * (GSO_UDP_L4), as `f`, which has no spans, with at most HDR_MAX private bytes and the rest, which may be
 * empty, in *span, which is the caller's to lend. *offset is the place in the train's payload, 0 at first. Returns false, and makes nothing,
 * when the train is not what it says; it ends when *offset is the payload's length (train_payload()).
 */
bool train_uncouple(const uint8_t *data, uint32_t len, const struct offload *off, uint32_t *offset,
	struct frame *f, struct span *span);

/** Bytes of payload of the train; 0: it is none. */
uint32_t train_payload(const uint8_t *data, uint32_t len, const struct offload *off);
