/*
 * vxlan.h: frames over IPv4 to other hosts (RFC 7348). A remote vtep as workers see it is an immutable object
 * with the outer header ready made; a change of its uplink or next hop publishes a new one in dp->vtep[id].
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/frame/burst.h"

enum {
	VXLAN_OUTER = 14 + 20 + 8 + 8, /* Ethernet, IPv4, UDP, VXLAN */
	VXLAN_PORT = 4789,
};

struct dp;

struct vtep {
	uint16_t id;
	uint16_t net;
	uint16_t uplink; /* port id, OUT_NONE: none reaches it */
	bool ready;	 /* the next hop's MAC is known */
	uint32_t remote;
	uint32_t vni;
	uint32_t ip_sum; /* of the outer IP header but for its length: uncomplemented */
	uint8_t outer[VXLAN_OUTER];
};

/* What decapsulation looks up, immutable: open addressing over (VNI, remote). */
struct vxlan_slot {
	uint64_t key; /* VNI << 32 | remote; 0: free */
	uint16_t net, vtep;
	uint16_t uplink; /* by which it is reached, and comes; OUT_NONE: none */
};
struct vxlan_map {
	uint32_t mask;
	struct vxlan_slot slot[];
};

/** Worker. Puts the outer header before the frame, which has its final length and no offload request. */
void vxlan_encap(struct frame *f, const struct vtep *vtep);
/** Worker. Takes it off again, so that the frame can go elsewhere too. */
void vxlan_unencap(struct frame *f);

/** Any thread inside a grace period. The slot of (vni, remote), NULL: none. */
const struct vxlan_slot *vxlan_find(const struct vxlan_map *map, uint32_t vni, uint32_t remote);

/** Control. Fills vtep->outer for a next hop; `src` and `address` are the uplink's. */
void vxlan_prepare(struct vtep *vtep, const uint8_t dst_mac[6], const uint8_t src_mac[6], uint32_t address,
	uint16_t vxlan_port);

/** Control. Publishes a map of all vteps, retires the old one. -ENOMEM. */
int vxlan_publish(struct dp *dp);
