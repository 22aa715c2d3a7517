#include "dataplane/lb/seek.h"

#include "dataplane/core/exchange.h"
#include "dataplane/lb/connect.h"
#include "dataplane/lb/refuse.h"
#include "dataplane/lb/service.h"

enum {
	SEEK_MAX_S = 60, /* that a connection is looked for: with very many control needs its time */
	/* And at least: those who have it not answer at each round, and who has it may be slow, or not be found yet. */
	SEEK_LEAST_S = 5,
	ROUNDS = 2, /* of resets of all backends, that say that nobody has it */
	TCP_SEQ = 4,
	TCP_ACKED = 8,
	ASK_MAX = 192, /* segments in a tick: three quarters of worker 0's room (exchange.h) */
	LOOK_MAX = 1 << 18,
	NEAR = 1 << 24, /* bytes that the two ends' numbers may be apart: windows are smaller */
};

bool service_seek_guesses(struct worker *w, const struct service *s, const struct item *it)
{
	return it->f->ip_proto == IPPROTO_TCP && !item_opens(it) && !(it->tcp & TCP_RST) && !it->moved &&
	       !it->sought && s->nbackends > 1 && !s->more && !connect_has_spilled(w, it->f->net);
}

/* Sequence number and acknowledgement, as they are in the packet. */
static uint64_t numbers(const struct item *it)
{
	const uint8_t *tcp = frame_data(it->f) + it->f->l4_off;

	return (uint64_t)load32(tcp + TCP_SEQ) << 32 | load32(tcp + TCP_ACKED);
}

static void note_time(struct worker *w)
{
	atomic_store_explicit(&w->dp->lb->seek_s, w->now_s ? w->now_s : 1, memory_order_relaxed);
}

/* The backend's side counts resets. */
static void count_reset(const struct conn_hit *backend)
{
	conn_renote(backend, conn_note(backend) + 1);
}

static bool is_in_vain(struct worker *w, const struct item *it, const struct conn_hit *hit)
{
	struct conn_hit backend = conn_other(w->dp->lb->conns, hit);
	const struct service *s = item_service(it);
	uint32_t since = conn_since(conn_made_s(hit), w->now_s);

	return !s || since > SEEK_MAX_S ||
	       (since >= SEEK_LEAST_S && conn_note(&backend) >= (uint64_t)ROUNDS * s->nbackends);
}

bool service_seek_forward(struct worker *w, struct item *it, struct conn_hit *hit)
{
	if (item_opens(it) || (it->tcp & TCP_RST) || is_in_vain(w, it, hit)) {
		it->sought = true;
		conn_remove(w->dp->lb->conns, hit);
		return false;
	}
	conn_renote(hit, numbers(it));
	conn_packet(hit, 0, w->now_s, it->f->len);
	note_time(w);
	frame_drop(it->f, DROP_SEEKS);
	return true;
}

bool service_seek_swallows(struct worker *w, const struct item *it, const struct conn_hit *hit)
{
	uint8_t flags = (uint8_t)(hit->life >> 32);
	struct conn_hit client;

	if ((flags & CONN_SEEN) || !(it->tcp & TCP_RST))
		return false;
	client = conn_other(w->dp->lb->conns, hit);
	if (!service_seek_is_on(&client))
		conn_packet(&client, CONN_SEEKS, w->now_s, 0);
	count_reset(hit);
	frame_drop(it->f, DROP_SEEKS);
	return true;
}

void service_seek_unheard(struct worker *w, struct conn_hit hit)
{
	struct conn_hit backend;

	if (!hit.side)
		return;
	backend = conn_other(w->dp->lb->conns, &hit);
	if ((backend.life >> 32 & (CONN_GUESS | CONN_SEEN)) == CONN_GUESS)
		conn_packet(&hit, CONN_SEEKS, w->now_s, 0);
}

