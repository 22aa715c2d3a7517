/*
 * bfd.h: is the other host alive? BFD (RFC 5880, over UDP by RFC 5881 and 5883) between this host and its peers: the
 * hosts at which vteps are. A peer that falls silent is cut: nothing is tunnelled to it until it speaks again.
 *
 *      worker --- checked packets, a ring ---> bfd thread --- frames, a ring ---> worker 0 ---> uplink
 *                                                  |  |
 *                 workers read bfd_is_cut() <------+  +------> control: dp_config.on_peer
 *
 * The thread does nothing else, takes no lock that anybody holds for long, and has real-time priority where the system
 * allows it, so that neither control's work nor busy workers make a peer look dead. It sends through a worker: a host
 * whose workers are stuck falls silent, as it should.
 *
 * What comes from the underlay is checked by the worker that takes it, before it gets a place in the ring: only packets of
 * peers, that know whom they speak to, and of each only as many as it may send. So a flood of others' costs no session.
 *
 *   peer   another host by its address in the underlay, whatever networks reach it
 *   cut    a peer that was up and is lost: frames to it are dropped as peer-down
 *   hold   many are lost at once, and none is cut (hold.h)
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "addr/ip.h"
#include "dataplane/core/dp.h"
#include "dataplane/frame/burst.h"

enum { BFD_PEERS = MAX_VTEPS + 1, BFD_NO_PEER = 0 };

struct bfd {
	_Atomic(uint8_t) cut[BFD_PEERS]; /* written by the thread */
	struct bfd_inside *inside;
};

/** Control thread, without workers. -ENOMEM or what the system says. */
int bfd_open(struct dp *dp);
/** Starts the thread, once there are workers: until then the caller takes its turns (bfd_turn). */
int bfd_start(struct dp *dp);
/** While workers run: tells every peer that this host ends, and waits until that is on its way. The thread ends. */
void bfd_stop(struct dp *dp);
void bfd_close(struct dp *dp);

/* A peer as control wants it. */
struct bfd_want {
	struct ip_addr remote, local;
	uint32_t interval_ms;
	uint8_t multiplier;
	bool routed;	 /* not on the uplink's link: RFC 5883, else the hop limit must be 255 */
	uint16_t uplink; /* OUT_NONE: none reaches it */
	bool resolved;	 /* the next hop's MAC is known */
	uint8_t from[6], to[6];
};

/**
 * Control thread. Speaks with this peer from here on, or otherwise than until now. Returns its number, or BFD_NO_PEER when
 * there is no memory.
 */
uint16_t bfd_want(struct dp *dp, const struct bfd_want *want);

/** Control thread. Speaks with it no longer, and says so. Nothing when it is no peer. */
void bfd_unwant(struct dp *dp, struct ip_addr remote);

/** Control thread. Its number, BFD_NO_PEER: none. */
uint16_t bfd_peer(struct dp *dp, struct ip_addr remote);

/** Control thread, when dp_private.link_fd says that there are news: dp_config.on_peer for each peer that changed. */
void bfd_report(struct dp *dp);

/** Worker. Is nothing to be sent to this peer? Never of BFD_NO_PEER. */
static inline bool bfd_is_cut(const struct dp *dp, uint16_t peer)
{
	return __builtin_expect(atomic_load_explicit(&dp->bfd->cut[peer], memory_order_relaxed), 0);
}

/**
 * Worker. A datagram to this host, whose UDP header is f->l4_off bytes from its first one and came with this hop limit. True:
 * it is BFD's, and has its verdict.
 */
bool bfd_input(struct worker *w, struct port *in, struct frame *f, struct ip_addr from, uint8_t hops);

/** The thread, or a test that has none: one turn at the time `now_us`. Returns when the next is due. */
uint64_t bfd_turn(struct dp *dp, uint64_t now_us);
