/* flow.h: connections of guests with the world outside, and the ports that they have of an uplink's address. Worker. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/core/stats.h"
#include "dataplane/core/worker.h"
#include "dataplane/egress/inside.h"
#include "dataplane/frame/nat.h"

/* A packet's ends as the guest sees them, both of one family. Ports in network byte order. Of a ping guest_port is its id. */
struct ends {
	struct ip_addr guest, peer;
	uint16_t guest_port, peer_port;
	uint8_t proto;
	uint16_t net;
};

/* The same as the world sees it: the uplink's address and the port there. */
struct outside {
	struct ip_addr address, peer;
	uint16_t port, peer_port;
	uint8_t proto;
};

/* Who the guest is: its MAC, and whom its connections count for (inside.h). */
struct guest {
	uint8_t mac[6];
	uint32_t owner;
};

/* What a packet's header tells beside its addresses; ports in network byte order. */
struct flow_ports {
	uint16_t from,
		to;  /* of a request to answer a ping `from` is its id, of the answer `to`; the other is 0 */
	uint8_t tcp; /* flags; of SCTP sctp_tcp_flags(), of others FLOW_ACK */
};

/** Is all of the packet's TCP, UDP, SCTP or ICMP header there? It is in the private copy then. Finds it where the parser does not
 * look for it: SCTP over IPv6. */
bool flow_has_header(struct frame *f);
/** Reads that header. `asks`: pings go this way, else their answers. False: it is of nothing that has a flow. */
bool flow_read(struct frame *f, bool asks, struct flow_ports *out);

/** The address that hit->end stands for, of either family. */
static inline struct ip_addr flow_end(const struct conn_hit *hit)
{
	return hit->end.ip ? ip_from4(hit->end.ip) : hit->ip6;
}

/** Gives one end of the packet that address and its port, or a ping its id, and the frame `mac` at the same end. */
void flow_rewrite(struct frame *f, enum nat_end end, const uint8_t mac[6], const struct conn_hit *hit);

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
enum drop_reason flow_open(struct worker *w, const struct ends *ends, struct ip_addr address,
	const struct guest *guest, struct conn_hit *hit);

/** Makes the connection that a peer begins to a published port, and finds the side of its packets. DROP_COUNT, or why not. */
enum drop_reason flow_open_in(struct worker *w, const struct ends *ends, const struct outside *outside,
	const struct guest *guest, struct conn_hit *hit);

enum { FLOW_FIN = 1, FLOW_SYN = 2, FLOW_RST = 4, FLOW_ACK = 16 };

/** A packet of the side that was found, with these flags (struct flow_ports). */
void flow_packet(struct worker *w, struct conn_hit *hit, uint8_t tcp, uint32_t bytes);

/** Is it a SYN that begins a connection? */
static inline bool flow_begins(uint8_t tcp)
{
	return (tcp & (FLOW_SYN | FLOW_ACK | FLOW_RST | FLOW_FIN)) == FLOW_SYN;
}
