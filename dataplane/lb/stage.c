/*
 * stage.c: packets to and from services over IPv4; those over IPv6 go to stage6.c. A burst's packets are first picked
 * out (by the router MAC and the vips, or by the addresses of backends), then looked up together so that their cache
 * misses overlap, then rewritten one by one.
 *
 * When a connection does not fit into the table, the packet still goes where the Maglev table says, and the
 * answer is recognised without an entry: it is one if its forward packet would have come to this backend. As
 * that may also take a packet of a direct conversation with the backend for an answer, it is done only for
 * SPILL_S after a connection did not fit.
 *
 * Of a fragmented datagram the first fragment has the ports, and goes the way of any packet; the later ones go where it
 * went (fragment.h). What a fragment is, nothing but this stage is told: it has no l4_off.
 */
#include "dataplane/core/dp.h"
#include "dataplane/frame/nat_ip4.h"
#include "dataplane/frame/parse.h"
#include "dataplane/l2/fdb.h"
#include "dataplane/l2/network.h"
#include "dataplane/lb/conn_hit.h"
#include "dataplane/lb/connect.h"
#include "dataplane/lb/drain.h"
#include "dataplane/lb/fragment.h"
#include "dataplane/lb/hairpin.h"
#include "dataplane/lb/icmp.h"
#include "dataplane/lb/inbound.h"
#include "dataplane/lb/item.h"
#include "dataplane/lb/lb.h"
#include "dataplane/lb/least.h"
#include "dataplane/lb/refuse.h"
#include "dataplane/lb/seek.h"
#include "dataplane/lb/service.h"
#include "dataplane/lb/stage6.h"
#include "dataplane/lb/stray.h"

/* The items of a burst, with what conn_hash() wants in a row. */
struct work {
	unsigned n;
	struct item item[BURST_MAX];
	struct conn_key key[BURST_MAX];
	uint64_t hash[BURST_MAX];
	unsigned nfragment;
	struct fragment {
		struct frame *f;
		const struct lb_view *view;
		enum conn_dir dir;
	} fragment[BURST_MAX];
	struct burst6 ip6;
};

enum l4 {
	L4_PORTS,
	L4_FRAGMENT,
	L4_CUT,	  /* a TCP, UDP or SCTP header that is not all there */
	L4_PIECE, /* a fragment of SCTP, whose checksum is of all of it */
	L4_OTHER,
};

/* Of what is no whole packet with its ports where they are looked for. */
static __attribute__((noinline)) enum l4 find_odd_l4(struct frame *f, uint16_t need)
{
	if (!need)
		return L4_OTHER;
	if (load16(frame_data(f) + f->l3_off + 6) & IP4_MF_OFFSET)
		return f->ip_proto == IPPROTO_SCTP ? L4_PIECE : L4_FRAGMENT;
	frame_pull(f, HDR_MAX); /* behind IP options */
	parse_frame(f);
	return f->l4_off && f->l4_off + need <= f->hdr_len ? L4_PORTS : L4_CUT;
}

static inline enum l4 find_l4(struct frame *f)
{
	uint16_t need = item_l4_need(f->ip_proto);

	if (__builtin_expect(need && f->l4_off && f->l4_off + need <= f->hdr_len, 1))
		return L4_PORTS;
	return find_odd_l4(f, need);
}

/* Field by field: a structure that is copied as a whole, right after its fields were written, waits for them. */
static inline void read_item(struct item *it, struct frame *f, const struct lb_view *view, const uint8_t *l4)
{
	const uint8_t *ip = frame_data(f) + f->l3_off;

	it->f = f;
	it->view = view;
	it->src = load_ip4(ip + 12);
	it->dst = load_ip4(ip + 16);
	memcpy(&it->src_port, l4, 2);
	memcpy(&it->dst_port, l4 + 2, 2);
	it->tcp = TCP_ACK;
	it->moved = false;
}

static inline void read_whole(struct item *it, struct frame *f, const struct lb_view *view)
{
	const uint8_t *l4 = frame_data(f) + f->l4_off;

	read_item(it, f, view, l4);
	if (f->ip_proto == IPPROTO_TCP)
		it->tcp = l4[TCP_FLAGS];
	else if (f->ip_proto == IPPROTO_SCTP)
		it->tcp = sctp_tcp_flags(l4[SCTP_CHUNK]);
}

