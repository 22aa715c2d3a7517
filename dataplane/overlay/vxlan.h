/*
 * vxlan.h: frames over IPv4 or IPv6 to other hosts (RFC 7348). A remote vtep as workers see it is an immutable
 * object with the outer header ready made; a change of its uplink or next hop publishes a new one in dp->vtep[id].
 *
 * Over IPv6 the UDP checksum is sent unless the uplink says otherwise: a receiver has to be told to do without
 * (RFC 6935). The flow label carries the inner flow's entropy, as the source port does (RFC 6438).
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "addr/ip.h"
#include "dataplane/frame/burst.h"

enum {
	VXLAN_OUTER = 14 + 20 + 8 + 8, /* Ethernet, IPv4, UDP, VXLAN */
	VXLAN_OUTER6 = 14 + 40 + 8 + 8,
	VXLAN_PORT = 4789,
};

struct dp;

struct vtep {
	uint16_t id;
	uint16_t net;
	uint16_t uplink; /* port id, OUT_NONE: none reaches it */
	bool ready;	 /* the next hop's MAC is known */
	uint16_t peer;	 /* bfd.h: the host that it is at */
	bool six;	 /* over IPv6 */
	uint32_t
		sum; /* uncomplemented: of the outer IPv4 header but for its length; of IPv6's pseudo header likewise, in
			 memory order */
	uint8_t outer[VXLAN_OUTER6];
	bool no_csum; /* over IPv6 without a UDP checksum */
	uint32_t vni;
	struct ip_addr remote;
};
static_assert((int)VXLAN_OUTER6 <= (int)HDR_ROOM, "the outer header is written into the room");

/** Bytes that it puts before a frame. */
static inline uint16_t vxlan_outer(const struct vtep *vtep)
{
	return vtep->six ? VXLAN_OUTER6 : VXLAN_OUTER;
}

/* What decapsulation looks up, immutable: open addressing over (VNI, remote). */
struct vxlan_slot {
	uint64_t key; /* VNI << 32 | remote, of IPv6 what is folded of it, and VXLAN_KEY6; 0: free */
	uint16_t net, vtep;
	uint16_t uplink; /* by which it is reached, and comes; OUT_NONE: none */
};
struct vxlan_map {
	uint32_t mask;
	struct vxlan_slot slot[];
};

#define VXLAN_KEY6 (UINT64_C(1) << 63)

/** Worker. Puts the outer header before the frame, which has its final length and no offload request. Over IPv6 it may
 * get one, for the outer checksum. */
void vxlan_encap(struct frame *f, const struct vtep *vtep);
/** Worker. Takes it off again, so that the frame can go elsewhere too. */
void vxlan_unencap(struct frame *f, const struct vtep *vtep);

/** Any thread inside a grace period. The slot of (vni, remote), NULL: none. */
const struct vxlan_slot *vxlan_find(const struct vxlan_map *map, uint32_t vni, uint32_t remote);
/** The same for a remote of IPv6. */
const struct vxlan_slot *vxlan_find6(struct dp *dp, uint32_t vni, struct ip_addr remote);

/** Control. Fills vtep->outer for a next hop; `src_mac` and `address` are the uplink's, the latter of the remote's
 * family. */
void vxlan_prepare(struct vtep *vtep, const uint8_t dst_mac[6], const uint8_t src_mac[6],
	struct ip_addr address, uint16_t vxlan_port);

/** Control. Publishes a map of all vteps, retires the old one. -ENOMEM. */
int vxlan_publish(struct dp *dp);
