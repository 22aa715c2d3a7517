/*
 * front.h: the front-end of a vhost-user connection, that is the driver of a virtio network device: what a
 * guest or a DPDK application brings to a switch's socket. It stands alone (no DPDK, no mbufs) and is the
 * mirror image of the switch's own back-end: the bench generates its traffic with it and tests drive the
 * switch through it.
 *
 * A front owns one memory region, shared with the back-end by its file descriptor, that holds all of its
 * rings and buffers. Queue pair p has two rings, split unless VIRTIO_F_RING_PACKED was agreed on: `2p`
 * receives (the back-end fills buffers), `2p + 1` transmits. Buffer i of a ring belongs to descriptor i for
 * good, so in steady state the descriptors never change and only the indices and the frames themselves travel
 * between the cores:
 *
 *	struct front *f;
 *	front_create(&f, &(struct front_options){.socket = "/run/sluice/vhost/c1.sock"});
 *	if (front_connect(f) < 0)
 *		errx(1, "%s", front_error(f));
 *	front_send(f, frame, length);             // one frame, copied (front.c)
 *	... tx.h and rx.h: whole bursts, in place ...
 *	front_destroy(f);
 *
 * A frame is what stands on the wire from the destination MAC on, without FCS. Each lies behind a 12-byte
 * virtio_net_hdr that the front keeps zero on transmit (no offload asked for) unless the caller writes it.
 *
 * A front has no thread. Its control functions block, for at most `timeout_ms` a message. Each queue may be
 * used by one thread at a time; control functions must not run beside a queue's.
 */
#pragma once

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/front/ring.h"

#define FRONT_BIT(n) (1ULL << (n))

enum {
	FRONT_MAX_PAIRS = 64,
	FRONT_MAX_BUFFERS = 64, /* of one received frame, in a packed ring */
	FRONT_HDR = 12,		/* virtio_net_hdr_mrg_rxbuf: VERSION_1 is required */
	FRONT_HEADROOM = 64,	/* of each buffer: the header ends where it ends, so that a frame begins on a
				   cache line */
};

/* Asked for unless told otherwise: mergeable buffers, and no offload, as a packet generator wants it. */
#define FRONT_FEATURES                                                                                       \
	(FRONT_BIT(VIRTIO_F_VERSION_1) | FRONT_BIT(VIRTIO_NET_F_MRG_RXBUF) | FRONT_BIT(VIRTIO_NET_F_MQ) |    \
		FRONT_BIT(VIRTIO_RING_F_INDIRECT_DESC))

enum front_pages { FRONT_PAGES_AUTO, FRONT_PAGES_HUGE, FRONT_PAGES_SMALL };

struct front_options {
	const char *socket;	 /* NULL: no back-end; rings and buffers only, for one inside this process */
	bool listen;		 /* the back-end connects to us (its client mode); we make the socket */
	unsigned pairs;		 /* 1..FRONT_MAX_PAIRS; 0: 1 */
	unsigned ring_size;	 /* a power of two 2..32768; 0: 256 */
	unsigned buffer_size;	 /* bytes of frame that one buffer holds; 0: 1536 */
	unsigned tx_buffer_size; /* of a transmit ring; 0: as buffer_size */
	uint64_t features;	 /* wanted, less what the back-end does not offer; 0: FRONT_FEATURES */
	bool slots;		 /* memory is told of region by region where it can be (life.h) */
	enum front_pages pages;	 /* AUTO: huge pages when there are enough of them */
	int timeout_ms;		 /* a reply, or a listening front's back-end; 0: 5000 */
};

struct front;

/**
 * Makes the memory, the rings and (when listening) the socket. Returns 0; -EINVAL: `opt` out of range;
 * -ENOMEM; or what the socket gave. A file at the listening socket's path is replaced.
 */
int front_create(struct front **out, const struct front_options *opt);

/**
 * Connects, or waits for the back-end to connect; then does the whole handshake and returns when every ring
 * is enabled and filled. Returns 0; -ENOTCONN: the back-end hung up; -ETIMEDOUT; -EPROTO: it answered
 * nonsense or lacks VERSION_1; or what connect gave. front_error() says it in words. After a failure or a
 * disconnect it may be called again: rings begin anew.
 */
int front_connect(struct front *f);

/** Closes the connection with nothing said before, as a guest that died. Frames in flight are lost. */
void front_disconnect(struct front *f);

/** A clean stop: disables every ring and asks for its index (GET_VRING_BASE), then disconnects. Errors as
 * above. */
int front_stop(struct front *f);

/** Disconnects, unlinks a listening socket and frees everything. NULL is allowed. */
void front_destroy(struct front *f);

/** One line about the last failure of a control function; never NULL. */
const char *front_error(const struct front *f);

/** The connection's descriptor, or -1: for messages that wire.h makes, and for poll(2). */
int front_socket(const struct front *f);

/** Enables or disables both rings of queue pair `pair` (SET_VRING_ENABLE). Errors as front_connect. */
int front_enable(struct front *f, unsigned pair, bool on);

/** Asks for a virtio-net device status, as a driver that stops or starts does; 0 without the STATUS feature.
 */
int front_set_status(struct front *f, uint8_t status);

/** The rings of queue pair `pair`; they live as long as the front. */
struct front_ring *front_rx_ring(struct front *f, unsigned pair);
struct front_ring *front_tx_ring(struct front *f, unsigned pair);

/**
 * Copies one frame (at most `buffer_size` bytes) into queue pair 0 and publishes it. Returns 0; -EMSGSIZE; or
 * -EAGAIN when the ring is full.
 */
int front_send(struct front *f, const void *frame, size_t len);

/**
 * Copies the next frame of queue pair 0 out and gives its buffers back. Waits up to `timeout_ms` on the
 * ring's call descriptor. Returns its length (cut to `cap`); -EAGAIN: none came.
 */
int front_receive(struct front *f, void *frame, size_t cap, int timeout_ms);
