/*
 * dev.h: the device that a vhost-user port is to its guest: what was negotiated, the guest's memory,
 * its rings. Workers see the published rings; everything else is control's. It lives as long as the port, and
 * is reset when a front-end leaves.
 */
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/core/port.h"
#include "dataplane/vhost/closer.h"
#include "dataplane/vhost/inflight.h"
#include "dataplane/vhost/mem.h"
#include "dataplane/vhost/ring.h"

enum { VHOST_RINGS = 2 * PORT_QUEUES_MAX };

/* A queue pair as workers see it. Who polls it is seldom who sends to the guest by it, and writes at each burst. */
struct vhost_queue {
	_Atomic(struct vhost_ring *) rx; /* the guest sends by it; NULL: not running */
	struct vhost_ring *borrowed;	 /* the polling worker's: what complete() gives back to */
	_Atomic(uint64_t) rarp;		 /* VHOST_RARP | the MAC that a RARP is to be sent for; 0: none */
	/* the guest receives by it; NULL: not running */
	_Atomic(struct vhost_ring *) tx __attribute__((aligned(64)));
} __attribute__((aligned(64)));
static_assert(sizeof(struct vhost_queue) == 128, "no two workers' queues in a line, nor both directions");

#define VHOST_RARP (UINT64_C(1) << 63)

/* A ring as the front-end described it. Index 2n: the guest receives by it; 2n + 1: it sends. */
struct vhost_vring {
	uint32_t num;		    /* entries; 0: not told yet */
	uint64_t desc, used, avail; /* the front-end's addresses */
	bool has_addr;
	bool started; /* a kick fd was given, or its absence */
	bool enabled;
	uint32_t base; /* next_avail when it runs again; packed: with its wrap counter above it */
	int kick;      /* -1: none */
	struct vhost_call call;
	struct vhost_ring *ring; /* the published one */
};

struct vhost_dev {
	struct vhost_queue queue[PORT_QUEUES_MAX];
	_Atomic(bool) broken;	  /* its memory is gone: workers leave it alone until control has closed it */
	_Atomic(uint16_t) active; /* pairs that can be sent to, from the first on */
	/* control only */
	struct port *port;
	struct vhost_closer *closer; /* of what the front-end has given */
	uint64_t offered;	     /* virtio features */
	uint64_t features;	     /* and those that the guest took */
	uint64_t proto_features;
	uint8_t status; /* of the virtio device */
	int request_fd; /* the front-end's, for requests of ours; we have none, but it may not be closed; -1:
			   none */
	uint16_t nvring;
	unsigned published; /* how often a ring has begun to run */
	struct vhost_vring vring[VHOST_RINGS];
	struct vhost_mem mem;
	struct vhost_inflight inflight;
	struct vhost_guard guard;
};

/** Control thread. Readies `dev` for the first front-end. `event_fd` is told when memory is lost. */
void vhost_dev_init(struct vhost_dev *dev, struct port *port, int event_fd);

/** Control thread. The front-end left: link down, rings back, memory unmapped, nothing negotiated. */
void vhost_dev_reset(struct vhost_dev *dev);

/**
 * Control thread. Takes back ring `i` (or all) and waits until no worker has it, keeping its indices.
 * What it depends on may be changed then, and vhost_dev_resume() called.
 */
void vhost_dev_pause(struct vhost_dev *dev, unsigned i);
void vhost_dev_pause_all(struct vhost_dev *dev);

/**
 * Control thread. Ring `i`, which is paused, may begin anew where it lies: its front-end knows where it was, or
 * has reset the device.
 */
void vhost_dev_forget(struct vhost_dev *dev, unsigned i);

/** Control thread. Publishes every ring that can run, and tells the link's state. -ENOMEM. */
int vhost_dev_resume(struct vhost_dev *dev);

/**
 * Control thread. Does what a message asks. Returns 0; 1: refused, nothing changed (the front-end may go on);
 * or -errno: it breaks the protocol, and the connection is to be closed. A positive *reply is the number of
 * payload bytes in msg->payload to answer with.
 */
int vhost_request(struct vhost_dev *dev, struct vhost_msg *msg, unsigned *reply);

/** Its name in the specification, for people; never NULL. */
const char *vhost_request_name(uint32_t request);

/* struct port_ops (port.h) */
uint16_t vhost_rx(struct port *port, struct worker *w, struct burst *b);
void vhost_complete(struct port *port, struct worker *w, struct burst *b);
uint16_t vhost_tx(struct port *port, struct worker *w, struct frame *const *frames, uint16_t n);
bool vhost_arm(struct port *port, uint16_t queue, bool on);
int vhost_rx_fd(struct port *port, uint16_t queue);
