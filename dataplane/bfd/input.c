/* input.c: what comes from the underlay, and which of it the thread gets to see. Worker; the gates are control's. */
#include <errno.h>
#include <rte_cycles.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/bfd/inside.h"
#include "dataplane/core/bucket.h"
#include "dataplane/core/exchange.h"
#include "dataplane/core/open.h"
#include "dataplane/core/rcu.h"
#include "dataplane/core/worker.h"
#include "dataplane/frame/parse.h"

/* A peer may send its own share three times over, for polls and what comes late, and so many at once. */
enum { SHARE = 3, AT_ONCE = 32 };

static const struct bfd_gate *gate_of(const struct bfd_gates *gates, struct ip_addr from)
{
	for (uint32_t i = open_slot2(from.q);; i++) {
		const struct bfd_gate *gate = &gates->gate[i & gates->mask];

		if (ip_is_none(gate->remote))
			return NULL;
		if (ip_equal(gate->remote, from))
			return gate;
	}
}

/* Is it a packet that this peer would send to us? */
static bool admitted(const struct bfd_gate *gate, const struct frame *f, uint8_t hops, bool routed)
{
	const uint8_t *udp = f->hdr + f->hdr_off + f->l4_off;
	uint16_t len = load16(udp + 4);
	struct bfd_packet packet;

	if (gate->routed != routed || (!routed && hops != BFD_HOPS))
		return false;
	if (len < 8 || f->l4_off + len > f->hdr_len)
		return false;
	return bfd_packet_read(udp + 8, len - 8u, &packet) && (!packet.yours || packet.yours == gate->mine);
}

static void hand_over(struct worker *w, struct port *in, struct frame *f, const struct bfd_gate *gate)
{
	struct bfd_inside *b = w->dp->bfd->inside;
	bool may = bucket_take(&b->full[gate->peer], gate->each, gate->each * AT_ONCE);
	struct exchange_frame *slot = may ? exchange_reserve(w->bfd_in) : NULL;

	if (!slot) {
		frame_drop(f, DROP_BFD_FLOOD);
		return;
	}
	slot->port = in->id;
	slot->net = gate->peer;
	slot->len = BFD_PACKET_LEN;
	memcpy(slot->data, f->hdr + f->hdr_off + f->l4_off + 8, BFD_PACKET_LEN);
	exchange_push(w->bfd_in);
	f->verdict = V_CONSUMED;
	bfd_wake(b);
}

bool bfd_input(struct worker *w, struct port *in, struct frame *f, struct ip_addr from, uint8_t hops)
{
	const struct bfd_gates *gates =
		atomic_load_explicit(&w->dp->bfd->inside->gates, memory_order_acquire);
	uint16_t to = load16(f->hdr + f->hdr_off + f->l4_off + 2);
	const struct bfd_gate *gate;

	if (!gates || (to != BFD_PORT && to != BFD_PORT_ROUTED))
		return false;
	gate = gate_of(gates, from);
	if (gate && admitted(gate, f, hops, to == BFD_PORT_ROUTED))
		hand_over(w, in, f, gate);
	else
		frame_drop(f, DROP_BFD_REFUSED);
	return true;
}

static void put(struct bfd_gates *gates, const struct bfd_peer *peer, uint16_t number)
{
	uint64_t each = rte_get_tsc_hz() / 1000 * peer->want.interval_ms / SHARE;
	uint32_t at = open_slot2(peer->want.remote.q);

	while (!ip_is_none(gates->gate[at & gates->mask].remote))
		at++;
	gates->gate[at & gates->mask] = (struct bfd_gate){
		.remote = peer->want.remote,
		.mine = peer->session.mine,
		.peer = number,
		.routed = peer->want.routed,
		.each = each,
	};
}

int bfd_gates_publish(struct dp *dp)
{
	struct bfd_inside *b = dp->bfd->inside;
	uint32_t count = 0, size;
	struct bfd_gates *gates = NULL, *old;

	for (unsigned i = 1; i < b->top; i++)
		count += b->peers[i] && !b->peers[i]->ends;
	size = open_size(count);
	if (count) {
		gates = calloc(1, sizeof(*gates) + size * sizeof(gates->gate[0]));
		if (!gates)
			return -ENOMEM;
		gates->mask = size - 1;
	}
	for (unsigned i = 1; i < b->top && gates; i++)
		if (b->peers[i] && !b->peers[i]->ends)
			put(gates, b->peers[i], (uint16_t)i);
	old = atomic_exchange(&b->gates, gates);
	if (old)
		rcu_defer(dp, free, old);
	return 0;
}
