#include "dataplane/lb/fragment.h"

#include "dataplane/core/dp.h"
#include "dataplane/frame/parse.h"
#include "dataplane/lb/lb.h"

enum {
	IP_OFFSET = 0x1fff,
	REASSEMBLY_S = 30,
	DATAGRAM = 2, /* in the place of a direction: the key is of no connection */
};

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

static inline _Atomic(uint64_t) *place_of(struct worker *w, uint64_t hash)
{
	return &w->dp->lb->fragment[hash % LB_FRAGMENTS];
}

static bool is_noted(struct worker *w, uint64_t hash)
{
	uint64_t noted = atomic_load_explicit(place_of(w, hash), memory_order_relaxed);

	return noted >> 32 == hash >> 32 && w->now_s - (uint32_t)noted <= REASSEMBLY_S;
}

void service_fragment_note(struct worker *w, struct frame *f, bool is_answer)
{
	uint64_t hash = datagram_hash(w, f);

	if (is_answer)
		atomic_store_explicit(
			place_of(w, hash), (hash & ~(uint64_t)UINT32_MAX) | w->now_s, memory_order_relaxed);
	else if (is_noted(w, hash))
		atomic_store_explicit(place_of(w, hash), 0, memory_order_relaxed);
}

bool service_fragment_noted(struct worker *w, struct frame *f)
{
	return is_noted(w, datagram_hash(w, f));
}
