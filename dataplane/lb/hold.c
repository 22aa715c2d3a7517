#include "dataplane/lb/hold.h"

#include "dataplane/core/dp.h"
#include "dataplane/core/mem.h"
#include "dataplane/frame/parse.h"
#include "dataplane/l2/fdb.h"
#include "dataplane/lb/lb.h"
#include "dataplane/lb/service.h"

enum {
	KEPT_S = 1, /* before another may have the place */
	LATE_S = 5, /* who sends the rest of a datagram sends its first fragment within this time, or never */
};

/* Of a place: whoever changes it from one of the first two has the place. */
enum state { STATE_FREE, STATE_WAITS, STATE_TAKEN, STATE_GOES /* + the index of the worker that sends it */ };

struct held_frame {
	_Atomic(uint32_t) state; /* enum state */
	_Atomic(uint32_t) row, since_s;
	_Atomic(uint64_t) hash; /* of the datagram */
	/* of who has the place */
	uint32_t len;
	uint16_t port, net, vtep;
	struct offload off;
	uint8_t data[HOLD_BYTES];
} __attribute__((aligned(64)));

enum { TABLE_BYTES = HOLD_PARTS * HOLD_WAYS * sizeof(struct held_frame) };

struct held_frame *hold_open(void)
{
	return mem_alloc(TABLE_BYTES);
}

void hold_close(struct held_frame *held)
{
	mem_free(held, TABLE_BYTES);
}

static unsigned part_of(unsigned row)
{
	return row % HOLD_PARTS;
}

static struct held_frame *places_of(struct worker *w, unsigned part)
{
	return w->dp->lb->held + (size_t)part * HOLD_WAYS;
}

/* The clock of the worker that kept it may be a second ahead. */
static bool is_over(const struct worker *w, const struct held_frame *h, int32_t seconds)
{
	return (int32_t)(w->now_s - atomic_load_explicit(&h->since_s, memory_order_relaxed)) > seconds;
}

static bool take(struct held_frame *h, uint32_t from, uint32_t to)
{
	return atomic_compare_exchange_strong_explicit(
		&h->state, &from, to, memory_order_acquire, memory_order_relaxed);
}

/* It goes nowhere. The caller has the place. */
static void lose(struct worker *w, const struct held_frame *h)
{
	const struct port *in = dp_get_port(w->dp, h->port);

	if (h->net == NET_NONE || !dp_get_net(w->dp, h->net))
		return; /* with what it would be counted for */
	stat_add(&w->net_stats[h->net].generated, 1);
	if (in)
		port_drop(w, in, h->net, DROP_FRAGMENT);
	else
		stat_add(&w->net_stats[h->net].uplink_drop[DROP_FRAGMENT], 1);
}

static struct held_frame *take_place(struct worker *w, unsigned part)
{
	struct held_frame *places = places_of(w, part);

	for (unsigned i = 0; i < HOLD_WAYS; i++) {
		struct held_frame *h = &places[i];
		uint32_t state = atomic_load_explicit(&h->state, memory_order_relaxed);

		if ((state != STATE_FREE && (state != STATE_WAITS || !is_over(w, h, KEPT_S))) ||
			!take(h, state, STATE_TAKEN))
			continue;
		if (state == STATE_WAITS)
			lose(w, h);
		return h;
	}
	return NULL;
}

/* True: nothing waits there any more. */
static bool sweep_part(struct worker *w, unsigned part)
{
	struct held_frame *places = places_of(w, part);
	bool empty = true;

	for (unsigned i = 0; i < HOLD_WAYS; i++) {
		struct held_frame *h = &places[i];

		if (atomic_load_explicit(&h->state, memory_order_relaxed) == STATE_FREE)
			continue;
		if (is_over(w, h, LATE_S) && take(h, STATE_WAITS, STATE_TAKEN)) {
			lose(w, h);
			atomic_store_explicit(&h->state, STATE_FREE, memory_order_release);
		} else {
			empty = false;
		}
	}
	return empty;
}

