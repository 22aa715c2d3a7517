#include "dataplane/lb/fragment.h"

#include "dataplane/core/dp.h"
#include "dataplane/frame/parse.h"
#include "dataplane/lb/hold.h"
#include "dataplane/lb/lb.h"

enum {
	IP_OFFSET = 0x1fff,
	REASSEMBLY_S = 30,
	DATAGRAM = 2, /* in the place of a direction: the key is of no connection */
	BUCKETS = LB_FRAGMENTS / RECENT_WAYS,
	SECOND_SHIFT = 34,
	SECOND_MASK = 1023,
	TO_SHIFT = 32,
	TO_MASK = 3,
	WAITS = 1, /* the value beside FRAGMENT_DROP of a datagram whose first fragment later ones wait for */
};
static_assert((BUCKETS & (BUCKETS - 1)) == 0, "a bucket is chosen by bits");
static_assert(DP_BACKENDS_MAX <= FRAGMENT_EGRESS, "an id has no such bit");
static_assert(FRAGMENT_DROP <= (int)TO_MASK, "an entry below its tag: second | enum fragment_to | value");

bool service_fragment_is_first(struct frame *f)
{
	return (load16(frame_data(f) + f->l3_off + 6) & IP_OFFSET) == 0;
}

/* Addresses, protocol and id, under the secret of the connection table. */
uint64_t service_fragment_hash(struct worker *w, struct frame *f)
{
	const uint8_t *ip = frame_data(f) + f->l3_off;
	struct conn_key key = conn_key((enum conn_dir)DATAGRAM, f->net, ip[9], load_ip4(ip + 12),
		load_ip4(ip + 16), load16(ip + 4), 0);
	uint64_t hash;

	conn_hash(w->dp->lb->conns, &key, &hash, 1);
	return hash;
}

uint64_t service_fragment_hash6(struct worker *w, struct frame *f, uint32_t id)
{
	const uint8_t *ip = frame_data(f) + f->l3_off;

	return conn_key6(w->dp->lb->conns, (enum conn_dir)DATAGRAM, f->net, 0, ip_from6(ip + 8),
		ip_from6(ip + 24), (uint16_t)(id >> 16), (uint16_t)id)
		.addresses;
}

/* Where datagrams of this sender are: a row of LB_FRAGMENTS. */
static unsigned row_of(const struct port *in, const struct frame *f)
{
	return f->src_vtep == VTEP_NONE ? in->id : MAX_PORTS + f->net;
}

static unsigned bucket_at(uint64_t hash)
{
	return (unsigned)(hash & (BUCKETS - 1)) * RECENT_WAYS;
}

static uint32_t age(uint64_t entry, uint32_t now_s)
{
	return (now_s - (uint32_t)(entry >> SECOND_SHIFT)) & SECOND_MASK;
}

static uint64_t entry_of(struct worker *w, uint64_t hash, enum fragment_to to, uint32_t value)
{
	return recent_tag(hash) | (uint64_t)(w->now_s & SECOND_MASK) << SECOND_SHIFT |
	       (uint64_t)to << TO_SHIFT | value;
}

static enum fragment_to read_entry(const struct worker *w, uint64_t entry, uint32_t *value)
{
	enum fragment_to to = entry >> TO_SHIFT & TO_MASK;

	*value = (uint32_t)entry;
	if (!entry || age(entry, w->now_s) > REASSEMBLY_S || (to == FRAGMENT_DROP && *value == WAITS))
		return FRAGMENT_UNKNOWN;
	return to;
}

static bool is_waited_for(uint64_t entry, uint64_t hash)
{
	return entry >> RECENT_TAG_SHIFT == recent_tag(hash) >> RECENT_TAG_SHIFT &&
	       (entry >> TO_SHIFT & TO_MASK) == FRAGMENT_DROP && (uint32_t)entry == WAITS;
}

