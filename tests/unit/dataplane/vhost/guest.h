/*
 * guest.h: a guest of a port of world.h: a front-end that goes through the handshake, memory of
 * its own, and the rings of its first queue pair. What it does after that the test says (say.h).
 */
#pragma once

#include <linux/virtio_config.h>
#include <linux/virtio_net.h>

#include "tests/unit/dataplane/vhost/say.h"
#include "tests/unit/dataplane/vhost/world.h"

enum {
	GUEST_MEM = 1 << 20,
	GUEST_GPA = 0x100000,
	GUEST_UVA = 0x70000000,
	GUEST_NUM = 64,	   /* entries of a ring */
	GUEST_RX_RING = 0, /* offsets of the rings: the guest receives by this one */
	GUEST_TX_RING = GUEST_MEM - 16384,
	GUEST_BUFFER = 65536,
};

#define GUEST_FEATURES                                                                                       \
	(UINT64_C(1) << VIRTIO_F_VERSION_1 | UINT64_C(1) << VIRTIO_NET_F_MRG_RXBUF |                         \
		UINT64_C(1) << VHOST_F_PROTOCOL_FEATURES)

struct guest {
	int fd, memfd;
	uint8_t *mem;
	int kick[2], call[2]; /* eventfds of its rings */
};

/** A connection to port i, on which nothing was said. */
int guest_join(unsigned i);
void guest_leave(int fd);

/** A memfd of `len` bytes. */
int guest_memory(size_t len);
/** SET_MEM_TABLE with one region: the first `size` bytes of `memfd` at GUEST_GPA. */
void guest_say_memory(int fd, int memfd, uint64_t size);
/** SET_VRING_ADDR of a ring that lies at `offset` of the guest's memory. */
void guest_say_addr(int fd, uint32_t index, uint64_t offset);
/** All that ring i needs to run, except being enabled. */
void guest_set_vring(struct guest *g, unsigned i);

/** The whole handshake with port i, up to rings that run. */
void guest_boot(struct guest *g, unsigned i);
/** Leaves and gives everything back; a connection that was closed before is fd -1. */
void guest_shut(struct guest *g);

/** Offers a frame of `len` bytes of zeroes. */
void guest_sends(struct guest *g, uint32_t len);
/** Offers one at `slot` of a packed ring, in a round with this wrap counter. */
void guest_sends_packed(struct guest *g, unsigned slot, bool wrap);
/** Does a frame get through to port i? The proof that the port works. */
void guest_expect_alive(struct guest *g, unsigned i);