static inline void add_item(struct work *work, struct frame *f, const struct lb_view *view, enum conn_dir dir)
{
	const uint8_t *ip = frame_data(f) + f->l3_off, *l4 = frame_data(f) + f->l4_off;
	struct conn_key key = conn_key(dir, f->net, f->ip_proto, load_ip4(ip + 12), load_ip4(ip + 16),
		csum_load(l4), csum_load(l4 + 2));
	struct conn_key *to = &work->key[work->n];

	to->addresses = key.addresses;
	to->rest = key.rest;
	read_whole(&work->item[work->n++], f, view);
}

/* Everything that is sent to a vip comes here. */
static inline void pick_for_vip(
	struct worker *w, struct work *work, struct frame *f, const struct lb_view *view)
{
	enum l4 l4 = find_l4(f);

	if (l4 == L4_PORTS)
		add_item(work, f, view, CONN_FORWARD);
	else if (l4 == L4_FRAGMENT)
		work->fragment[work->nfragment++] = (struct fragment){f, view, CONN_FORWARD};
	else if (f->ip_proto == IPPROTO_ICMP)
		service_icmp_to_vip(w, f);
	else if (l4 == L4_PIECE)
		frame_drop(f, DROP_FRAGMENT);
	else
		frame_drop(f, l4 == L4_CUT ? DROP_MALFORMED : DROP_VIP_MISS);
}

static inline void pick_of_backend(struct work *work, struct frame *f, const struct lb_view *view)
{
	enum l4 l4 = find_l4(f);

	if (l4 == L4_PORTS)
		add_item(work, f, view, CONN_REPLY);
	else if (l4 == L4_FRAGMENT)
		work->fragment[work->nfragment++] = (struct fragment){f, view, CONN_REPLY};
}

/* Another host's client to a backend, which may be here. */
static __attribute__((noinline)) void pick_inbound(
	struct worker *w, struct frame *f, const struct lb_view *view)
{
	struct item it;

	if (!lb_filter_has(&view->sources, load_ip4(frame_data(f) + f->l3_off + 16)) ||
		find_l4(f) != L4_PORTS)
		return;
	read_whole(&it, f, view);
	service_inbound_asks(w, &it);
}

/* A client's reset, perhaps to a backend, may be the answer to what its vip has to translate. */
static __attribute__((noinline)) void pick_refusal(
	struct worker *w, struct port *in, struct frame *f, const struct lb_view *view)
{
	struct item it;

	if (!lb_filter_has(&view->sources, load_ip4(frame_data(f) + f->l3_off + 16)) ||
		find_l4(f) != L4_PORTS)
		return;
	read_whole(&it, f, view);
	if (stray_refuses(&it))
		stray_takes(w, in, &it);
}

static inline void pick(
	struct worker *w, struct port *in, struct work *work, struct frame *f, const struct lb_view *view)
{
	const uint8_t *data = frame_data(f), *ip = data + f->l3_off;

	if (mac_equal(data, dp_router_mac) && f->src_vtep == VTEP_NONE &&
		lb_view_has_vip(view, load_ip4(ip + 16)))
		pick_for_vip(w, work, f, view);
	else if (__builtin_expect(f->ip_proto == IPPROTO_ICMP, 0))
		service_icmp_to_client(w, f);
	else if (lb_filter_has(&view->sources, load_ip4(ip + 12)))
		pick_of_backend(work, f, view);
	else if (__builtin_expect(view->least, 0) && f->src_vtep != VTEP_NONE)
		pick_inbound(w, f, view);
	else if (stray_may_be(w, f))
		pick_refusal(w, in, f, view);
}

static void pick_all(struct worker *w, struct burst *b, struct work *work)
{
	uint16_t last = NET_NONE;
	const struct lb_view *view = NULL;
	bool restoring = stray_is_restoring(w);

	for (unsigned i = 0; i < b->count; i++) {
		struct frame *f = &b->frame[i];

		if (__builtin_expect(restoring, 0) && f->verdict == V_NONE)
			stray_restoring(w, f);
		if (f->verdict != V_NONE)
			continue;
		if (f->net != last) {
			const struct network *net = dp_get_net(w->dp, f->net);

			last = f->net;
			view = net ? atomic_load_explicit(&net->lb, memory_order_acquire) : NULL;
		}
		if (!view)
			continue;
		if (__builtin_expect(!f->parsed, 0)) /* the view is newer than the frame */
			parse_frame(f);
		if (f->ethertype == ETHERTYPE_IP4 && f->l3_off)
			pick(w, b->in, work, f, view);
		else if (f->ethertype == ETHERTYPE_IP6 && f->l3_off && view->ip6)
			work->ip6.item[work->ip6.n++] = (struct frame6){f, view};
	}
}

