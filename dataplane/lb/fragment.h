/*
 * fragment.h: what the first fragment of a datagram, which has the ports, says of the later ones, which have none.
 *
 * Each port remembers the datagrams that it sent lately, and so does each network those that came through a tunnel: a
 * guest that sends many forgets its own, and nobody else's. Later fragments that come before the first one, or whose
 * first one was forgotten, are kept for a while (hold.h). Where there is no room for them they are dropped on their
 * way to a vip, and go on as they are on the way from a backend.
 * Datagrams of both families share the same places.
 * Worker.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "addr/ip.h"
#include "dataplane/frame/burst.h"

struct port;
struct worker;

enum fragment_to {
	FRAGMENT_PASSES,     /* of no service: they go on as they are */
	FRAGMENT_TO_BACKEND, /* of a request: `value` is the backend's id */
	FRAGMENT_TO_CLIENT,  /* of an answer: `value` is the vip */
	FRAGMENT_DROP,	     /* whose first fragment was dropped */
	FRAGMENT_UNKNOWN,    /* no first fragment was seen within 30 s (RFC 791, 1122 3.3.2) */
};

/* Set in a `value` beside FRAGMENT_TO_BACKEND that is no backend's id but what egress/fragment.h noted: a datagram is known by
 * 23 bits of its hash, so one of the one kind may be found for one of the other. */
#define FRAGMENT_EGRESS (UINT32_C(1) << 31)

/** Is the fragment, of an IPv4 frame with l3_off set, the first one of its datagram? */
bool service_fragment_is_first(struct frame *f);

/** The first fragment of a datagram, from port `in`, says where the later ones go; those that were kept go there after
 * this turn. Before the frame is rewritten. */
void service_fragment_note(
	struct worker *w, const struct port *in, struct frame *f, enum fragment_to to, uint32_t value);

/** Where this later fragment goes, by the first one of its datagram. */
enum fragment_to service_fragment_find(
	struct worker *w, const struct port *in, struct frame *f, uint32_t *value);

/** Keeps one whose datagram's first fragment is not known. True: it is consumed, and goes on as a frame of the switch's own
 * when that comes. */
bool service_fragment_hold(struct worker *w, const struct port *in, struct frame *f);

/** What a datagram over IPv4 is known by: addresses, protocol and id. */
uint64_t service_fragment_hash(struct worker *w, struct frame *f);

/** What a datagram over IPv6 is known by: addresses and id (RFC 8200, 4.5). */
uint64_t service_fragment_hash6(struct worker *w, struct frame *f, uint32_t id);

/** The same three for the datagram with that hash, of either family: `vip` is that of an answer, instead of `value`. */
void service_fragment_note6(struct worker *w, const struct port *in, const struct frame *f, uint64_t hash,
	enum fragment_to to, uint32_t value, struct ip_addr vip);
enum fragment_to service_fragment_find6(struct worker *w, const struct port *in, const struct frame *f,
	uint64_t hash, uint32_t *value, struct ip_addr *vip);
bool service_fragment_hold6(struct worker *w, const struct port *in, const struct frame *f, uint64_t hash);
