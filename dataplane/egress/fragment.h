/*
 * fragment.h: datagrams of connections with the world outside that come in fragments. The first one has the ports, and is
 * translated like any packet; the later ones are known by addresses and id, and go by the connection that it had
 * (lb/fragment.h has the table, with a row for each guest and each uplink). What comes before its first one is dropped: so
 * does nothing wait here. Worker.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/core/worker.h"
#include "dataplane/frame/burst.h"
#include "dataplane/frame/nat.h"
#include "dataplane/lb/conn.h"

struct egress_fragment {
	bool later; /* not the first */
	uint8_t proto;
	uint8_t l4_off; /* of a first one */
	uint64_t hash;	/* of its datagram, as it is before it is rewritten */
};

/** Is it a fragment? Of IPv6, whose fragment header is the first behind its own. */
bool egress_is_fragment(struct frame *f);

/** Reads it. False: it is cut, or of a protocol that does not leave in fragments. */
bool egress_fragment_read(struct worker *w, struct frame *f, struct egress_fragment *out);

/** The first one is of the connection whose side has this index. */
void egress_fragment_note(struct worker *w, const struct port *in, const struct frame *f,
	const struct egress_fragment *fragment, uint32_t index);

/** The connection of a later one, which is from `ends`. False: none. */
bool egress_fragment_find(struct worker *w, const struct port *in, const struct frame *f,
	const struct egress_fragment *fragment, const struct conn_ends *ends, struct conn_hit *hit);

/** Gives a later one its new address at one end. */
void egress_fragment_rewrite(
	struct frame *f, enum nat_end end, const uint8_t mac[6], const struct conn_hit *hit);
