#include "dataplane/core/exchange.h"

#include <errno.h>
#include <rte_cycles.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/core/bucket.h"
#include "dataplane/core/dp.h"
#include "dataplane/core/private.h"

struct exchange_frame *exchange_reserve(struct exchange *x)
{
	uint32_t head = atomic_load_explicit(&x->head, memory_order_relaxed);

	if (head - atomic_load_explicit(&x->tail, memory_order_acquire) >= EXCHANGE_SLOTS)
		return NULL;
	return &x->slot[head % EXCHANGE_SLOTS];
}

void exchange_push(struct exchange *x)
{
	atomic_fetch_add_explicit(&x->head, 1, memory_order_release);
}

const struct exchange_frame *exchange_peek(struct exchange *x)
{
	uint32_t tail = atomic_load_explicit(&x->tail, memory_order_relaxed);

	if (tail == atomic_load_explicit(&x->head, memory_order_acquire))
		return NULL;
	return &x->slot[tail % EXCHANGE_SLOTS];
}

void exchange_pop(struct exchange *x)
{
	atomic_fetch_add_explicit(&x->tail, 1, memory_order_release);
}

/*
 * How many answers a port may have punted. Control's own requests bring an honest port a few a minute, and an
 * uplink those of all that is behind it. Beyond that the frame is consumed without a copy, and control asks
 * again.
 */
enum { PUNTS_S = 100, PUNTS_BURST = 32, PUNTS_UPLINK_S = 10000, PUNTS_UPLINK_BURST = EXCHANGE_SLOTS };

static bool within_rate(struct port *in)
{
	uint64_t each = rte_get_tsc_hz() / (in->is_uplink ? PUNTS_UPLINK_S : PUNTS_S);

	return bucket_take(&in->punts_full, each, each * (in->is_uplink ? PUNTS_UPLINK_BURST : PUNTS_BURST));
}

struct origin {
	uint16_t port, net; /* as of struct exchange_frame */
};

/* Tells control `len` bytes on behalf of port `in`. */
static void punt(struct worker *w, struct port *in, struct origin from, const void *data, uint16_t len)
{
	struct exchange_frame *slot = within_rate(in) ? exchange_reserve(w->punt) : NULL;

	if (!slot) { /* control asks again; the frame itself is counted by its verdict */
		stat_add(&w->port_stats[in->id].punts_left_out, 1);
		return;
	}
	slot->len = len;
	slot->port = from.port;
	slot->net = from.net;
	memcpy(slot->data, data, len);
	exchange_push(w->punt);
	dp_tell_control(w->dp);
}

void exchange_punt(struct worker *w, struct port *in, const struct frame *f)
{
	punt(w, in, (struct origin){in->id, f->net}, f->hdr + f->hdr_off, f->hdr_len);
}

void exchange_want(struct worker *w, struct port *in, uint16_t uplink, struct ip_addr ip)
{
	const struct exchange_wanted wanted = {ip, in->id};

	punt(w, in, (struct origin){uplink, NET_NONE}, &wanted, sizeof(wanted));
}

int exchange_inject(struct dp *dp, uint16_t port, uint16_t net, const uint8_t *data, uint16_t len)
{
	struct exchange *x = dp->nworker ? dp->worker[0]->inject : NULL;
	struct exchange_frame *slot = x && len <= EXCHANGE_BYTES ? exchange_reserve(x) : NULL;

	if (!slot)
		return -ENOBUFS;
	slot->len = len;
	slot->port = port;
	slot->net = net;
	memcpy(slot->data, data, len);
	exchange_push(x);
	workers_wake(dp);
	return 0;
}
