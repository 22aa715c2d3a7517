#include "dataplane/l2/policy/rate.h"

#include <linux/virtio_net.h>
#include <rte_cycles.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/core/dp.h"

/*
 * Bursts where none was given, as parts of a second. TCP that has spent its burst loses all that is in
 * flight, and is silent until its time-out, 200 ms in Linux. What arrives meanwhile must fit into the bucket,
 * or that time is lost. Measured at 10, 100 and 400 Mbit/s: bursts of 50, 100 and 200 ms carry 0.3, 0.5 and
 * 0.95 of the rate.
 */
enum {
	BURST_SHARE = 4,
	STORM_SHARE = 10,
	BURST_BYTES_MIN = 256 * 1024, /* four large frames */
	BURST_PACKETS_MIN = 32,	      /* what a port hands over at once */
};

enum { FRACTION = 16 }; /* bits behind the point of a bucket's `each` */

struct bucket {
	_Atomic(uint64_t) full;	 /* TSC at which it is full, if nothing more is taken */
	_Atomic(uint64_t) each;	 /* TSC cycles in which one unit comes, << FRACTION; 0: no bound */
	_Atomic(uint64_t) depth; /* TSC cycles from empty to full */
};

/* Workers that carry one direction write its line only. */
struct port_rates {
	_Alignas(64) struct bucket in_bytes, in_packets;
	_Alignas(64) struct bucket out_bytes, out_packets;
	_Alignas(64) struct bucket storm;
};

/* What frames of a burst count for. */
struct amounts {
	uint32_t bytes[BURST_MAX], packets[BURST_MAX];
};

struct port_rates *rate_new(void)
{
	struct port_rates *rates = aligned_alloc(64, sizeof(*rates));

	if (rates)
		memset(rates, 0, sizeof(*rates));
	return rates;
}

void rate_free(struct port_rates *rates)
{
	free(rates);
}

static void bucket_set(struct bucket *b, double second, double burst)
{
	double hz = (double)rte_get_tsc_hz();
	uint64_t each = second > 0 ? (uint64_t)(hz / second * (1 << FRACTION)) + 1 : 0;
	uint64_t depth = second > 0 ? (uint64_t)(burst / second * hz) : 0;

	if (atomic_load(&b->each) == each && atomic_load(&b->depth) == depth)
		return;
	atomic_store(&b->each, each);
	atomic_store(&b->depth, depth);
	atomic_store(&b->full, rte_rdtsc());
}

static double at_least(double least, double value)
{
	return value > least ? value : least;
}

static void set_direction(struct bucket *bytes, struct bucket *packets, const struct dp_rate *rate)
{
	double bytes_s = (double)rate->bits / 8, packets_s = rate->packets;

	bucket_set(bytes, bytes_s,
		rate->burst ? (double)rate->burst : at_least(BURST_BYTES_MIN, bytes_s / BURST_SHARE));
	bucket_set(packets, packets_s,
		rate->packet_burst ? rate->packet_burst
				   : at_least(BURST_PACKETS_MIN, packets_s / BURST_SHARE));
}

void rate_set(struct port *port, const struct dp_port *spec)
{
	struct port_rates *rates = port->rates;
	uint8_t bounds = (spec->in.bits || spec->in.packets ? RATE_IN : 0) |
			 (spec->out.bits || spec->out.packets ? RATE_OUT : 0) |
			 (spec->storm_pps ? RATE_STORM : 0);

	set_direction(&rates->in_bytes, &rates->in_packets, &spec->in);
	set_direction(&rates->out_bytes, &rates->out_packets, &spec->out);
	bucket_set(&rates->storm, spec->storm_pps,
		at_least(BURST_PACKETS_MIN, (double)spec->storm_pps / STORM_SHARE));
	atomic_store_explicit(&port->bounds, bounds, memory_order_relaxed);
}

