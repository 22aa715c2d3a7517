/*
 * offload.h: checksums and segmentation in software, for receivers that take neither (PORT_CSUM,
 * PORT_TSO4/6). The semantics are those of virtio_net_hdr (virtio 1.1, 5.1.6.2): with NEEDS_CSUM the L4
 * checksum field holds the uncomplemented sum of the pseudo header.
 */
#pragma once

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/frame/burst.h"

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5 /* virtio 1.3, 5.1.6; newer than Debian 12's headers */
#endif

/* A large frame that asks for more segments is refused: 64 KB in single bytes would be an attack. */
enum { OFFLOAD_SEGMENTS_MAX = 256 };

/**
 * Worker. Do the frame's own headers bear out the request in f->off? csum_start and csum_offset must name the
 * checksum field of the frame's TCP or UDP header. A large frame must be TCP with the gso_type of its IP
 * version (the ECN bit does not matter), or UDP in datagrams of gso_size, which no guest is offered but a
 * veth hands over all the same. It must have NEEDS_CSUM set, an IP length that is the frame's, and a gso_size
 * that gives at most OFFLOAD_SEGMENTS_MAX segments. Call it before anything relies on f->off; a frame that
 * fails is dropped as bad-offload. Sources that make no request (flags and gso_type 0) pass at once.
 *
 * What passes is in normal form: flags is NEEDS_CSUM or DATA_VALID or 0; the headers up to the checksum field
 * (of a large frame: all of them) are private; hdr_len is right; and gso_type is NONE when one segment holds
 * it all.
 */
bool offload_valid(struct frame *f);

/** Bytes of the longest frame that goes on the wire: of a large frame, as offload_valid() left it, of one of its segments. */
static inline uint32_t offload_wire_len(const struct frame *f)
{
	if (f->off.gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return f->len;
	return (uint32_t)f->off.hdr_len + f->off.gso_size;
}

/**
 * Worker. For a frame without a request from a source that leaves TCP and UDP checksums to others without
 * saying so: where the field holds the sum of the pseudo header, f->off asks for the rest, in normal form. A
 * whole checksum that looks the same by chance, one in 65,536, is computed once more and comes out as it was.
 */
void offload_detect(struct frame *f);

/**
 * Worker. Fills the checksum that f->off asks for by reading the frame, and clears the request. The frame may
 * not be segmented any more (gso_type NONE).
 */
void offload_checksum(struct frame *f);

/** Worker. The sum of the frame's bytes from private byte `start` on (csum.h). */
uint64_t offload_sum(struct frame *f, uint16_t start);

/**
 * Worker. Cuts a large frame into segments of gso_size: the next up to BURST_MAX of them from payload
 * offset *offset, as frames of `out` that borrow the same payload, with IP lengths, ids, checksums and TCP
 * sequence numbers and flags right, and with complete L4 checksums unless `keep_csum` (then each asks for its
 * checksum by NEEDS_CSUM). The frame must have passed offload_valid(). `out` is emptied first; its frames
 * take everything else from f. Moves *offset on; the frame is done when *offset reaches its payload length.
 * Returns the number of segments. Source: RFC 9293 (flags of segments: FIN, PSH only on the last; CWR only on
 * the first), RFC 6864 (IPv4 id).
 */
uint16_t offload_segment(struct frame *f, struct burst *out, uint32_t *offset, bool keep_csum);
