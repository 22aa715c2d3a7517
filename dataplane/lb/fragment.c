#include "dataplane/lb/fragment.h"

#include "dataplane/core/dp.h"
#include "dataplane/frame/parse.h"
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
};
static_assert((BUCKETS & (BUCKETS - 1)) == 0, "a bucket is chosen by bits");
static_assert(FRAGMENT_DROP <= (int)TO_MASK, "an entry below its tag: second | enum fragment_to | value");

bool service_fragment_is_first(struct frame *f)
{
	return (load16(frame_data(f) + f->l3_off + 6) & IP_OFFSET) == 0;
}

/* Addresses, protocol and id, under the secret of the connection table. */
static uint64_t datagram_hash(struct worker *w, struct frame *f)
{
	const uint8_t *ip = frame_data(f) + f->l3_off;
	struct conn_key key = conn_key((enum conn_dir)DATAGRAM, f->net, ip[9], load_ip4(ip + 12),
		load_ip4(ip + 16), load16(ip + 4), 0);
	uint64_t hash;

	conn_hash(w->dp->lb->conns, &key, &hash, 1);
	return hash;
}

static recent_t *bucket_of(struct worker *w, const struct port *in, const struct frame *f, uint64_t hash)
{
	unsigned of = f->src_vtep == VTEP_NONE ? in->id : MAX_PORTS + f->net;

	return &w->dp->lb->fragment[of][(hash & (BUCKETS - 1)) * RECENT_WAYS];
}

static uint32_t age(uint64_t entry, uint32_t now_s)
{
	return (now_s - (uint32_t)(entry >> SECOND_SHIFT)) & SECOND_MASK;
}

void service_fragment_note(
	struct worker *w, const struct port *in, struct frame *f, enum fragment_to to, uint32_t value)
{
	uint64_t hash = datagram_hash(w, f), tag = recent_tag(hash);
	recent_t *bucket = bucket_of(w, in, f, hash);

	if (to == FRAGMENT_UNKNOWN && !recent_find(bucket, tag))
		return;
	recent_put(bucket,
		tag | (uint64_t)(w->now_s & SECOND_MASK) << SECOND_SHIFT | (uint64_t)to << TO_SHIFT | value,
		w->now_s, age);
}

enum fragment_to service_fragment_find(
	struct worker *w, const struct port *in, struct frame *f, uint32_t *value)
{
	uint64_t hash = datagram_hash(w, f), entry = recent_find(bucket_of(w, in, f, hash), recent_tag(hash));

	if (!entry || age(entry, w->now_s) > REASSEMBLY_S)
		return FRAGMENT_UNKNOWN;
	*value = (uint32_t)entry;
	return entry >> TO_SHIFT & TO_MASK;
}
