#include "dataplane/lb/stage6.h"

#include "dataplane/l2/fdb.h"
#include "dataplane/lb/behind.h"
#include "dataplane/lb/connect.h"
#include "dataplane/lb/drain.h"
#include "dataplane/lb/fragment.h"
#include "dataplane/lb/hairpin.h"
#include "dataplane/lb/icmp.h"
#include "dataplane/lb/inbound.h"
#include "dataplane/lb/item.h"
#include "dataplane/lb/least.h"
#include "dataplane/lb/refuse.h"
#include "dataplane/lb/seek.h"
#include "dataplane/lb/service.h"
#include "dataplane/lb/stray.h"

enum l4 {
	L4_PORTS,
	L4_FRAGMENT,
	L4_CUT, /* headers that are not all there, or more than anybody looks behind */
	L4_OTHER,
};

/* Bytes of the header that must be there. Of SCTP with the first chunk's type. */
static uint16_t l4_need(uint8_t proto)
{
	return proto == IPPROTO_TCP ? 20 : proto == IPPROTO_SCTP ? SCTP_NEED : 8;
}

/* The items of a burst, with what conn_hash6() wants in rows. */
struct work6 {
	unsigned n;
	struct item item[BURST_MAX];
	struct conn_words6 words;
	uint64_t hash[BURST_MAX];
	const struct lb_view *view; /* whose vip the last request was for; NULL: none yet */
	struct ip_addr vip;
	unsigned nfragment;
	struct fragment6 {
		struct frame6 frame;
		struct behind behind;
		enum conn_dir dir;
	} fragment[BURST_MAX];
};

/* The packet's end by its own header is the copy's too where the copy goes beyond. */
static uint32_t packet_end(struct frame *f)
{
	return f->l3_off + IP6_LEN + (uint32_t)load16(frame_data(f) + f->l3_off + 4);
}

/* Is the whole header there, as much of it as is looked at? */
static bool is_there(struct frame *f, const struct behind *behind)
{
	uint32_t end = behind->off + l4_need(behind->header);

	return end <= f->hdr_len && end <= packet_end(f);
}

static bool has_l4(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_ICMPV6 ||
	       proto == IPPROTO_SCTP;
}

static enum l4 find_behind(struct frame *f, struct behind *behind)
{
	if (!behind_find(f, behind))
		return L4_CUT;
	if (behind->is_fragment)
		return L4_FRAGMENT;
	if (!has_l4(behind->header))
		return L4_OTHER;
	if (!is_there(f, behind))
		return L4_CUT;
	f->ip_proto = behind->header;
	f->l4_off = (uint8_t)behind->off;
	return behind->header == IPPROTO_ICMPV6 ? L4_OTHER : L4_PORTS;
}

/* *behind is filled in of a fragment. */
static enum l4 find_l4(struct frame *f, struct behind *behind)
{
	uint16_t need = l4_need(f->ip_proto);

	if (!has_l4(f->ip_proto) && !behind_is_extension(f->ip_proto))
		return L4_OTHER;
	if (f->l4_off && f->l4_off + need <= packet_end(f) &&
		frame_pull(f, f->l4_off + need) >= f->l4_off + need)
		return f->ip_proto == IPPROTO_ICMPV6 ? L4_OTHER : L4_PORTS;
	f->l4_off = 0;
	frame_pull(f, HDR_MAX);
	return find_behind(f, behind);
}

static void read_item(struct item *it, const struct frame6 *frame)
{
	struct frame *f = frame->f;
	const uint8_t *l4 = frame_data(f) + f->l4_off;

	it->f = f;
	it->view = frame->view;
	it->src = it->dst = 0;
	memcpy(&it->src_port, l4, 2);
	memcpy(&it->dst_port, l4 + 2, 2);
	it->tcp = f->ip_proto == IPPROTO_TCP ? l4[TCP_FLAGS] : TCP_ACK;
	if (__builtin_expect(f->ip_proto == IPPROTO_SCTP, 0))
		it->tcp = sctp_tcp_flags(l4[SCTP_CHUNK]);
	it->moved = false;
}

static void add_item(struct work6 *work, const struct frame6 *frame, enum conn_dir dir)
{
	struct item *it = &work->item[work->n];

	read_item(it, frame);
	item_words6(it, dir, &work->words, work->n++);
}

static void add_fragment(
	struct work6 *work, const struct frame6 *frame, const struct behind *behind, enum conn_dir dir)
{
	work->fragment[work->nfragment++] = (struct fragment6){*frame, *behind, dir};
}

/* Everything that is sent to a vip comes here. An IPv4 address that is written as IPv6 is nobody's in a packet (RFC 4291,
 * 2.5.5.2): taken for a client it would pass for IPv4's. */
