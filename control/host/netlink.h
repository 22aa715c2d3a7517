/*
 * netlink.h: the few rtnetlink requests that setting up a network interface takes, over libmnl. A handle
 * belongs to the namespace that it was opened in and may be used from anywhere. Requests wait for the
 * kernel's answer, which it gives at once. Control thread.
 *
 * Functions return 0 or -errno as the kernel gave it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "addr/ip.h"

struct netlink;

/** Opens a handle in namespace `netns`, -1: the current one. */
int netlink_open(int netns, struct netlink **nl);
/** NULL is allowed. */
void netlink_close(struct netlink *nl);

/** The index of interface `name`, or -ENODEV. */
int netlink_index(struct netlink *nl, const char *name);

/* A change to an interface; what stays zero is left as it is. */
struct netlink_link {
	const uint8_t *mac; /* [6] */
	uint32_t mtu;
	bool up;
	bool no_link_local; /* no IPv6 link-local address by itself */
	bool announce;	    /* it tells its IPv4 addresses to all by a gratuitous ARP whenever it comes up */
};
int netlink_link_set(struct netlink *nl, int index, const struct netlink_link *change);

/** Moves the interface into the namespace behind descriptor `netns`, where it is called `name`. */
int netlink_link_move(struct netlink *nl, int index, int netns, const char *name);

/** `prefix`: bits, of IPv4 out of 32. An IPv6 address may be used at once. Errors: -EACCES (the interface has no IPv6). */
int netlink_addr_add(struct netlink *nl, int index, struct ip_addr address, uint8_t prefix);
int netlink_addr_del(struct netlink *nl, int index, struct ip_addr address, uint8_t prefix);

/** How many bytes of packets wait for the link-layer address of one neighbour, of IPv4 or of IPv6, on the interface. */
int netlink_neighbour_queue(struct netlink *nl, int index, bool ip6, uint32_t bytes);

/** Where packets for `address` go: 1: nowhere else than to this host (or to all on a link), 0: out. Or -errno. */
int netlink_is_local(struct netlink *nl, struct ip_addr address);

/** A default route by `gateway`, which is on the interface's link. Errors: -EEXIST, -ENETUNREACH. */
int netlink_default_route(struct netlink *nl, int index, struct ip_addr gateway);

/** Packets for `address` alone go out on the interface, whose link has it. Adding one that is there is no error. */
int netlink_route_add(struct netlink *nl, int index, struct ip_addr address);
int netlink_route_del(struct netlink *nl, int index, struct ip_addr address);