/* Would the end that the client's numbers are of answer so? */
static bool fits(uint64_t note, const struct item *it)
{
	uint64_t theirs = numbers(it);
	uint32_t past = (uint32_t)theirs - (uint32_t)(note >> 32);  /* what it has of the client's */
	uint32_t ahead = (uint32_t)(theirs >> 32) - (uint32_t)note; /* what the client has not of it */

	return note && (it->tcp & TCP_ACK) && past < NEAR && ahead < NEAR;
}

static bool find_client(
	struct worker *w, const struct item *it, const struct service *s, struct conn_hit *hit)
{
	struct conn_table *t = w->dp->lb->conns;
	struct conn_key key;
	uint64_t hash;

	if (item_is6(it)) {
		key = conn_key6(t, CONN_FORWARD, it->f->net, it->f->ip_proto, item_dst(it), s->address,
			it->dst_port, s->port);
		return conn_find6(t, &key, item_dst(it), s->address, CONN_NONE, hit);
	}
	key = conn_key(CONN_FORWARD, it->f->net, it->f->ip_proto, it->dst, s->vip, it->dst_port, s->port);
	conn_hash(t, &key, &hash, 1);
	return conn_find(t, &key, hash, CONN_NONE, hit);
}

/* The next service that has the sender, and its id there. NULL: there is none any more. */
static const struct service *next_service(const struct item *it, uint32_t *at, uint32_t *id)
{
	const struct lb_place6 *place6;
	const struct lb_place *place;

	if (item_is6(it)) {
		place6 = lb_view6_backend(it->view->ip6, item_src(it), it->src_port, it->f->ip_proto, at);
		*id = place6 ? place6->backend : 0;
		return place6 ? place6->service : NULL;
	}
	place = lb_view_backend(it->view, it->src, it->src_port, it->f->ip_proto, at);
	*id = place ? place->backend : 0;
	return place ? place->service : NULL;
}

/* The connection is made anew, with the backend that has it. */
static bool make(
	struct worker *w, const struct item *it, const struct service *s, uint32_t id, struct conn_hit *hit)
{
	struct conn_table *t = w->dp->lb->conns;
	struct ip_addr client = item_dst(it), backend = item_src(it);
	const struct conn_ip6 ip6[] = {{client, s->address, backend}, {backend, client, s->address}};
	struct conn_new conn = {.now_s = w->now_s,
		.flags = {CONN_SEEN, CONN_SEEN},
		.end = {{it->src, it->src_port, id}, {s->vip, s->port, id}}};
	struct conn_hit made;

	if (item_is6(it)) {
		conn.ip6 = ip6;
		conn.key[CONN_FORWARD] = conn_key6(t, CONN_FORWARD, it->f->net, it->f->ip_proto, client,
			s->address, it->dst_port, s->port);
		conn.key[CONN_REPLY] = item_key6(t, it, CONN_REPLY);
		conn.hash[CONN_FORWARD] = conn.key[CONN_FORWARD].addresses;
		conn.hash[CONN_REPLY] = conn.key[CONN_REPLY].addresses;
	} else {
		conn.key[CONN_FORWARD] = conn_key(
			CONN_FORWARD, it->f->net, it->f->ip_proto, it->dst, s->vip, it->dst_port, s->port);
		conn.key[CONN_REPLY] = item_key(it, CONN_REPLY);
		conn_hash(t, conn.key, conn.hash, 2);
	}
	if (conn_insert(t, &conn, &made) < 0)
		return false;
	*hit = conn_other(t, &made);
	hit->ip6 = s->address;
	return true;
}

bool service_seek_finds(struct worker *w, const struct item *it, struct conn_hit *hit)
{
	uint32_t seek_s = atomic_load_explicit(&w->dp->lb->seek_s, memory_order_relaxed), at = 0;
	const struct service *s;
	uint32_t id;

	if (__builtin_expect(!seek_s, 1) || (int32_t)(w->now_s - seek_s) > SEEK_MAX_S ||
		it->f->ip_proto != IPPROTO_TCP)
		return false;
	while ((s = next_service(it, &at, &id))) {
		if (!find_client(w, it, s, hit) || !service_seek_is_on(hit))
			continue;
		if (it->tcp & TCP_RST) {
			struct conn_hit backend = conn_other(w->dp->lb->conns, hit);

			count_reset(&backend);
			frame_drop(it->f, DROP_SEEKS);
			return true;
		}
		if (!fits(conn_note(hit), it) || !conn_is_still(hit))
			continue;
		conn_remove(w->dp->lb->conns, hit);
		return make(w, it, s, id, hit);
	}
	return false;
}