static void pick_for_vip(struct worker *w, struct work6 *work, const struct frame6 *frame)
{
	struct frame *f = frame->f;
	bool mapped = ip_is4(ip_from6(frame_data(f) + f->l3_off + IP6_SOURCE));
	struct behind behind = {0};
	enum l4 l4 = mapped ? L4_CUT : find_l4(f, &behind);

	if (l4 == L4_PORTS)
		add_item(work, frame, CONN_FORWARD);
	else if (l4 == L4_FRAGMENT)
		add_fragment(work, frame, &behind, CONN_FORWARD);
	else if (l4 == L4_CUT)
		frame_drop(f, DROP_MALFORMED);
	else if (f->ip_proto == IPPROTO_ICMPV6 && f->l4_off)
		service_icmp6_to_vip(w, f);
	else
		frame_drop(f, DROP_VIP_MISS);
}

static void pick_of_backend(struct work6 *work, const struct frame6 *frame)
{
	struct behind behind;
	enum l4 l4 = find_l4(frame->f, &behind);

	if (l4 == L4_PORTS)
		add_item(work, frame, CONN_REPLY);
	else if (l4 == L4_FRAGMENT)
		add_fragment(work, frame, &behind, CONN_REPLY);
}

static bool is_for_backend(const struct frame6 *frame)
{
	const uint8_t *ip = frame_data(frame->f) + frame->f->l3_off;

	return lb_filter_has(&frame->view->ip6->sources, lb_fold6(ip_from6(ip + IP6_DESTINATION)));
}

/* As in stage.c. */
static bool read_for_backend(const struct frame6 *frame, struct item *it)
{
	struct behind behind;

	if (!is_for_backend(frame) || find_l4(frame->f, &behind) != L4_PORTS)
		return false;
	read_item(it, frame);
	return true;
}

static void of_no_client(struct worker *w, const struct item *it)
{
	if (it->f->src_vtep == VTEP_NONE)
		service_inbound_answers(w, it);
	else if (is_for_backend(&(struct frame6){it->f, it->view}))
		service_inbound_asks(w, it);
}

/* A burst's requests are for the same vip as a rule, and to look one up is a keyed hash. */
static bool is_for_vip(struct work6 *work, const struct frame6 *frame, struct ip_addr ip)
{
	if (work->view == frame->view && ip_equal(work->vip, ip))
		return true;
	if (!lb_is_vip6(frame->view, ip))
		return false;
	work->view = frame->view;
	work->vip = ip;
	return true;
}

static void pick(struct worker *w, struct port *in, struct work6 *work, const struct frame6 *frame)
{
	struct frame *f = frame->f;
	const uint8_t *data = frame_data(f), *ip = data + f->l3_off;
	struct item it;

	if (mac_equal(data, dp_router_mac) && f->src_vtep == VTEP_NONE &&
		is_for_vip(work, frame, ip_from6(ip + IP6_DESTINATION)))
		pick_for_vip(w, work, frame);
	else if (f->ip_proto == IPPROTO_ICMPV6 && f->l4_off)
		service_icmp6_to_client(w, f);
	else if (lb_filter_has(&frame->view->ip6->sources, lb_fold6(ip_from6(ip + IP6_SOURCE))))
		pick_of_backend(work, frame);
	else if (frame->view->least && f->src_vtep != VTEP_NONE && read_for_backend(frame, &it))
		service_inbound_asks(w, &it);
	else if (stray_may_be(w, f) && read_for_backend(frame, &it) && stray_refuses(&it))
		stray_takes(w, in, &it);
}

static void send_to_backend(struct worker *w, struct item *it, const struct conn_hit *hit)
{
	uint64_t mac = atomic_load_explicit(&lb_backend(w, hit->end.owner)->mac, memory_order_relaxed);

	if (!mac) {
		frame_drop(it->f, DROP_NEIGHBOUR);
		service_seek_unheard(w, *hit);
		return;
	}
	nat_rewrite6(it->f, NAT_DESTINATION, (const uint8_t *)&mac, &hit->ip6, hit->end.port);
	lb_count_packet(w, it->f, hit->end.owner);
}

/* Returns the backend that the packet is on its way to, -1: none. */
static int forward(struct worker *w, struct port *in, struct item *it, const struct conn_key *key)
{
	struct conn_table *t = w->dp->lb->conns;
	struct ip_addr client = item_src(it);
	struct conn_hit hit;
	bool found = conn_find6(t, key, client, item_dst(it), it->guess, &hit);

	if (found && service_seek_is_on(&hit)) {
		if (service_seek_forward(w, in, it, &hit, &found))
			return -1;
	}
	if (!found || !connect_goes_on(w, it, &hit)) {
		enum drop_reason reason;

		if (found && drain_ends(w, in, it, &hit, lb_backend_flags(w, hit.end.owner)))
			return -1;
		it->moved = found && !service_seek_was_guess(w, &hit);
		if (found)
			conn_remove(t, &hit);
		reason = connect_item(w, it, key, key->addresses, &hit);
		if (reason != DROP_COUNT) {
			if (reason != DROP_VIP_MISS || !hairpin_reply(w, in, it))
				service_refuse_item(in, it, reason);
			return -1;
		}
	}
	if (hit.side)
		conn_packet(&hit, item_side(it, CONN_FORWARD), w->now_s, it->f->len);
	if (conn_has_turns(&hit))
		least_asks(w, LEAST_OWN, it, &hit);
	if (ip_equal(hit.ip6, client))
		hairpin_forward(w, in, it, &hit);
	else
		send_to_backend(w, it, &hit);
	return it->f->verdict == V_NONE ? (int)hit.end.owner : -1;
}

