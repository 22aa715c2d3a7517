/*
 * sctp.h: the checksum of SCTP (RFC 9260, 6.8: CRC32c), which a veth hands over unfinished like those of TCP
 * and UDP. No port can be asked for it by a virtio_net_hdr, so it is filled in where the frame arrives.
 */
#pragma once

#include <stdbool.h>

#include "dataplane/frame/burst.h"

/**
 * Worker. Fills the checksum if f->off asks for one of an SCTP packet, and clears the request. Returns false,
 * and leaves the frame, when it asks for anything else, or the packet is not all there.
 */
bool sctp_serve(struct frame *f);

/**
 * Worker. A port of the SCTP packet in f, whose header is at l4_off, has become another: `change` is the old one XOR the
 * new, as they lie there, `at` 0 for the source and 2 for the destination. CRC is linear, so that the checksum is
 * changed by that of the difference alone: no payload is read, and what was broken before stays so. IPv4.
 */
void sctp_port_changed(struct frame *f, unsigned at, uint16_t change);
