/*
 * ring.h: one ring as a worker has it: what both kinds share, and the functions of split ones
 * (virtio 1.1, 2.6). packed.h has those of packed ones.
 *
 * Control fills a ring, publishes it by one pointer and does not touch it again; a message that changes
 * anything takes the pointer back, waits for the grace period, and only then reads the ring's indices and
 * frees it. All three parts of the ring lie inside one region each, checked at publication, so workers index
 * them unchecked.
 *
 * What the guest writes (avail, descriptors, frame headers) is read once, by these functions, into private
 * memory.
 */
#pragma once

#include <assert.h>
#include <linux/virtio_ring.h>
#include <rte_spinlock.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/frame/burst.h"
#include "dataplane/vhost/mem.h"
#include "dataplane/vhost/notify.h"

enum {
	VHOST_RING_MAX = 32768,	       /* entries */
	VHOST_LINKS = FRAME_SPANS + 2, /* descriptors of a chain: the spans, the header, an indirect one */
	VHOST_HDR = 12,		       /* virtio_net_hdr with num_buffers */
	VHOST_HDR_LEGACY = 10,	       /* without VERSION_1 and MRG_RXBUF */
	VHOST_CHAIN_MAX =
		VHOST_HDR + FRAME_MAX + HDR_ROOM, /* of a chain that holds one frame, or takes one */
};

/*
 * How many descriptors a guest may make its worker read. The short ways read two a frame at most. The long
 * way, which takes any chain, counts in ring->links. It ends after so many, at the end of the chain that it
 * is at.
 */
enum {
	/* that one frame is put into: 64 KB in buffers of 1 KB; drivers' are of 1.5 KB and more, 44 for it */
	VHOST_FRAME_CHAINS = 64,
	/*
	 * a call of tx, for each of its frames: one for so many bytes and some more, or what Linux offers where it may not
	 * merge buffers; and so many in all
	 */
	VHOST_TX_LINK_BYTES = 256,
	VHOST_TX_LINKS_MERGED = 4,
	VHOST_TX_LINKS = 20,
	VHOST_TX_LINKS_MAX = VHOST_TX_LINKS * BURST_MAX,
	/* a turn of rx: no more than there are spans for */
	VHOST_RX_LINKS = BURST_SPANS,
};

/* A region as the data path sees it. */
struct vhost_range {
	uint64_t gpa;
	uint64_t safe; /* a chain that starts below this offset ends inside, whatever its length: one compare
			*/
	uint8_t *host;
	uint64_t size;
};

struct vhost_given;
struct vhost_packed_region;

struct vhost_ring {
	/* constant while published */
	union {
		struct { /* split */
			struct vring_desc *desc;
			struct vring_avail *avail;
			struct vring_used *used;
		};
		struct { /* packed */
			struct vring_packed_desc *slot;
			const struct vring_packed_desc_event *guest_wish; /* when it wants to be notified */
			struct vring_packed_desc_event *wish;		  /* and we */
		};
	};
	struct vhost_range hot; /* where the last chain lay; looked at first, and the worker's */
	const struct vhost_mem *mem;
	uint16_t mask;	 /* entries - 1 */
	uint8_t hdr_len; /* VHOST_HDR or VHOST_HDR_LEGACY */
	bool packed, event_idx, indirect, mergeable;
	uint8_t rx_flags;  /* virtio_net_hdr flags that the guest may set */
	uint8_t tx_flags;  /* and those that it understands */
	uint8_t gso_types; /* bit (1 << gso_type) for each that the guest may send */
	int kick;	   /* -1: none */
	struct vhost_call call;
	/* the worker's */
	uint16_t seen;		    /* split: avail->idx when it was read last */
	uint16_t next_avail;	    /* of the next chain to take: an index, or a slot */
	uint16_t next_used;	    /* of the next chain to give back */
	uint16_t signalled;	    /* next_used when the guest was last notified */
	bool avail_wrap, used_wrap; /* packed: of next_avail and next_used */
	bool ever_signalled;
	bool armed;
	uint16_t taken;	   /* chains borrowed by rx and not yet given back */
	uint32_t links;	   /* descriptors that this turn's rx, or this call of tx, has read the long way */
	uint32_t may_read; /* that this call of tx may for the frames that it has had so far */
	uint32_t unfit;	   /* this call of tx has read in vain for a frame of this length or a shorter one */
	uint16_t lately;   /* packed: chains that the last burst took */
	uint16_t since_mark;		     /* packed: slots given back since the mark was left (resume.h) */
	struct vhost_packed_region *tracked; /* packed; NULL: its front-end keeps none (inflight.h) */
	rte_spinlock_t lock;		     /* tx, when there are several workers */
	struct vhost_given *given;	     /* packed, [BURST_MAX]: the chains that rx borrowed */
} __attribute__((aligned(64)));