static void send_to_backend(struct worker *w, struct item *it, const struct conn_hit *hit)
{
	struct frame *f = it->f;
	uint64_t mac = atomic_load_explicit(&lb_backend(w, hit->end.owner)->mac, memory_order_relaxed);

	if (__builtin_expect(!mac, 0)) {
		frame_drop(f, DROP_NEIGHBOUR);
		service_seek_unheard(w, *hit);
		return;
	}
	nat_ip4_rewrite(f, NAT_DESTINATION, (const uint8_t *)&mac, hit->end.ip, hit->end.port);
	lb_count_packet(w, f, hit->end.owner);
}

/* A packet without a connection that it may go on with: as forward(), false for -1. *hit is the one that it has then. */
static __attribute__((noinline)) bool forward_anew(struct worker *w, struct port *in, struct item *it,
	const struct conn_key *key, uint64_t hash, struct conn_hit *hit, bool found)
{
	enum drop_reason reason;

	if (found && service_seek_is_on(hit)) {
		if (service_seek_forward(w, in, it, hit, &found))
			return false;
		if (found && connect_goes_on(w, it, hit))
			return true;
	}
	if (found && drain_ends(w, in, it, hit, lb_backend_flags(w, hit->end.owner)))
		return false;
	it->moved = found && !service_seek_was_guess(w, hit);
	if (found)
		conn_remove(w->dp->lb->conns, hit);
	reason = connect_item(w, it, key, hash, hit);
	if (reason == DROP_COUNT)
		return true;
	if (reason != DROP_VIP_MISS || !hairpin_reply(w, in, it))
		service_refuse_item(in, it, reason);
	return false;
}

/* Returns the backend that the packet is on its way to, -1: none. */
static inline __attribute__((always_inline)) int forward(
	struct worker *w, struct port *in, struct item *it, const struct conn_key *key, uint64_t hash)
{
	struct conn_hit hit;
	bool found = conn_hit_find(w->dp->lb->conns, key, hash, it->guess, &hit);

	if (__builtin_expect(!found || service_seek_is_on(&hit) || !connect_goes_on(w, it, &hit), 0) &&
		!forward_anew(w, in, it, key, hash, &hit, found))
		return -1;
	if (__builtin_expect(hit.side != NULL, 1))
		conn_hit_packet(&hit, item_side(it, CONN_FORWARD), w->now_s, it->f->len);
	if (__builtin_expect(conn_has_turns(&hit), 0))
		least_asks(w, LEAST_OWN, it, &hit);
	if (__builtin_expect(hit.end.ip == it->src, 0))
		hairpin_forward(w, in, it, &hit);
	else
		send_to_backend(w, it, &hit);
	return it->f->verdict == V_NONE ? (int)hit.end.owner : -1;
}

/* By the places of the backend at that port, 0 for services with several. */
static bool spilled_at(struct worker *w, const struct item *it, uint16_t port, struct conn_hit *hit)
{
	uint32_t at = 0;
	const struct lb_place *place;

	while ((place = lb_view_backend(it->view, it->src, port, it->f->ip_proto, &at))) {
		const struct service *s = place->service;
		uint16_t offset;

		if (!connect_would_choose(w, s, it, place->backend, &offset))
			continue;
		/* the client's own host balances for it: leave the answer alone on its way there */
		if (fdb_flags(fdb_lookup(w->dp->fdb, fdb_key(it->f->net, frame_data(it->f)))) & FDB_VTEP)
			return false;
		*hit = (struct conn_hit){.end = {s->vip, lb_port_plus(s->port, offset), place->backend}};
		return true;
	}
	return false;
}

/* Is the packet the answer to one that went to its sender without an entry in the table? */
static bool spilled(struct worker *w, const struct item *it, struct conn_hit *hit)
{
	if (__builtin_expect(!connect_has_spilled(w, it->f->net), 1))
		return false;
	return spilled_at(w, it, it->src_port, hit) || (it->view->ranges && spilled_at(w, it, 0, hit));
}

