/*
 * exchange.h: frames between workers and control, both ways bounded, single producer, single consumer.
 *
 *   punt    a worker hands control a copy of the first bytes of a frame (ARP answers), or an address whose MAC it
 *           wants to know. Full: dropped, counted.
 *   inject  control has worker 0 send a short frame out of an uplink or into a network (engine/inject.h).
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "addr/ip.h"
#include "dataplane/core/port.h"
#include "dataplane/frame/burst.h"

enum { EXCHANGE_SLOTS = 256, EXCHANGE_BYTES = HDR_MAX };

struct exchange_frame {
	uint16_t len;
	uint16_t port; /* punt: arrived on; inject: to be sent out of, OUT_NONE: see net */
	uint16_t net;  /* punt: its network, NET_NONE on the underlay; inject: flooded into, when port is
			  OUT_NONE */
	uint8_t data[EXCHANGE_BYTES];
};

/* head is written by the producer, tail by the consumer, each on a line of its own. */
struct exchange {
	_Atomic(uint32_t) head __attribute__((aligned(64)));
	_Atomic(uint32_t) tail __attribute__((aligned(64)));
	struct exchange_frame slot[EXCHANGE_SLOTS] __attribute__((aligned(64)));
};

/** Producer. A free slot to fill before exchange_push(), NULL when full. */
struct exchange_frame *exchange_reserve(struct exchange *x);
void exchange_push(struct exchange *x);
/** Consumer. The oldest frame, until exchange_pop(); NULL when empty. */
const struct exchange_frame *exchange_peek(struct exchange *x);
void exchange_pop(struct exchange *x);

/**
 * Worker. Copies the private bytes of `f` to control. A port may have 100 frames a second copied, 32 at once;
 * an uplink 10,000 and 256. The caller sets the verdict.
 */
void exchange_punt(struct worker *w, struct port *in, const struct frame *f);

/* What control is told by exchange_want(). */
struct exchange_wanted {
	struct ip_addr ip;
	uint32_t by; /* id of the port */
};

/** Worker. Tells control that the MAC of `ip` on the link of port `uplink` is wanted, for a frame of port `in`: within the
 * same bounds. It is told as a struct exchange_wanted, as short as no frame is that is copied. */
void exchange_want(struct worker *w, struct port *in, uint16_t uplink, struct ip_addr ip);

/** Control. Has frame data[len] sent (see struct exchange_frame). -ENOBUFS: the ring is full. */
int exchange_inject(struct dp *dp, uint16_t port, uint16_t net, const uint8_t *data, uint16_t len);