/*
 * Reads guest memory once. Volatile rather than atomic: as whole as the other for an aligned word, and no
 * barrier to the compiler for what is ours.
 */
static inline uint16_t vhost_read16(const void *p)
{
	typedef uint16_t __attribute__((aligned(1))) loose; /* a guest's frame may begin anywhere */

	return *(const volatile loose *)p;
}

static inline uint8_t vhost_read8(const void *p)
{
	return *(const volatile uint8_t *)p;
}

static inline uint64_t vhost_read64(const void *p)
{
	return *(const volatile uint64_t *)p;
}

/** A descriptor, read once. */
struct vhost_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};
static_assert(sizeof(struct vhost_desc) == sizeof(struct vring_desc), "read as two words");

static inline struct vhost_desc vhost_desc_read(const struct vring_desc *d)
{
	uint64_t low = vhost_read64(&d->addr), high = vhost_read64(&d->len);

	return (struct vhost_desc){low, (uint32_t)high, (uint16_t)(high >> 32), (uint16_t)(high >> 48)};
}

/** Chains that the guest has offered and that were not taken. More than the ring holds: the guest is mad. */
static inline uint16_t vhost_ring_offered(struct vhost_ring *r)
{
	r->seen = __atomic_load_n(&r->avail->idx, __ATOMIC_ACQUIRE);
	return (uint16_t)(r->seen - r->next_avail);
}

/** The same, without asking the guest's core while `want` of them are known of. */
static inline uint16_t vhost_ring_known(struct vhost_ring *r, uint16_t want)
{
	uint16_t known = (uint16_t)(r->seen - r->next_avail);

	return known >= want ? known : vhost_ring_offered(r);
}

/** Head of the `i`th chain from the next one; may be out of range. */
static inline uint16_t vhost_ring_head(const struct vhost_ring *r, uint16_t i)
{
	return vhost_read16(&r->avail->ring[(r->next_avail + i) & r->mask]);
}

/**
 * Has the descriptors fetched of the chains that the next burst will take, as far as they are known of. Four
 * lie in a cache line, mostly of chains that follow each other.
 */
static inline void vhost_ring_prefetch_next(const struct vhost_ring *r)
{
	uint16_t known = (uint16_t)(r->seen - r->next_avail);

	if (known > BURST_MAX)
		known = BURST_MAX;
	for (uint16_t i = 0; i < known; i += 64 / sizeof(struct vring_desc))
		__builtin_prefetch(&r->desc[vhost_ring_head(r, i) & r->mask]);
	__builtin_prefetch(&r->avail->ring[(r->next_avail + BURST_MAX) & r->mask]);
}

/** Has the entries of the next n used chains fetched. */
static inline void vhost_ring_prefetch_used(const struct vhost_ring *r, uint16_t n)
{
	const uint16_t line = 64 / sizeof(struct vring_used_elem);

	for (unsigned i = 0; i < n + line - 1u; i += line)
		__builtin_prefetch(&r->used->ring[(r->next_used + i) & r->mask]);
}

/**
 * Notes the `i`th chain from the next one as used; the guest sees it after vhost_ring_publish(). What stands
 * there already is not written again, so that the line may stay in the guest's cache: a guest that uses its
 * descriptors in turns finds the same ones every time round.
 */
static inline void vhost_ring_use(struct vhost_ring *r, uint16_t i, uint16_t head, uint32_t len)
{
	struct vring_used_elem *used = &r->used->ring[(r->next_used + i) & r->mask];

	if (used->id != head || used->len != len)
		*used = (struct vring_used_elem){head, len};
}