/* From a backend, to no client of this host: it may answer another's, or be the client of another backend itself. */
static void of_no_client(struct worker *w, const struct item *it)
{
	if (it->f->src_vtep == VTEP_NONE)
		service_inbound_answers(w, it);
	else if (lb_filter_has(&it->view->sources, it->dst))
		service_inbound_asks(w, it);
}

/* A packet from a backend without a connection: as is_answer(). */
static __attribute__((noinline)) bool is_late_answer(
	struct worker *w, struct port *in, struct item *it, struct conn_hit *hit)
{
	if (it->view->least)
		of_no_client(w, it);
	return service_seek_finds(w, in, it, hit) || spilled(w, it, hit);
}

/* Is the packet an answer through a vip? Its connection has it counted then. False, too, if its time is over, and it
 * has become what tells its backend. */
static inline __attribute__((always_inline)) bool is_answer(struct worker *w, struct port *in,
	struct item *it, const struct conn_key *key, uint64_t hash, struct conn_hit *hit)
{
	uint32_t flags;

	if (__builtin_expect(!conn_hit_find(w->dp->lb->conns, key, hash, it->guess, hit), 0))
		return is_late_answer(w, in, it, hit);
	flags = lb_backend_flags(w, hit->end.owner);
	if (__builtin_expect(flags & (BACKEND_GONE | BACKEND_DRAINS), 0) &&
		((flags & BACKEND_GONE) || drain_ends(w, in, it, hit, flags)))
		return false;
	if (__builtin_expect(hit->life >> 32 & CONN_GUESS, 0)) {
		if (stray_ends(w, it, hit))
			return false;
		if (service_seek_swallows(w, it, hit))
			return true;
	}
	if (__builtin_expect(conn_hit_packet(hit, item_side(it, CONN_REPLY), w->now_s, it->f->len), 0))
		lb_count_answer(w, it, hit->end.owner);
	if (__builtin_expect(conn_has_turns(hit), 0))
		least_answers(w, LEAST_OWN, it, hit);
	return true;
}

static void reply(
	struct worker *w, struct port *in, struct item *it, const struct conn_key *key, uint64_t hash)
{
	struct frame *f = it->f;
	struct conn_hit hit;

	if (!is_answer(w, in, it, key, hash, &hit) || __builtin_expect(f->verdict != V_NONE, 0))
		return;
	nat_ip4_rewrite(f, NAT_SOURCE, dp_router_mac, hit.end.ip, hit.end.port);
	lb_count_packet(w, f, hit.end.owner);
}

/* The ports of a first fragment. Less of it than the whole header, which no honest host sends, tells nothing. */
static bool read_first(struct frame *f, const struct lb_view *view, struct item *it)
{
	const uint8_t *ip = frame_data(f) + f->l3_off;
	uint16_t header = (ip[0] & 15) * 4, l4 = f->l3_off + header,
		 need = f->ip_proto == IPPROTO_TCP ? 20 : 8;

	if (load16(ip + 2) < header + need)
		return false;
	frame_pull(f, l4 + need);
	if (f->hdr_len < l4 + need)
		return false;
	read_item(it, f, view, frame_data(f) + l4);
	if (f->ip_proto == IPPROTO_TCP)
		it->tcp = frame_data(f)[l4 + TCP_FLAGS];
	it->guess = CONN_NONE;
	f->l4_off = (uint8_t)l4;
	return true;
}

static void first_of_request(struct worker *w, struct port *in, struct item *it)
{
	struct conn_key key = item_key(it, CONN_FORWARD);
	struct frame copy = *it->f; /* its datagram is known by what it was */
	uint64_t hash;
	int id;

	conn_hash(w->dp->lb->conns, &key, &hash, 1);
	id = forward(w, in, it, &key, hash);
	service_fragment_note(
		w, in, &copy, id >= 0 ? FRAGMENT_TO_BACKEND : FRAGMENT_DROP, id >= 0 ? (uint32_t)id : 0);
	if (id < 0 && it->f->verdict == V_PORT && it->f->was_end)
		/* a client to itself, and no reset of drain.h: its later fragments would need both ends */
		frame_drop(it->f, DROP_FRAGMENT);
}

