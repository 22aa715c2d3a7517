/*
 * burst.h: frames on their way through the switch.
 *
 * A frame is borrowed from where it arrived (a guest's ring, a TAP read buffer, a packet-socket ring, an
 * mbuf) until the end of the burst and copied once, straight to where it goes. Two parts make it:
 *
 *   hdr    a private copy of its first bytes (64, or 128 from an uplink). Every decision and rewrite is made
 *          on it, and what is delivered starts with it: a guest that changes its buffer after the check
 *          changes nothing that was checked. HDR_ROOM bytes before it are free for an outer header.
 *   spans  the rest, where it lies, as a short vector of ranges that were validated when the frame was taken.
 *          Its bytes may change under us: never decide on them, only copy or sum them.
 *
 * frame bytes = hdr[hdr_off .. hdr_off + hdr_len) followed by the spans in order; len is the sum.
 *
 * A burst belongs to one worker; nothing in it is shared. The source's buffers go back by port_ops.complete
 * after delivery, so nothing may keep a pointer into a frame past that: what must live longer is copied.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
	BURST_MAX = 32,	   /* frames */
	BURST_SPANS = 256, /* spans of one burst, all frames together */
	FRAME_SPANS = 64,  /* spans of one frame at most, as burst_lend() sees to */
	FRAME_MAX = 65550, /* bytes of a frame at most: 64 KB of IP in an Ethernet header */
	FRAME_MIN = 14,	   /* shorter than an Ethernet header is malformed */
	HDR_ROOM = 76,	   /* free bytes before the private copy, for encapsulation; until then nat.h's */
	HDR_COPY = 64,	   /* private bytes of a frame from a network's port */
	HDR_MAX = 128,	   /* private bytes at most (and of a frame from an uplink) */
	BURST_BYTES = 256 * 1024, /* a source gives at most this many bytes a turn (plus one frame) */
};
static_assert(
	BURST_SPANS >= BURST_MAX - 1 + FRAME_SPANS, "frames in one piece fill a burst before its spans end");
static_assert(FRAME_SPANS <= UINT8_MAX, "counted in frame.nspan");

/* What to do with a frame. Set by the stages, read by deliver. */
enum verdict {
	V_NONE,	    /* not decided yet: the next stage looks at it */
	V_PORT,	    /* to port `out` */
	V_VTEP,	    /* to remote vtep `out`, encapsulated */
	V_FLOOD,    /* to every port and vtep of the network but the one that it came from */
	V_REPLY,    /* back out of the port it came from: the switch's own answer, made of the frame */
	V_REFUSE,   /* counted under `reason`, and made into an answer that says so, back out like V_REPLY */
	V_CONSUMED, /* taken by the switch (counted as consumed) */
	V_DROP,	    /* counted under `reason` */
	V_MERGED,   /* part of a frame before it (tcp_gro.h), which counts for it */
};

#define OUT_NONE UINT16_MAX
#define VTEP_NONE UINT16_MAX
#define NET_NONE UINT16_MAX

/* Checksum and segmentation state, with the meaning and values of struct virtio_net_hdr (virtio 1.1, 5.1.6).
 */
struct offload {
	uint8_t flags;	      /* VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_F_DATA_VALID */
	uint8_t gso_type;     /* VIRTIO_NET_HDR_GSO_NONE, _TCPV4, _TCPV6, _UDP_L4 */
	uint16_t hdr_len;     /* of a large frame: all headers, by offload_valid(); else 0 */
	uint16_t gso_size;    /* payload bytes of a segment */
	uint16_t csum_start;  /* from the first byte of the frame */
	uint16_t csum_offset; /* from csum_start; the field holds the uncomplemented pseudo-header sum */
};
static_assert(sizeof(struct offload) == 10, "the first ten bytes of virtio_net_hdr");

struct span {
	const uint8_t *ptr;
	uint32_t len;
};