/** Gives `n` noted chains back. True: the guest wants to be notified of it now (vhost_notify). */
static inline bool vhost_ring_publish(struct vhost_ring *r, uint16_t n)
{
	uint16_t old = r->signalled;
	bool wanted;

	r->next_used += n;
	__atomic_store_n(&r->used->idx, r->next_used, __ATOMIC_RELEASE);
	/* the guest sets its wish, then looks at used->idx; we set used->idx, then look at its wish */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!r->event_idx)
		return !(vhost_read16(&r->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	wanted = !r->ever_signalled ||
		 vring_need_event(vhost_read16(&r->avail->ring[r->mask + 1]), r->next_used, old);
	r->ever_signalled = true;
	r->signalled = r->next_used;
	return wanted;
}

/** Tells the guest whether to kick when it offers more. */
static inline void vhost_ring_want_kick(struct vhost_ring *r, bool on)
{
	uint16_t *event = (uint16_t *)&r->used->ring[r->mask + 1];

	/* "not" is an event as far away as can be, since with event index the flag has no say */
	if (r->event_idx)
		__atomic_store_n(event, (uint16_t)(r->next_avail - !on), __ATOMIC_RELAXED);
	else
		__atomic_store_n(&r->used->flags, on ? 0 : VRING_USED_F_NO_NOTIFY, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/** `len` bytes at guest address `gpa` in the ring's hot region, NULL when they are not all there. */
static inline uint8_t *vhost_ring_hot(const struct vhost_ring *r, uint64_t gpa, uint64_t len)
{
	uint64_t at = gpa - r->hot.gpa;

	return at < r->hot.size && len <= r->hot.size - at ? r->hot.host + at : NULL;
}

/**
 * The same for the start of anything that is at most VHOST_CHAIN_MAX bytes long, in `hot`, a copy of r->hot:
 * one compare. NULL also when it starts too near the region's end to tell.
 */
static inline uint8_t *vhost_range_at(const struct vhost_range *hot, uint64_t gpa)
{
	uint64_t at = gpa - hot->gpa;

	return __builtin_expect(at < hot->safe, 1) ? hot->host + at : NULL;
}

/** Worker. As vhost_ring_hot() in any region, which becomes the hot one. */
uint8_t *vhost_ring_reach(struct vhost_ring *r, uint64_t gpa, uint64_t len);

static inline uint8_t *vhost_ring_at(struct vhost_ring *r, uint64_t gpa, uint64_t len)
{
	uint8_t *ptr = vhost_ring_hot(r, gpa, len);

	return __builtin_expect(ptr != NULL, 1) ? ptr : vhost_ring_reach(r, gpa, len);
}

/* Of a chain: the spans of a frame, and the header. One whose header shares its piece with so much of the frame
 * that this gives one span more is refused where its spans are lent (frame.c). */
enum { VHOST_PIECES = FRAME_SPANS + 1 };

/* A range of guest memory that was validated. */
struct vhost_piece {
	uint8_t *ptr;
	uint32_t len;
};

/* A chain as it was when it was read. */
struct vhost_chain {
	unsigned count;
	uint32_t len; /* bytes in all */
	struct vhost_piece piece[VHOST_PIECES];
};

/**
 * Worker. Adds a descriptor to a chain: its range checked, cut where it crosses regions. False: out of range,
 * the wrong direction, too long, too many pieces.
 */
bool vhost_chain_add(struct vhost_ring *r, struct vhost_chain *chain, uint64_t gpa, uint32_t len,
	uint16_t flags, bool writable);

/**
 * Worker. Reads the chain at `head` (linked or indirect; `writable` says which way all of it must be) into
 * private memory: each link once, each range checked, none empty, cut where it crosses regions. Returns false
 * when the chain breaks the rules: a loop, too long, too many pieces, out of range, the wrong direction.
 */
bool vhost_chain_read(struct vhost_ring *r, uint16_t head, bool writable, struct vhost_chain *chain);

/** Worker. A call of tx begins. */
static inline void vhost_tx_begin(struct vhost_ring *r)
{
	r->links = 0;
	r->may_read = 0;
	r->unfit = UINT32_MAX;
}

/** Worker. Allows what is read for one more frame, of `len` bytes, that goes the long way. */
static inline void vhost_tx_allow(struct vhost_ring *r, uint32_t len)
{
	r->may_read += r->mergeable ? VHOST_TX_LINKS_MERGED + len / VHOST_TX_LINK_BYTES : VHOST_TX_LINKS;
	if (r->may_read > VHOST_TX_LINKS_MAX)
		r->may_read = VHOST_TX_LINKS_MAX;
}

/**
 * Worker. May one more chain be read for a frame of `len` bytes, of which `left` have no buffer yet after
 * `chains` chains? After a read in vain no frame that is longer than the buffers which were found may try: it
 * would find the same ones.
 */
static inline bool vhost_tx_goes_on(struct vhost_ring *r, unsigned chains, uint32_t len, uint32_t left)
{
	if (len >= r->unfit)
		return false;
	if (chains < VHOST_FRAME_CHAINS && r->links < r->may_read)
		return true;
	if (chains > 0)
		r->unfit = len - left + 1;
	return false;
}
