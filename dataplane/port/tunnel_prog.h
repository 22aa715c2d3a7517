/*
 * tunnel_prog.h: large TCP frames inside VXLAN, for the kernel to cut as late as it can: at the NIC that does it itself,
 * or nowhere, between the namespaces of one machine.
 *
 * A packet socket's request (virtio_net_hdr) cannot say that what is to be cut is inside a tunnel, so a BPF program on the
 * device's way out says it: it takes the outer header off and puts it on again in the way that the kernel has for
 * programs that encapsulate (bpf_skb_adjust_room(), BPF_F_ADJ_ROOM_ENCAP_...). It touches what comes from one
 * socket and nothing else. It hangs on a bpf_link, gone with the process however that ends; a kernel before 6.6 has
 * none for this place. Control thread.
 */
#pragma once

#include <stdint.h>

struct tunnel_prog {
	int prog, link; /* -1: none */
};

/**
 * From here on what the packet socket `fd` sends by device `ifindex` are frames in VXLAN over IPv4 without options, each with
 * a request for the inner TCP packet. 0 or -errno, also where the device itself would not cut them (-EOPNOTSUPP): then
 * large UDP (udp_gso.h) is cheaper.
 */
int tunnel_prog_attach(struct tunnel_prog *prog, int fd, int ifindex);

/** Takes it off. One with -1 is allowed. */
void tunnel_prog_close(struct tunnel_prog *prog);