struct frame {
	uint32_t len;	  /* bytes in all */
	uint8_t hdr_off;  /* first byte of the frame in hdr[] */
	uint8_t merged;	  /* how many more frames it stands for (tcp_gro.h) */
	uint16_t hdr_len; /* private bytes */
	const struct span *span;
	uint8_t nspan;
	uint8_t verdict;    /* enum verdict */
	uint8_t reason;	    /* enum drop_reason (stats.h), when verdict is V_DROP */
	uint8_t ip_proto;   /* IPv4 protocol or IPv6 next header when l4_off is set */
	uint16_t ethertype; /* host order; once parsed, the innermost after VLAN tags */
	uint8_t l3_off;	    /* of the IP header from the frame's first byte; 0: not IP, or not in the copy */
	uint8_t l4_off;	    /* of the TCP, UDP or ICMP header; 0: none, a fragment, or not in the copy */
	uint16_t net;	    /* network index, NET_NONE before an uplink frame is decapsulated */
	uint16_t out;	    /* port index or vtep index, by verdict */
	uint16_t src_vtep;  /* remote vtep that it came through, VTEP_NONE when from a port */
	struct offload off;
	uint32_t hash;	  /* flow hash; 0: not computed (flow_hash() in parse.h fills it) */
	uint32_t cookie;  /* the source's own: ring head, slot */
	bool parsed;	  /* parse_frame() has run: the offsets below the Ethernet header are known */
	uint8_t was_end;  /* what balancing has rewritten, for nat_undo(): enum nat_end + 1; 0: nothing */
	bool outer_right; /* from an uplink: the device found the outer UDP checksum right */
	bool routed;	  /* between a network and an uplink, by egress/ */
	union {
		struct { /* nat_undo()'s, until an outer header is written there */
			uint32_t was_ip;
			uint8_t was_mac[6];
			uint16_t was_port;
			uint8_t was_ip6[16];
		};
		uint8_t hdr[HDR_ROOM + HDR_MAX];
	};
} __attribute__((aligned(64)));
/* The outer header of IPv4 lies in the line before the private copy, that of IPv6 in six bytes of the state's line too. */
static_assert(HDR_ROOM + HDR_MAX <= UINT8_MAX, "frame.hdr_off reaches all of it");
static_assert(offsetof(struct frame, hdr) + HDR_ROOM == 128 && sizeof(struct frame) == 256,
	"one line of state, one of room, two of header");

struct port;

/* What there is in a burst, so that a stage with nothing to do costs nothing. The first stage finds the last
 * two. */
enum {
	BURST_FROM_PORT = 1,
	BURST_FROM_UPLINK = 2,
	BURST_HAS_LOCAL = 4,   /* ARP, or traffic in a network with vips */
	BURST_HAS_SERVICE = 8, /* the network has vips */
	BURST_GUARDED = 16,    /* the port may send from its own addresses only (guard.h) */
	BURST_HAS_EGRESS = 64, /* the network reaches others by an uplink */
	BURST_ODD = 32,	       /* some frame is none that guard_is_plain() knows */
};

/* What one stage asked of the MAC table, kept for the stage after it: a key, and its hash (fdb.h). */
struct asked {
	uint64_t key;
	uint32_t hash;
};

struct burst {
	uint16_t count;
	uint16_t nspan;	 /* spans of the frames that are counted */
	uint16_t queue;	 /* of `in` that it was taken from */
	struct port *in; /* the port that all frames came from */
	uint8_t traits;	 /* BURST_...: which stages have anything to do with it */
	uint32_t bytes;	 /* all frames together */
	struct frame frame[BURST_MAX];
	struct span span[BURST_SPANS];
	struct asked asked[BURST_MAX]; /* of each frame: for the next look-up of one of its addresses */
	uint8_t end; /* unused: sanitizers do not check the bounds of an array that is a structure's last member */
};