static void first_of_answer(struct worker *w, struct port *in, struct item *it)
{
	struct conn_key key = item_key(it, CONN_REPLY);
	struct conn_hit hit;
	uint64_t hash;

	conn_hash(w->dp->lb->conns, &key, &hash, 1);
	if (!is_answer(w, in, it, &key, hash, &hit) || it->f->verdict != V_NONE) {
		service_fragment_note(w, in, it->f, FRAGMENT_PASSES, 0);
		return;
	}
	service_fragment_note(w, in, it->f, FRAGMENT_TO_CLIENT, hit.end.ip);
	nat_ip4_rewrite(it->f, NAT_SOURCE, dp_router_mac, hit.end.ip, hit.end.port);
	lb_count_packet(w, it->f, hit.end.owner);
}

static void first_fragment(struct worker *w, struct port *in, const struct fragment *fragment)
{
	struct frame *f = fragment->f;
	struct item it;

	if (!read_first(f, fragment->view, &it)) {
		service_fragment_note(w, in, f, FRAGMENT_DROP, 0);
		frame_drop(f, DROP_FRAGMENT);
		return;
	}
	if (fragment->dir == CONN_FORWARD)
		first_of_request(w, in, &it);
	else
		first_of_answer(w, in, &it);
	f->l4_off = 0;	/* what looks at ports further on would take it for the whole packet */
	f->was_end = 0; /* nat_undo() would look for them */
}

static void later_of_request(struct worker *w, struct frame *f, uint32_t id)
{
	const struct backend *b = lb_backend(w, id);
	uint64_t mac = atomic_load_explicit(&b->mac, memory_order_relaxed);

	if (lb_backend_flags(w, id) & (BACKEND_DEAD | BACKEND_GONE) || b->net != f->net || !b->ip) {
		frame_drop(f, DROP_NO_BACKEND);
	} else if (!mac) {
		frame_drop(f, DROP_NEIGHBOUR);
	} else {
		nat_rewrite_address(f, NAT_DESTINATION, (const uint8_t *)&mac, b->ip);
		lb_count_packet(w, f, id);
	}
}

static void later_fragment(struct worker *w, struct port *in, const struct fragment *fragment)
{
	bool to_vip = fragment->dir == CONN_FORWARD;
	uint32_t value = 0;
	enum fragment_to to = service_fragment_find(w, in, fragment->f, &value);

	if (to_vip && to == FRAGMENT_TO_BACKEND && !(value & FRAGMENT_EGRESS))
		later_of_request(w, fragment->f, value);
	else if (to == FRAGMENT_UNKNOWN && service_fragment_hold(w, in, fragment->f))
		fragment->f->verdict = V_CONSUMED;
	else if (to_vip || to == FRAGMENT_DROP)
		frame_drop(fragment->f, DROP_FRAGMENT);
	else if (to == FRAGMENT_TO_CLIENT)
		nat_rewrite_address(fragment->f, NAT_SOURCE, dp_router_mac, value);
}

void service_stage(struct worker *w, struct burst *b)
{
	struct conn_table *t = w->dp->lb->conns;
	struct work work;

	work.n = 0;
	work.nfragment = 0;
	work.ip6.n = 0;
	pick_all(w, b, &work);
	if (__builtin_expect(work.ip6.n, 0))
		service_ip6(w, b->in, &work.ip6);
	for (unsigned i = 0; i < work.nfragment; i++) {
		if (service_fragment_is_first(work.fragment[i].f))
			first_fragment(w, b->in, &work.fragment[i]);
		else
			later_fragment(w, b->in, &work.fragment[i]);
	}
	if (__builtin_expect(work.n == 0, 1))
		return;
	conn_hash(t, work.key, work.hash, work.n);
	for (unsigned i = 0; i < work.n; i++)
		conn_hit_prefetch(t, work.hash[i]); /* NOLINT: conn_hash() has filled hash[0..n) */
	for (unsigned i = 0; i < work.n; i++)
		work.item[i].guess = conn_hit_guess(t, work.hash[i]);
	for (unsigned i = 0; i < work.n; i++) {
		if ((work.key[i].rest & 0xff) == CONN_FORWARD)
			forward(w, b->in, &work.item[i], &work.key[i], work.hash[i]);
		else
			reply(w, b->in, &work.item[i], &work.key[i], work.hash[i]);
	}
}
