/*
 * guard.h: what a port may send from, and is sent. Frames that speak for addresses of others end here, before
 * anybody learns from them.
 *
 *   off    anything, but for what no port may do (below)
 *   mac    from its own MACs; and unicast to its own MACs only
 *   full   and from its own addresses: IPv4 and IPv6 sources, ARP, RARP and neighbour discovery
 *
 * Its own are the port's MAC with its addresses, and what is allowed besides: a MAC with the port's addresses,
 * or a MAC with a prefix. From any port, whatever its security, these are refused:
 *
 *   ARP and neighbour discovery that claim a gateway of the network or a vip, of any but the gateway port
 *   and those that answer the daemon's own requests for an address that is another port's
 *   DHCP answers and router advertisements, of any but the gateway port and trusted ones
 *
 * Control makes a guard of a port's spec and publishes it with one pointer; it never changes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "dataplane/core/port.h"
#include "dataplane/dataplane.h"
#include "dataplane/frame/burst.h"
#include "dataplane/frame/parse.h"
#include "dataplane/l2/fdb.h"

struct guard {
	uint64_t plain;	 /* source MAC and ethertype of its IPv4, as a frame has them; 0: it has no address */
	uint64_t plain6; /* the same of IPv6 */
	uint64_t mac;	 /* source MAC, in the low 48 bits */
	uint32_t ip[DP_IPS_MAX]; /* its addresses of IPv4 */
	uint8_t security;	 /* enum dp_security */
	uint8_t nip, nip6;
	uint8_t nallow;
	bool trusted; /* also: the gateway port */
	struct ip_addr ip6[DP_IPS_MAX];
	struct dp_allow allow[];
};
static_assert(offsetof(struct guard, ip6) <= 64, "what nearly every frame needs is one line");

/** Control. The guard of a port like `spec`, NULL: no memory. Freed with free(). */
struct guard *guard_new(const struct dp_port *spec);

/** Any thread inside a grace period. NULL for an uplink. */
static inline const struct guard *port_guard(const struct port *port)
{
	return atomic_load_explicit(&port->guard, memory_order_acquire);
}

/** Any thread inside a grace period. Is what the port sends checked? */
static inline bool guard_is_on(const struct port *port)
{
	const struct guard *guard = port_guard(port);

	return guard && guard->security != DP_SECURITY_OFF;
}

/**
 * Is a frame of a port IPv4 without tags and options, and no DHCP answer? Nearly every frame is, and of these
 * nobody has to find out more than the source address. Reads the header's bytes whether they are there or not.
 */
static inline bool guard_is_plain(const struct frame *f)
{
	const uint8_t *data = f->hdr + f->hdr_off;
	uint32_t type;
	uint16_t from, to;

	memcpy(&type, data + 12, 4);
	memcpy(&from, data + ETH_LEN + 20, 2);
	memcpy(&to, data + ETH_LEN + 22, 2);
	return ((type & 0xffffff) == 0x450008) & (from != 67 << 8) & (to != 68 << 8) &
	       (f->hdr_len >= ETH_LEN + 24);
}

/** Worker. Is `mac` (48 bits, as in fdb_key()) one that the port may send from? */
bool guard_has_mac(const struct guard *guard, uint64_t mac);

/** Worker. May a port be sent this frame? One that is guarded gets no unicast to others. */
static inline bool guard_takes(const struct port *port, const struct frame *f)
{
	const struct guard *guard = port_guard(port);
	uint64_t mac = fdb_frame_key(0, f->hdr + f->hdr_off);

	return !guard_is_on(port) || (mac & FDB_GROUP) || guard_has_mac(guard, mac);
}

/** Worker. May `mac` (6 bytes) speak for this IPv4 address (network byte order)? */
bool guard_has_ip4(const struct guard *guard, const uint8_t *mac, uint32_t ip);

/** Worker. May `mac` speak for this IPv6 address (16 bytes)? Its EUI-64 link-local one, the port's, and those allowed. */
bool guard_has_ip6(const struct guard *guard, const uint8_t *mac, const uint8_t *ip);

struct burst;
struct headers;
struct worker;

/** Worker. The stage: refuses what is not the port's to send. */
void guard_stage(struct worker *w, struct burst *b);

/** Worker. check.c: why a frame of a port with DP_SECURITY_FULL is refused, DROP_COUNT when it is not. */
enum drop_reason guard_check(const struct guard *guard, struct frame *f, const struct headers *h);