/** The frame's first byte. */
static inline uint8_t *frame_data(struct frame *f)
{
	return f->hdr + f->hdr_off;
}

/** Bytes of the frames that it stands for. */
static inline uint64_t frame_bytes(const struct frame *f)
{
	return f->len + (uint64_t)f->merged * f->off.hdr_len;
}

/** Bytes of the frame that follow the private copy. */
static inline uint32_t frame_tail(const struct frame *f)
{
	return f->len - f->hdr_len;
}

/** Readies slot `f` for a frame that a source is about to take: all state zero, header after HDR_ROOM. */
static inline void frame_init(struct frame *f)
{
	memset(f, 0, offsetof(struct frame, hdr));
	f->hdr_off = HDR_ROOM;
	f->src_vtep = VTEP_NONE;
	f->out = OUT_NONE;
}

static inline void frame_drop(struct frame *f, uint8_t reason)
{
	f->verdict = V_DROP;
	f->reason = reason;
}

/*
 * How a source fills a burst: while burst_has_room(), it calls burst_begin() for a frame, burst_lend() for
 * each of its spans, and burst_keep(). A frame that is not kept is overwritten by the next one. No other code
 * counts frames and spans.
 */

/** Is there room for one more frame, whatever it consists of? A source stops when there is not. */
static inline bool burst_has_room(const struct burst *b)
{
	return b->count < BURST_MAX && b->bytes < BURST_BYTES && b->nspan <= BURST_SPANS - FRAME_SPANS;
}

/** Readies the next frame, which has no spans yet and is not counted. There is room. */
static inline struct frame *burst_begin(struct burst *b)
{
	struct frame *f = &b->frame[b->count];

	frame_init(f);
	f->span = &b->span[b->nspan];
	return f;
}

/** Adds a span to the frame that was begun last. False: more than a frame may have, or than there is room for. */
static inline bool burst_lend(struct burst *b, struct frame *f, const uint8_t *ptr, uint32_t len)
{
	unsigned at = b->nspan + f->nspan;

	if (f->nspan >= FRAME_SPANS || at >= BURST_SPANS)
		return false;
	/* one by one, for clang's sanitizer lets a structure be assigned to the place behind an array */
	b->span[at].ptr = ptr;
	b->span[at].len = len;
	f->nspan++;
	return true;
}

static_assert(FRAME_SPANS > 0, "where burst_has_room() there is one for a frame in one piece");

/**
 * burst_lend() and burst_keep() in one, for a frame in one piece: the `len` bytes at `ptr` follow the private
 * copy. The copy must be as it was made: nothing is read back of what has just been written.
 */
static inline void burst_keep_piece(struct burst *b, struct frame *f, const uint8_t *ptr, uint32_t len)
{
	unsigned at = b->nspan, n = len > 0;

	b->span[at].ptr = ptr; /* without bytes it is not counted, and saves a branch */
	b->span[at].len = len;
	f->nspan = (uint8_t)n;
	b->nspan = (uint16_t)(at + n);
	b->bytes += f->len;
	b->count++;
}

/** Counts the frame that was begun last, with its spans, which may have become fewer since (frame_pull()). */
static inline void burst_keep(struct burst *b, const struct frame *f)
{
	b->nspan = (uint16_t)(f->span + f->nspan - b->span);
	b->bytes += f->len;
	b->count++;
}

/**
 * Makes the first `want` bytes of the frame private (want <= HDR_MAX), or as many as the frame has.
 * Returns the number of private bytes. For the odd frame whose headers are longer than the first copy. May
 * move the header (take frame_data() anew) and shortens the frame's spans.
 */
uint16_t frame_pull(struct frame *f, uint16_t want);

/** Cuts the frame off after `len` bytes; it has as many. May shorten a span. */
void frame_trim(struct frame *f, uint32_t len);

/** Copies the whole frame (header, then spans) to `dst`, which has room for f->len bytes. */
void frame_copy(const struct frame *f, uint8_t *dst);
