/*
 * port.h: what every kind of port is to the rest of the switch.
 *
 * A new kind of port is one file with a struct port_ops, plus one line in DP_PORT_TYPE_LIST of dataplane.h.
 *
 * Threads: control creates, publishes, unpublishes and frees a port; workers call rx, tx, complete and arm.
 * Control frees only after a grace period (rcu.h), so a worker may use a port until the end of its turn.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/dataplane.h"
#include "dataplane/frame/burst.h"

struct port_rates;
struct guard;
struct worker;

enum { PORT_QUEUES_MAX = 8 };

/* What a port takes as it is; what it does not take is done in software before its tx (offload.h). */
enum {
	PORT_CSUM = 1u << 0, /* partial checksums */
	PORT_TSO4 = 1u << 1,
	PORT_TSO6 = 1u << 2,
	PORT_USO = 1u << 3,   /* large UDP, cut into datagrams; a port may find out late that it cannot and
			       clear this */
	PORT_MERGE = 1u << 4, /* large TCP also when the switch makes it of small frames (tcp_gro.h) */
	PORT_TUNNEL =
		1u << 5, /* an uplink: large TCP inside VXLAN over IPv4, by a request for the inner packet */
};

struct port_ops {
	const char *name;
	bool by_fd; /* each rx is a system call: poll it when its fd is readable, not every turn */
	bool kernel; /* the kernel carries its frames in system calls of the worker: they may cost more (budget.h) */
	bool guest_memory; /* frames are borrowed from memory in which somebody else can provoke faults */
	/**
	 * Control thread. Opens what port->spec names, fills port->priv and port->nqueue. The link is
	 * reported with port_set_link(), now or later. Returns 0 or -errno and says why in `err`.
	 */
	int (*open)(struct port *port, struct dp_err *err);
	/** Control thread, after the port is unpublished and every worker has passed a grace period. */
	void (*close)(struct port *port);
	/**
	 * Worker. Borrows up to BURST_MAX frames of queue `queue` into `b` (b->in, b->queue are set by the
	 * caller; b->count, nspan and bytes start at 0). Each frame is frame_init()ed and has hdr, hdr_len,
	 * span, nspan, len and off filled; the private copy is port_hdr_copy(port) bytes, or the whole frame
	 * when it is shorter. Frames that are malformed are counted here (port_rx_drop) and not given.
	 * Returns the count.
	 */
	uint16_t (*rx)(struct port *port, struct worker *w, struct burst *b);
	/** Worker. Gives back to the source what `b` borrowed, delivered or not. May be NULL. */
	void (*complete)(struct port *port, struct worker *w, struct burst *b);
	/**
	 * Worker. Copies `n` (<= BURST_MAX) frames to the receiver, in order, and notifies it once. Frames
	 * need nothing more done than `port->offloads` says. Returns how many were dealt with: sent, or
	 * dropped and counted by it (port_tx_drop, e.g. DROP_MTU). Fewer than n means that the receiver is
	 * full: the caller tries the rest once more at the end of the turn, then drops them as ring-full.
	 */
	uint16_t (*tx)(struct port *port, struct worker *w, struct frame *const *frames, uint16_t n);
	/**
	 * Worker. Asks queue `queue` to signal its fd when frames arrive (on) or not to (off). Returns true
	 * if frames are waiting already, so the worker must not sleep. NULL: cannot signal, must be polled.
	 */
	bool (*arm)(struct port *port, uint16_t queue, bool on);
	/** Worker. The fd that becomes readable when `queue` has frames, -1 if none now. NULL with arm. */
	int (*rx_fd)(struct port *port, uint16_t queue);
	/** Control thread. Has it lost for good what it was attached to? NULL: it never does. */
	bool (*lost)(struct port *port);
	/** Control thread. Attaches one that has lost it to `fd`, one a queue, its own from here on. NULL with
	 * lost. */
	void (*plug)(struct port *port, const int *fd);
	/** Control thread. Lets go of what it is attached to, as if that were lost. NULL with plug. */
	void (*unplug)(struct port *port);
};

struct port {
	/* read by workers on every burst */
	const struct port_ops *ops;
	void *priv;
	uint16_t id;	       /* index in dp->port */
	uint16_t net;	       /* NET_NONE: an uplink */
	uint16_t nqueue;       /* rx queues that a worker polls */
	_Atomic(uint16_t) mtu; /* of the IP packet; a frame may be mtu + 14, + 4 with a VLAN tag */
	bool is_uplink;
	bool blind;	 /* it cannot signal, though its type can: must be polled */
	bool unfinished; /* hands over partial checksums without a word: offload_detect() */
	bool is_gateway; /* the network's own TAP: may send from the router MAC, answers for the gateway */
	_Atomic(bool) up;
	_Atomic(uint8_t) mac_action; /* enum dp_mac_action */
	_Atomic(uint8_t) bounds;     /* RATE_IN...: which of its rates are limited (rate.h) */
	_Atomic(uint32_t)
		offloads; /* PORT_CSUM...: set by the port type, at open or when features are agreed */
	_Atomic(uint64_t) punts_full;  /* exchange.c: the same of what it has punted */
	_Atomic(struct guard *) guard; /* guard.h: what it may send from; NULL: an uplink */
	_Atomic(uint64_t)
		answers_full; /* port_may_answer(): TSC from which it may answer a burst of packets again */
	uint8_t mac[6];
	uint16_t vxlan_port;	 /* uplink */
	uint32_t address;	 /* uplink: its own of IPv4, 0: none */
	struct ip_addr address6; /* uplink: its own of IPv6, none: none */
	struct port_rates *rates;
	/* control only */
	struct dp *dp;
	struct dp_port_guest guest;
	struct dp_port spec; /* with its own copies of the strings */
};

/** Is this one of the port's bounds (RATE_IN...)? */
static inline bool port_bounds(const struct port *port, uint8_t which)
{
	return __builtin_expect(atomic_load_explicit(&port->bounds, memory_order_relaxed) & which, 0);
}

/** Private header bytes that rx copies. */
static inline uint16_t port_hdr_copy(const struct port *port)
{
	return port->is_uplink ? HDR_MAX : HDR_COPY;
}

/**
 * Worker. May the switch send one more ICMP error to this port now? A thousand a second and 50 at once, so that one
 * guest does not use up what others need.
 */
bool port_may_answer(struct port *port);

/**
 * Any thread. Tells the switch that the link of `port` changed; control hears of it on its loop
 * (dp_config.on_link). Idempotent.
 */
void port_set_link(struct port *port, bool up);
