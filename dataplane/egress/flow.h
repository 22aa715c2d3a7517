/* flow.h: connections of guests with the world outside, and the ports that they have of an uplink's address. Worker. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/core/stats.h"
#include "dataplane/core/worker.h"
#include "dataplane/egress/inside.h"

/* A packet's ends as the guest sees them. Addresses and ports in network byte order. Of a ping guest_port is its id. */
struct ends {
	uint32_t guest, peer;
	uint16_t guest_port, peer_port;
	uint8_t proto;
	uint16_t net;
};

/* The same as the world sees it: the uplink's address and the port there. */
struct outside {
	uint32_t address, peer;
	uint16_t port, peer_port;
	uint8_t proto;
};

/* Who the guest is: its MAC, and whom its connections count for (inside.h). */
struct guest {
	uint8_t mac[6];
	uint16_t owner;
};

/* What a packet's header tells beside its addresses; ports in network byte order. */
struct flow_ports {
	uint16_t from,
		to;  /* of a request to answer a ping `from` is its id, of the answer `to`; the other is 0 */
	uint8_t tcp; /* flags; of other protocols FLOW_ACK */
};

/** Is all of the IPv4 packet's TCP, UDP or ICMP header there, and in the private copy? */
bool flow_has_header(const struct frame *f);
/** Reads that header. `ping`: which of ICMP_ECHO and ICMP_ECHO_REPLY goes this way. False: it is of nothing that has a flow. */
bool flow_read(const struct frame *f, uint8_t ping, struct flow_ports *out);

/** The connection of a packet that a guest sends; hit->end is what its source is outside. */
bool flow_of_guest(struct egress *e, const struct ends *ends, struct conn_hit *hit);

/** The connection of a packet that comes from outside; hit->end is where it goes. */
bool flow_of_peer(struct egress *e, const struct outside *outside, struct conn_hit *hit);

/** The network and the MAC of the guest of a connection that flow_of_peer() found. False: it is gone, or its port is. */
bool flow_guest(struct worker *w, const struct conn_hit *hit, uint16_t *net, uint8_t mac[6]);

/** The guest sends from this MAC: what comes back goes there. */
void flow_guest_is_at(struct egress *e, const struct conn_hit *hit, uint16_t net, const uint8_t mac[6]);

/**
 * Makes the connection that the guest begins, with a port of `address` in this worker's slice that no other connection
 * with the same peer has. When there is none, one is taken that is closed, or whose owner has over twice as many as
 * this guest. Returns DROP_COUNT and the side of the guest's packets, else DROP_NAT_PORTS.
 */
enum drop_reason flow_open(struct worker *w, const struct ends *ends, uint32_t address,
	const struct guest *guest, struct conn_hit *hit);

/** Makes the connection that a peer begins to a published port, and finds the side of its packets. DROP_COUNT, or why not. */
enum drop_reason flow_open_in(struct worker *w, const struct ends *ends, const struct outside *outside,
	const struct guest *guest, struct conn_hit *hit);

enum { FLOW_FIN = 1, FLOW_SYN = 2, FLOW_RST = 4, FLOW_ACK = 16 };

/** A packet of the side that was found, with these TCP flags (other protocols: FLOW_ACK). */
void flow_packet(struct worker *w, struct conn_hit *hit, uint8_t tcp, uint32_t bytes);

/** Is it a SYN that begins a connection? */
static inline bool flow_begins(uint8_t tcp)
{
	return (tcp & (FLOW_SYN | FLOW_ACK | FLOW_RST | FLOW_FIN)) == FLOW_SYN;
}