static bool spilled_at(struct worker *w, const struct item *it, uint16_t port, struct conn_hit *hit)
{
	const struct lb_place6 *place;
	uint32_t at = 0;

	while ((place = lb_view6_backend(it->view->ip6, item_src(it), port, it->f->ip_proto, &at))) {
		const struct service *s = place->service;
		uint16_t offset;

		if (!connect_would_choose(w, s, it, place->backend, &offset))
			continue;
		/* the client's own host balances for it */
		if (fdb_flags(fdb_lookup(w->dp->fdb, fdb_key(it->f->net, frame_data(it->f)))) & FDB_VTEP)
			return false;
		*hit = (struct conn_hit){
			.end = {0, lb_port_plus(s->port, offset), place->backend}, .ip6 = s->address};
		return true;
	}
	return false;
}

/* As in stage.c: the answer to a packet that went to its sender without an entry in the table. */
static bool spilled(struct worker *w, const struct item *it, struct conn_hit *hit)
{
	if (!connect_has_spilled(w, it->f->net))
		return false;
	return spilled_at(w, it, it->src_port, hit) || (it->view->ip6->ranges && spilled_at(w, it, 0, hit));
}

static bool is_answer(
	struct worker *w, struct port *in, struct item *it, const struct conn_key *key, struct conn_hit *hit)
{
	uint32_t flags;

	if (!conn_find6(w->dp->lb->conns, key, item_src(it), item_dst(it), it->guess, hit)) {
		if (it->view->least)
			of_no_client(w, it);
		return service_seek_finds(w, in, it, hit) || spilled(w, it, hit);
	}
	flags = lb_backend_flags(w, hit->end.owner);
	if ((flags & BACKEND_GONE) || drain_ends(w, in, it, hit, flags))
		return false;
	if (hit->life >> 32 & CONN_GUESS) {
		if (stray_ends(w, it, hit))
			return false;
		if (service_seek_swallows(w, it, hit))
			return true;
	}
	if (conn_packet(hit, item_side(it, CONN_REPLY), w->now_s, it->f->len))
		lb_count_answer(w, it, hit->end.owner);
	if (conn_has_turns(hit))
		least_answers(w, LEAST_OWN, it, hit);
	return true;
}

static void reply(struct worker *w, struct port *in, struct item *it, const struct conn_key *key)
{
	struct conn_hit hit;

	if (!is_answer(w, in, it, key, &hit) || it->f->verdict != V_NONE)
		return;
	nat_rewrite6(it->f, NAT_SOURCE, dp_router_mac, &hit.ip6, hit.end.port);
	lb_count_packet(w, it->f, hit.end.owner);
}

static void first_of_request(struct worker *w, struct port *in, struct item *it, uint64_t datagram)
{
	struct conn_key key = item_key6(w->dp->lb->conns, it, CONN_FORWARD);
	int id = forward(w, in, it, &key);

	service_fragment_note6(w, in, it->f, datagram, id >= 0 ? FRAGMENT_TO_BACKEND : FRAGMENT_DROP,
		id >= 0 ? (uint32_t)id : 0, (struct ip_addr){0});
	if (id < 0 && it->f->verdict == V_PORT && it->f->was_end) /* a client to itself, as in stage.c */
		frame_drop(it->f, DROP_FRAGMENT);
}

static void first_of_answer(struct worker *w, struct port *in, struct item *it, uint64_t datagram)
{
	struct conn_key key = item_key6(w->dp->lb->conns, it, CONN_REPLY);
	struct conn_hit hit;

	if (!is_answer(w, in, it, &key, &hit) || it->f->verdict != V_NONE) {
		service_fragment_note6(w, in, it->f, datagram, FRAGMENT_PASSES, 0, (struct ip_addr){0});
		return;
	}
	service_fragment_note6(w, in, it->f, datagram, FRAGMENT_TO_CLIENT, 0, hit.ip6);
	nat_rewrite6(it->f, NAT_SOURCE, dp_router_mac, &hit.ip6, hit.end.port);
	lb_count_packet(w, it->f, hit.end.owner);
}

