/*
 * xdp_prog.h: the XDP program before a network device that decides which frames the switch gets. It hangs on
 * a bpf_link, which the kernel takes off with the last file descriptor: however the process dies, the device
 * is the kernel's again. Control thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "addr/ip.h"
#include "dataplane/dataplane.h"

struct xdp_prog {
	int map, prog, link; /* -1: none */
	bool generic;	     /* the driver has no XDP of its own */
};

/* What of the frames belongs to the switch; the rest goes to the kernel. */
struct xdp_filter {
	bool everything;
	struct ip_addr address; /* otherwise VXLAN to this address and UDP port */
	uint16_t port;
};

/** Loads the program for a device of `queues` receive queues; nothing is attached yet. 0 or -errno, said in
 * err. */
int xdp_prog_load(
	struct xdp_prog *prog, const struct xdp_filter *filter, unsigned queues, struct dp_err *err);

/** Frames of `queue` go to the AF_XDP socket `fd`. -errno. */
int xdp_prog_set(struct xdp_prog *prog, unsigned queue, int fd);

/** From here on frames come: by the driver's XDP, or where it has none, by the kernel's. 0 or -errno, in err.
 */
int xdp_prog_attach(struct xdp_prog *prog, int ifindex, struct dp_err *err);

/** Takes it off and frees it. A zeroed or failed one with fds -1 is allowed. */
void xdp_prog_close(struct xdp_prog *prog);
