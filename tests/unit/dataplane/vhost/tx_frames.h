/* tx_frames.h: a burst of frames for a guest, and buffers for them. */
#pragma once

#include "tests/unit/dataplane/vhost/rig.h"
#include "tests/unit/unit.h"

enum { TX_CANARY = 0xc5 }; /* in all of the guest's memory that holds no ring */

extern struct frame tx_frame[BURST_MAX];
extern uint8_t tx_payload[BURST_MAX][FRAME_MAX]; /* of each of them */

/* Of a test whose state is a rig. */
int tx_setup(void **state);
int tx_teardown(void **state);

/** Frame i: `len` bytes of the pattern, `hdr` of them private, the rest in up to three spans. */
void tx_make(unsigned i, uint32_t len, uint16_t hdr);

/** Sends the first n frames. Returns how many were dealt with. */
uint16_t tx_send(struct rig *rig, uint16_t n);

/** Single buffers of `size` bytes, 4 KB apart, n of them. */
void tx_offer_buffers(struct rig *rig, unsigned n, uint32_t size);

/** What was written before a frame. */
const struct virtio_net_hdr_mrg_rxbuf *tx_hdr(struct rig *rig, uint64_t gpa);