static void drop_first(struct worker *w, struct port *in, struct frame *f, uint64_t datagram)
{
	service_fragment_note6(w, in, f, datagram, FRAGMENT_DROP, 0, (struct ip_addr){0});
	frame_drop(f, DROP_FRAGMENT);
}

static void first_fragment(
	struct worker *w, struct port *in, const struct fragment6 *fragment, uint64_t datagram)
{
	struct frame *f = fragment->frame.f;
	struct item it;

	if (!is_there(f, &fragment->behind)) {
		drop_first(w, in, f, datagram);
		return;
	}
	f->ip_proto = fragment->behind.header;
	f->l4_off = (uint8_t)fragment->behind.off;
	read_item(&it, &fragment->frame);
	it.guess = CONN_NONE;
	if (fragment->dir == CONN_FORWARD)
		first_of_request(w, in, &it, datagram);
	else
		first_of_answer(w, in, &it, datagram);
	f->l4_off = 0;	/* what looks at ports further on would take it for the whole packet */
	f->was_end = 0; /* nat_undo() would look for them */
}

static void later_of_request(struct worker *w, struct frame *f, uint32_t id)
{
	const struct backend *b = lb_backend(w, id);
	uint64_t mac = atomic_load_explicit(&b->mac, memory_order_relaxed);

	if (lb_backend_flags(w, id) & (BACKEND_DEAD | BACKEND_GONE) || b->net != f->net ||
		ip_is4(b->address)) {
		frame_drop(f, DROP_NO_BACKEND);
	} else if (!mac) {
		frame_drop(f, DROP_NEIGHBOUR);
	} else {
		nat_rewrite_address6(f, NAT_DESTINATION, (const uint8_t *)&mac, &b->address);
		lb_count_packet(w, f, id);
	}
}

static void later_fragment(
	struct worker *w, struct port *in, const struct fragment6 *fragment, uint64_t datagram)
{
	struct frame *f = fragment->frame.f;
	bool to_vip = fragment->dir == CONN_FORWARD;
	struct ip_addr vip;
	uint32_t value = 0;
	enum fragment_to to = service_fragment_find6(w, in, f, datagram, &value, &vip);

	if (to_vip && to == FRAGMENT_TO_BACKEND && !(value & FRAGMENT_EGRESS))
		later_of_request(w, f, value);
	else if (to == FRAGMENT_UNKNOWN && service_fragment_hold6(w, in, f, datagram))
		f->verdict = V_CONSUMED;
	else if (to_vip || to == FRAGMENT_DROP)
		frame_drop(f, DROP_FRAGMENT);
	else if (to == FRAGMENT_TO_CLIENT)
		nat_rewrite_address6(f, NAT_SOURCE, dp_router_mac, &vip);
}

/* Of other protocols than those with ports the first fragment is of no connection, and the later ones of no datagram. */
static void do_fragment(struct worker *w, struct port *in, const struct fragment6 *fragment)
{
	struct frame *f = fragment->frame.f;
	uint8_t header = fragment->behind.header;
	uint64_t datagram = service_fragment_hash6(w, f, fragment->behind.id);

	if (fragment->behind.later)
		later_fragment(w, in, fragment, datagram);
	else if (header == IPPROTO_TCP || header == IPPROTO_UDP)
		first_fragment(w, in, fragment, datagram);
	else if (fragment->dir == CONN_FORWARD)
		drop_first(w, in, f, datagram);
	else
		service_fragment_note6(w, in, f, datagram, FRAGMENT_PASSES, 0, (struct ip_addr){0});
}

void service_ip6(struct worker *w, struct port *in, const struct burst6 *b)
{
	struct conn_table *t = w->dp->lb->conns;
	struct work6 work;

	work.n = 0;
	work.nfragment = 0;
	work.view = NULL;
	for (unsigned i = 0; i < b->n; i++)
		pick(w, in, &work, &b->item[i]);
	for (unsigned i = 0; i < work.nfragment; i++)
		do_fragment(w, in, &work.fragment[i]);
	conn_hash6(t, &work.words, work.hash, work.n);
	for (unsigned i = 0; i < work.n; i++)
		conn_prefetch_bucket(t, work.hash[i]); /* NOLINT: conn_hash6() has filled hash[0..n) */
	for (unsigned i = 0; i < work.n; i++) {
		work.item[i].guess = conn_guess(t, work.hash[i]);
		conn_prefetch_ip6(t, work.item[i].guess);
	}
	for (unsigned i = 0; i < work.n; i++) {
		const struct conn_key key = {.addresses = work.hash[i], .rest = work.words.rest[i]};

		if ((key.rest & 0xff) == (CONN_FORWARD | CONN_IP6))
			forward(w, in, &work.item[i], &key);
		else
			reply(w, in, &work.item[i], &key);
	}
}
