/*
 * traffic.h: the bench's frames. Each is an Ethernet frame with IPv4 and UDP, valid to the last checksum,
 * that says which port sent it and as the how-manyeth; so the receiver can tell loss, reordering, duplication,
 * a wrong port and a changed byte. Pair i is one host behind each of the two ports, with MAC and IP addresses
 * of its own.
 *
 *	0   destination MAC 02:5b:<port>:<pair, 24 bits>; source MAC the same way
 *	14  IPv4, 10.<pair> and 10.<pair's complement>: the header checksum is the same for every pair
 *	34  UDP, no checksum
 *	44  mark: TRAFFIC_MARK + the sending port
 *	48  sequence number, 64 bits, of this sender
 *	56  pattern to the end
 *
 * Over IPv6 all from the UDP header on stands 20 bytes further, the addresses are fd5b::10.<pair> and the same
 * way, and UDP has its checksum, which IPv6 asks for.
 */
#pragma once

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "bench/front/front.h"
#include "bench/traffic/sum.h"

enum {
	TRAFFIC_HEAD =
		64, /* what changes from frame to frame lies within these; not less than the shortest frame */
	TRAFFIC_FCS =
		4, /* counted in a frame's size, as everywhere (RFC 2544), but not there on a virtio ring */
	TRAFFIC_HEAD6 = 80, /* the same of IPv6 */
	TRAFFIC_MIN = 64,
	TRAFFIC_MIN6 = 90,    /* of IPv6: a neighbour advertisement fits in, too */
	TRAFFIC_LONGER6 = 20, /* an IPv6 header than an IPv4 header */
	TRAFFIC_MAX = 9004,
	TRAFFIC_IMIX =
		1, /* in a size's place: the usual mixture of 7 frames of 64 bytes, 4 of 570, 1 of 1518 */
	TRAFFIC_SIZES = 3,
	TRAFFIC_MIX = 12, /* frames after which a mixture repeats */
	TRAFFIC_MAX_PAIRS = 1 << 24,
	TRAFFIC_MARK = 0x51ce0000,
};

/* One size of frame: of pair 0, as either port sends it. */
struct traffic_frame {
	_Alignas(64) uint8_t whole[2][TRAFFIC_MAX];
	unsigned length; /* in memory: without FCS */
	bool ipv6;
	uint32_t udp_sum[2];   /* IPv6: of what a UDP checksum is over, but for what differs */
	uint32_t frame_sum[2]; /* IPv6: of a whole frame, but for the ends of its MACs */
};

struct traffic {
	struct traffic_frame size[TRAFFIC_SIZES];
	unsigned n_sizes;
	unsigned longer;	  /* bytes by which the IP header is longer than that of IPv4 */
	uint8_t mix[TRAFFIC_MIX]; /* which size the n-th slot of a ring sends */
};

/** Frames of `size` bytes (TRAFFIC_MIN, IPv6: TRAFFIC_MIN6, to TRAFFIC_MAX, FCS included, or TRAFFIC_IMIX: not of
 * IPv6). */
void traffic_init(struct traffic *t, unsigned size, bool ipv6);

/** Every slot of a transmit ring has its frame, as port `from` sends it, `outer` bytes in, and its length. */
void traffic_fill(const struct traffic *t, struct front_ring *ring, uint32_t outer, unsigned from);

/** The longest frame that `size` (as above) makes, in bytes with FCS. */
unsigned traffic_longest(unsigned size);

/** What the n-th slot of a ring sends; always the same. */
static inline const struct traffic_frame *traffic_of_slot(const struct traffic *t, unsigned slot)
{
	return t->n_sizes == 1 ? &t->size[0] : &t->size[t->mix[slot % TRAFFIC_MIX]];
}

/* A frame of IPv6. The sum of both addresses is the same for every pair, as that of IPv4's header is. */
static inline void traffic_write6(const struct traffic_frame *t, uint8_t *frame, unsigned from, uint32_t src,
	uint32_t dst, uint64_t seq)
{
	uint16_t check = sum_udp(t->udp_sum[from] + sum_words(seq));

	memcpy(frame + 34, &src, 4);
	memcpy(frame + 50, &dst, 4);
	memcpy(frame + 60, &check, 2);
	memcpy(frame + 68, &seq, 8);
}

/**
 * Writes the first TRAFFIC_HEAD bytes (IPv6: TRAFFIC_HEAD6) of a frame of `pair` to host `to` behind the other port (its own pair,
 * or for learning always the same), that port `from` sends as its number `seq`. The rest, the pattern, is the
 * same in every frame of a slot: it has been put there once.
 */
static inline void traffic_write(const struct traffic_frame *t, uint8_t *frame, unsigned from, uint32_t pair,
	uint32_t to, uint64_t seq)
{
	uint32_t near = 10u << 24 | pair, far = 10u << 24 | (0xffffff - pair);
	uint32_t destination = htonl((uint32_t)!from << 24 | to), source = htonl((uint32_t)from << 24 | pair);
	uint32_t src = htonl(from ? far : near), dst = htonl(from ? near : far);

	memcpy(frame, t->whole[from], t->ipv6 ? TRAFFIC_HEAD6 : TRAFFIC_HEAD);
	memcpy(frame + 2, &destination, 4);
	memcpy(frame + 8, &source, 4);
	if (t->ipv6) {
		traffic_write6(t, frame, from, src, dst, seq);
		return;
	}
	memcpy(frame + 26, &src, 4);
	memcpy(frame + 30, &dst, 4);
	memcpy(frame + 48, &seq, 8);
}

/** The one's complement sum of such a frame of IPv6, in which the UDP checksum makes up for the number. */
static inline uint32_t traffic_sum6(const struct traffic_frame *t, unsigned from, uint32_t pair, uint32_t to)
{
	return t->frame_sum[from] + sum_words(htonl((uint32_t)!from << 24 | to)) +
	       sum_words(htonl((uint32_t)from << 24 | pair));
}

/** True when a frame of `len` bytes has one of the lengths sent. */
static inline bool traffic_has_length(const struct traffic *t, uint32_t len)
{
	for (unsigned i = 0; i < t->n_sizes; i++)
		if (t->size[i].length == len)
			return true;
	return false;
}

/** True when `frame` was meant for port `at` and comes from the other one; *seq is then its number. */
static inline bool traffic_read(
	const struct traffic *t, const uint8_t *frame, uint32_t len, unsigned at, uint64_t *seq)
{
	uint32_t mark;

	memcpy(&mark, frame + t->longer + 44, 4);
	memcpy(seq, frame + t->longer + 48, 8);
	return traffic_has_length(t, len) && mark == TRAFFIC_MARK + !at && frame[2] == at;
}

/** True when everything but what traffic_write changes is as it was sent by port `from`. */
bool traffic_intact(const struct traffic *t, const uint8_t *frame, uint32_t len, unsigned from);