/* Each worker has parts of its own. Only those where something was kept are looked at: the rest is not there yet. */
void service_drop_late(struct worker *w)
{
	_Atomic(uint32_t) *used = &w->dp->lb->held_parts;
	uint32_t parts = atomic_load_explicit(used, memory_order_relaxed);

	for (; parts; parts &= parts - 1) {
		unsigned part = (unsigned)__builtin_ctz(parts);
		uint32_t bit = UINT32_C(1) << part;

		if (part % w->dp->nworker != w->index)
			continue;
		atomic_fetch_and(
			used, ~bit); /* before the look, so that what comes meanwhile sets it again */
		if (!sweep_part(w, part))
			atomic_fetch_or(used, bit);
	}
}

bool hold_keep(struct worker *w, const struct port *in, const struct frame *f, unsigned row, uint64_t hash)
{
	/* a large one would have to be cut, in the burst that it is sent in */
	const uint32_t bit = UINT32_C(1) << part_of(row);
	_Atomic(uint32_t) *used = &w->dp->lb->held_parts;
	bool fits = f->len <= HOLD_BYTES && !f->off.gso_type && !f->routed;
	struct held_frame *h = fits ? take_place(w, part_of(row)) : NULL;

	if (!h)
		return false;
	frame_copy(f, h->data);
	h->len = f->len;
	h->port = in->id;
	h->net = f->net;
	h->vtep = f->src_vtep;
	h->off = f->off;
	atomic_store_explicit(&h->row, row, memory_order_relaxed);
	atomic_store_explicit(&h->hash, hash, memory_order_relaxed);
	atomic_store_explicit(&h->since_s, w->now_s, memory_order_relaxed);
	atomic_store(&h->state, STATE_WAITS);
	if (!(atomic_load(used) & bit))
		atomic_fetch_or(used, bit);
	return true;
}

static bool is_of(const struct held_frame *h, unsigned row, uint64_t hash)
{
	return atomic_load_explicit(&h->hash, memory_order_relaxed) == hash &&
	       atomic_load_explicit(&h->row, memory_order_relaxed) == row;
}

void hold_let_go(struct worker *w, unsigned row, uint64_t hash)
{
	struct held_frame *places = places_of(w, part_of(row));

	for (unsigned i = 0; i < HOLD_WAYS; i++) {
		struct held_frame *h = &places[i];

		if (!is_of(h, row, hash) || !take(h, STATE_WAITS, STATE_GOES + w->index))
			continue;
		if (is_of(h, row, hash))
			w->late |= UINT32_C(1) << part_of(row);
		else /* it became another's as we looked */
			atomic_store_explicit(&h->state, STATE_WAITS, memory_order_release);
	}
}

/* As its source filled it. */
static void fill(struct burst *b, struct port *in, const struct held_frame *h)
{
	struct frame *f;
	uint16_t private = h->len < HDR_MAX ? (uint16_t)h->len : HDR_MAX;

	b->in = in;
	b->count = 0;
	b->nspan = 0;
	b->bytes = 0;
	f = burst_begin(b);
	memcpy(frame_data(f), h->data, private);
	f->hdr_len = private;
	f->len = h->len;
	f->net = h->net;
	f->src_vtep = h->vtep;
	f->off = h->off;
	burst_keep_piece(b, f, h->data + private, h->len - private);
	parse_frame(f);
}

static void send_one(struct worker *w, struct held_frame *h, void (*send)(struct worker *w, struct burst *b))
{
	struct port *in = dp_get_port(w->dp, h->port);

	if (!in || (in->net != h->net && !in->is_uplink) || !dp_get_net(w->dp, h->net) ||
		is_over(w, h, LATE_S)) {
		lose(w, h);
		return;
	}
	stat_add(&w->net_stats[h->net].generated, 1);
	fill(&w->segments, in, h);
	send(w, &w->segments);
}

void service_send_late(struct worker *w, void (*send)(struct worker *w, struct burst *b))
{
	uint32_t late = w->late;

	w->late = 0;
	for (; late; late &= late - 1) {
		struct held_frame *places = places_of(w, (unsigned)__builtin_ctz(late));

		for (unsigned i = 0; i < HOLD_WAYS; i++) {
			struct held_frame *h = &places[i];

			if (atomic_load_explicit(&h->state, memory_order_relaxed) != STATE_GOES + w->index)
				continue;
			send_one(w, h, send);
			atomic_store_explicit(&h->state, STATE_FREE, memory_order_release);
		}
	}
}
