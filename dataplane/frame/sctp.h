/*
 * sctp.h: what a packet of SCTP says of its association, and its checksum (RFC 9260, 6.8: CRC32c), which a veth hands over
 * unfinished like those of TCP and UDP. No port can be asked for it by a virtio_net_hdr, so it is filled in where the frame
 * arrives.
 */
#pragma once

#include <stdbool.h>

#include "dataplane/frame/burst.h"

/* Types of chunks (RFC 9260, 3.2), where in a packet the first one's is, and how much of it must be there for that. */
enum {
	SCTP_CHUNK = 12,
	SCTP_NEED = SCTP_CHUNK + 1,
	SCTP_INIT = 1,
	SCTP_ABORT = 6,
	SCTP_SHUTDOWN_ACK = 8,
	SCTP_SHUTDOWN_COMPLETE = 14,
};

/** The flags that a packet which begins with such a chunk would have in TCP. Each end sends one of the last two. */
static inline uint8_t sctp_tcp_flags(uint8_t chunk)
{
	enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };

	switch (chunk) {
	case SCTP_INIT:
		return SYN;
	case SCTP_ABORT:
		return ACK | RST;
	case SCTP_SHUTDOWN_ACK:
	case SCTP_SHUTDOWN_COMPLETE:
		return ACK | FIN;
	default:
		return ACK;
	}
}

/**
 * Worker. Fills the checksum if f->off asks for one of an SCTP packet, and clears the request. Returns false,
 * and leaves the frame, when it asks for anything else, or the packet is not all there.
 */
bool sctp_serve(struct frame *f);

/**
 * Worker. A port of the SCTP packet in f, whose header is at l4_off, has become another: `change` is the old one XOR the
 * new, as they lie there, `at` 0 for the source and 2 for the destination. CRC is linear, so that the checksum is
 * changed by that of the difference alone: no payload is read, and what was broken before stays so.
 */
void sctp_port_changed(struct frame *f, unsigned at, uint16_t change);