/* Returns where it was written. */
static recent_t *note(struct worker *w, unsigned row, uint64_t hash, enum fragment_to to, uint32_t value)
{
	uint64_t entry = entry_of(w, hash, to, value);
	recent_t *place = recent_place(&w->dp->lb->fragment[row][bucket_at(hash)], entry, w->now_s, age);

	if (__builtin_expect(is_waited_for(atomic_exchange(place, entry), hash), 0))
		hold_let_go(w, row, hash);
	return place;
}

/* *at: where in the row it was found. */
static enum fragment_to find(struct worker *w, unsigned row, uint64_t hash, uint32_t *value, unsigned *at)
{
	uint64_t entry = recent_find_way(&w->dp->lb->fragment[row][bucket_at(hash)], recent_tag(hash), at);

	*at += bucket_at(hash);
	return read_entry(w, entry, value);
}

/*
 * First the copy, then the word that it waits: who notes the first fragment sees that word and finds the copy, or comes
 * before, and is seen here. (Two workers that write of one datagram at the same instant may lose it.)
 */
static bool hold(struct worker *w, const struct port *in, const struct frame *f, unsigned row, uint64_t hash)
{
	recent_t *place;
	uint64_t entry = entry_of(w, hash, FRAGMENT_DROP, WAITS), old;
	uint32_t value;

	if (!hold_keep(w, in, f, row, hash))
		return false;
	place = recent_place(&w->dp->lb->fragment[row][bucket_at(hash)], entry, w->now_s, age);
	old = atomic_load(place);
	if (recent_tag(hash) >> RECENT_TAG_SHIFT != old >> RECENT_TAG_SHIFT ||
		read_entry(w, old, &value) == FRAGMENT_UNKNOWN) {
		if (atomic_compare_exchange_strong(place, &old, entry))
			return true;
	}
	hold_let_go(w, row, hash);
	return true;
}

void service_fragment_note(
	struct worker *w, const struct port *in, struct frame *f, enum fragment_to to, uint32_t value)
{
	note(w, row_of(in, f), service_fragment_hash(w, f), to, value);
}

enum fragment_to service_fragment_find(
	struct worker *w, const struct port *in, struct frame *f, uint32_t *value)
{
	unsigned at;

	return find(w, row_of(in, f), service_fragment_hash(w, f), value, &at);
}

void service_fragment_note6(struct worker *w, const struct port *in, const struct frame *f, uint64_t hash,
	enum fragment_to to, uint32_t value, struct ip_addr vip)
{
	unsigned row = row_of(in, f);
	const recent_t *place = note(w, row, hash, to, to == FRAGMENT_TO_CLIENT ? lb_fold6(vip) : value);
	struct fragment_vip *beside;

	if (to != FRAGMENT_TO_CLIENT)
		return;
	beside = &w->dp->lb->vip6[row][place - w->dp->lb->fragment[row]];
	atomic_store_explicit(&beside->q[0], vip.q[0], memory_order_relaxed);
	atomic_store_explicit(&beside->q[1], vip.q[1], memory_order_relaxed);
}

/* Another worker may be writing the vip: then it is not the one that the entry is of. */
enum fragment_to service_fragment_find6(struct worker *w, const struct port *in, const struct frame *f,
	uint64_t hash, uint32_t *value, struct ip_addr *vip)
{
	unsigned row = row_of(in, f), at;
	enum fragment_to to = find(w, row, hash, value, &at);
	const struct fragment_vip *beside;

	if (to != FRAGMENT_TO_CLIENT)
		return to;
	beside = &w->dp->lb->vip6[row][at];
	vip->q[0] = atomic_load_explicit(&beside->q[0], memory_order_relaxed);
	vip->q[1] = atomic_load_explicit(&beside->q[1], memory_order_relaxed);
	return lb_fold6(*vip) == *value ? to : FRAGMENT_UNKNOWN;
}

bool service_fragment_hold(struct worker *w, const struct port *in, struct frame *f)
{
	return hold(w, in, f, row_of(in, f), service_fragment_hash(w, f));
}

bool service_fragment_hold6(struct worker *w, const struct port *in, const struct frame *f, uint64_t hash)
{
	return hold(w, in, f, row_of(in, f), hash);
}