static void measure(struct amounts *a, unsigned i, const struct frame *f)
{
	uint32_t more = 0;

	if (f->off.gso_type != VIRTIO_NET_HDR_GSO_NONE && f->off.gso_size && f->len > f->off.hdr_len)
		more = (f->len - f->off.hdr_len - 1) / f->off.gso_size;
	a->bytes[i] = f->len + more * f->off.hdr_len;
	a->packets[i] = 1 + more;
}

/* TSC cycles in which `units` come, rounded up. A burst is less than 2^22 bytes, and 1 KB/s the least rate, so
 * the product fits as long as the TSC runs at less than 8 GHz. */
static inline uint64_t cycles(uint64_t units, uint64_t each)
{
	return (units * each + ((1 << FRACTION) - 1)) >> FRACTION;
}

/*
 * How many of the n amounts, in their order, the bucket covers at `now`. It gives as long as anything is in
 * it, and the last amount may leave it in debt. Otherwise a frame larger than the burst would never pass.
 */
static unsigned take(struct bucket *b, uint64_t now, const uint32_t *amount, unsigned n)
{
	uint64_t each = atomic_load_explicit(&b->each, memory_order_relaxed);
	uint64_t depth = atomic_load_explicit(&b->depth, memory_order_relaxed);
	uint64_t full = atomic_load_explicit(&b->full, memory_order_relaxed), missing, used;
	unsigned got;

	if (!each)
		return n;
	do {
		missing = (int64_t)(full - now) > 0 ? full - now : 0;
		used = 0;
		for (got = 0; got < n && missing + cycles(used, each) < depth; got++)
			used += amount[got];
	} while (got &&
		 !atomic_compare_exchange_weak_explicit(&b->full, &full, now + missing + cycles(used, each),
			 memory_order_relaxed, memory_order_relaxed));
	return got;
}

static void give_back(struct bucket *b, const uint32_t *amount, unsigned n)
{
	uint64_t each = atomic_load_explicit(&b->each, memory_order_relaxed), sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += amount[i];
	atomic_fetch_sub_explicit(&b->full, sum * each >> FRACTION, memory_order_relaxed);
}

/* How many of n frames both buckets cover. */
static unsigned take_both(struct bucket *bytes, struct bucket *packets, const struct amounts *a, unsigned n)
{
	uint64_t now = rte_rdtsc();
	unsigned covered = take(bytes, now, a->bytes, n), got = take(packets, now, a->packets, covered);

	if (got < covered)
		give_back(bytes, a->bytes + got, covered - got);
	return got;
}

void rate_limit_in(struct burst *b)
{
	struct port_rates *rates = b->in->rates;
	struct amounts a = {0};

	for (unsigned i = 0; i < b->count; i++)
		measure(&a, i, &b->frame[i]);
	for (unsigned i = take_both(&rates->in_bytes, &rates->in_packets, &a, b->count); i < b->count; i++)
		frame_drop(&b->frame[i], DROP_RATE);
}

uint16_t rate_limit_out(struct worker *w, struct port *port, struct frame *const *frames, uint16_t n)
{
	struct port_rates *rates = port->rates;
	struct amounts a = {0};
	unsigned got;

	for (unsigned i = 0; i < n; i++)
		measure(&a, i, frames[i]);
	got = take_both(&rates->out_bytes, &rates->out_packets, &a, n);
	for (unsigned i = got; i < n; i++) {
		port_drop_frame(w, port, frames[i], DROP_RATE);
		stat_add(&w->port_stats[port->id].rate_out, 1 + (uint64_t)frames[i]->merged);
	}
	return (uint16_t)got;
}

unsigned rate_limit_storm(struct worker *w, struct port *from, struct frame *const *frames, unsigned n)
{
	struct amounts a = {0};
	unsigned got;

	for (unsigned i = 0; i < n; i++)
		measure(&a, i, frames[i]);
	got = take(&from->rates->storm, rte_rdtsc(), a.packets, n);
	for (unsigned i = got; i < n; i++)
		port_drop(w, from, frames[i]->net, DROP_STORM);
	return got;
}