struct asking {
	struct dp *dp;
	int left;
	uint32_t
		from; /* of the next connection's backends the first to be asked: those before it have been */
	bool full;    /* there was no room for that one */
};

static bool ask_backend(struct asking *asking, uint32_t id, const struct conn_info *info)
{
	const struct backend *b = backend_get(asking->dp->lb->backends, id);
	uint64_t mac = atomic_load_explicit(&b->mac, memory_order_relaxed);
	uint16_t client_port = (uint16_t)(info->key[CONN_FORWARD].rest >> 48);
	struct tcp_numbers n = {
		.seq = (uint32_t)(info->note >> 32) - 1, .acked = (uint32_t)info->note, .flags = TCP_ACK};
	uint8_t frame[ETH_LEN + REFUSE_TCP_MAX], ports[4];
	uint16_t len;

	if (!mac || (atomic_load_explicit(&b->flags, memory_order_relaxed) & (BACKEND_DEAD | BACKEND_GONE)))
		return true;
	memcpy(frame, &mac, 6);
	memcpy(frame + 6, asking->dp->probe_mac, 6);
	store16(frame + 12, ip_is4(b->address) ? ETHERTYPE_IP4 : ETHERTYPE_IP6);
	memcpy(ports, &b->port, 2);
	memcpy(ports + 2, &client_port, 2);
	len = refuse_write_tcp(frame + ETH_LEN, b->address, info->client, ports, &n);
	asking->left--;
	return exchange_inject(asking->dp, OUT_NONE, b->net, frame, (uint16_t)(ETH_LEN + len)) == 0;
}

/* The service that the client asks. NULL: it is gone, and its number may be another's. */
static const struct service *service_of(const struct lb *lb, const struct conn_info *info)
{
	uint32_t owner = info->end[CONN_FORWARD].owner;
	uint64_t rest = info->key[CONN_FORWARD].rest;
	const struct service *s = lb->service[backend_get(lb->backends, owner)->service];

	if (!s || s->net != (uint16_t)(rest >> 16) || s->port != (uint16_t)(rest >> 32))
		return NULL;
	return ip_equal(s->address, info->asked) ? s : NULL;
}

static bool ask(void *arg, const struct conn_info *info)
{
	struct asking *asking = arg;
	const struct lb *lb = asking->dp->lb;
	const struct service *s;

	if (!(info->flags[CONN_FORWARD] & CONN_SEEKS) || !info->note ||
		(int32_t)(dp_now_s(asking->dp) - info->seen_s) > 1)
		return true;
	s = service_of(lb, info);
	for (; s && asking->from < s->nbackends; asking->from++)
		if (!asking->left || !ask_backend(asking, s->backend[asking->from], info)) {
			asking->full = true;
			break;
		}
	return !asking->full;
}

/* One connection after the other, so that the next tick goes on where there was no room for more. */
void service_seek_ask(struct dp *dp)
{
	struct lb *lb = dp->lb;
	struct asking asking = {dp, ASK_MAX, .from = lb->seek_from};
	uint32_t seek_s = atomic_load_explicit(&lb->seek_s, memory_order_relaxed);
	bool more = true;

	if (!seek_s || (int32_t)(dp_now_s(dp) - seek_s) > 1)
		return;
	for (unsigned i = 0; i < LOOK_MAX && more; i++) {
		uint64_t at = lb->seek_at;

		more = conn_walk_part(lb->conns, &at, 1, ask, &asking);
		if (asking.full)
			break;
		lb->seek_at = more ? at : 0;
		asking.from = 0;
	}
	lb->seek_from = asking.from;
}
