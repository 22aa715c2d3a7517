/*
 * tap.h: makes TAP interfaces that carry frames with a virtio_net_hdr. Control thread.
 *
 * An open TAP descriptor keeps the namespace that it was opened in alive. A container's namespace must go
 * when the container does, so its TAP is made in a namespace of the switch's own (scratch_netns) and moved:
 * when the container's namespace ends, the kernel deletes the interface and the descriptor reports an error.
 */
#pragma once

#include <stdint.h>

enum { TAP_QUEUES_MAX = 8, TAP_HDR_BYTES = 12 };

struct tap_spec {
	const char *ifname;
	int netns;	   /* where the interface is to be; -1: the current namespace */
	int scratch_netns; /* where it is made when that is another one; -1: in `netns` itself, which it then keeps
		       */
	unsigned queues; /* 1..TAP_QUEUES_MAX; more than one makes it a multi-queue interface */
};

/**
 * Makes the interface, down and without addresses, and fills `fds` with one non-blocking descriptor a queue.
 * It is gone when the last of them is closed. Returns 0 or -errno: -EEXIST (the name is taken there), -EINVAL
 * (not a name for an interface).
 */
int tap_open(const struct tap_spec *spec, int fds[TAP_QUEUES_MAX]);

/**
 * Lets the interface have IPv6 addresses, which a container's namespace may have switched off for new ones, and, where the
 * daemon may set that, tell all of them whenever it comes up. 0 or -errno: -EAFNOSUPPORT, this kernel has no IPv6, or the
 * interface none with so low an MTU.
 */
int tap_enable_ip6(int netns, const char *ifname);

/** What the interface with this MAC is called in `netns`, once it is up there. 0 or -errno: -ENOENT, there is none. */
int tap_name_of_mac(int netns, const uint8_t mac[6], char ifname[16]);
