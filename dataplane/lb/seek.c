#include "dataplane/lb/seek.h"

#include "dataplane/core/exchange.h"
#include "dataplane/lb/connect.h"
#include "dataplane/lb/pair.h"
#include "dataplane/lb/refuse.h"
#include "dataplane/lb/service.h"
#include "dataplane/lb/stray.h"

enum {
	SEEK_MAX_S = 60,  /* that a connection is looked for: with very many control needs its time */
	SEEK_LEAST_S = 8, /* and at least: who has it may be slow, or not be found yet */
	PASSES = 4,	  /* and so often each backend was asked */
	TCP_SEQ = 4,
	TCP_ACKED = 8,
	ASK_MAX = 192,	 /* segments in a tick: three quarters of worker 0's room (exchange.h) */
	QUIET_TURNS = 4, /* those whose client says nothing are asked for in every fourth */
	LOOK_MAX = 1 << 18,
	NEAR = 1 << 24, /* bytes that the two ends' numbers may be apart: windows are smaller */
};

bool service_seek_guesses(struct worker *w, const struct service *s, const struct item *it)
{
	return it->f->ip_proto == IPPROTO_TCP && !item_opens(it) && !(it->tcp & TCP_RST) && !it->moved &&
	       s->nbackends > 1 && !s->more && !connect_has_spilled(w, it->f->net);
}

/* Sequence number and acknowledgement, as they are in the packet. */
uint64_t service_seek_numbers(const struct item *it)
{
	const uint8_t *tcp = frame_data(it->f) + it->f->l4_off;

	return (uint64_t)load32(tcp + TCP_SEQ) << 32 | load32(tcp + TCP_ACKED);
}

/* The lowest that the client sends, for a backend says nothing to a segment that it may have missed what is before;
 * and the last that it acknowledged. */
static uint64_t join(uint64_t noted, uint64_t now)
{
	uint32_t seq = (uint32_t)(noted >> 32), acked = (uint32_t)noted;

	if (!noted)
		return now;
	if ((int32_t)((uint32_t)(now >> 32) - seq) < 0)
		seq = (uint32_t)(now >> 32);
	if ((int32_t)((uint32_t)now - acked) > 0)
		acked = (uint32_t)now;
	return (uint64_t)seq << 32 | acked;
}

static void note_time(struct worker *w)
{
	atomic_store_explicit(&w->dp->lb->seek_s, w->now_s ? w->now_s : 1, memory_order_relaxed);
}

static uint32_t passes(struct worker *w)
{
	return atomic_load_explicit(&w->dp->lb->seek_pass, memory_order_relaxed);
}

/* The backend's side has the number of walks through all that look for theirs, as it was then. */
static void begin(struct worker *w, struct conn_hit *client, const struct conn_hit *backend)
{
	conn_renote(backend, passes(w));
	conn_packet(client, CONN_SEEKS, w->now_s, 0);
	note_time(w);
}

static bool is_in_vain(struct worker *w, const struct conn_hit *hit)
{
	struct conn_hit backend = conn_other(w->dp->lb->conns, hit);
	uint32_t since = conn_since(conn_made_s(hit), w->now_s);

	if (!conn_note(hit) || !conn_is_still(hit))
		return false; /* none was asked */
	return since > SEEK_MAX_S ||
	       (since >= SEEK_LEAST_S && passes(w) - (uint32_t)conn_note(&backend) > PASSES);
}

/* Nobody has it: the switch itself says so, for any backend might be one that nobody answers for. */
static void give_up(struct worker *w, struct port *in, struct item *it, struct conn_hit *hit)
{
	struct frame *f = it->f;

	conn_remove(w->dp->lb->conns, hit);
	if (f->routed) { /* nobody would translate the reset */
		frame_drop(f, DROP_SEEKS);
		return;
	}
	refuse_reset(f, it->tcp);
	f->verdict = V_PORT;
	f->out = in->id;
}

bool service_seek_forward(
	struct worker *w, struct port *in, struct item *it, struct conn_hit *hit, bool *found)
{
	bool seeks = hit->life >> 32 & CONN_SEEKS;

	if (item_opens(it) || (seeks && ((it->tcp & TCP_RST) || !item_service(it)))) {
		conn_remove(w->dp->lb->conns, hit);
		*found = false;
		return false;
	}
	if (!seeks)
		return stray_moves(w, it, hit);
	if (is_in_vain(w, hit)) {
		give_up(w, in, it, hit);
		return true;
	}
	conn_renote(hit, join(conn_note(hit), service_seek_numbers(it)));
	conn_packet(hit, 0, w->now_s, it->f->len);
	note_time(w);
	frame_drop(it->f, DROP_SEEKS);
	return true;
}

/* Would the end that the client's numbers are of answer so? */
static bool fits(uint64_t note, const struct item *it)
{
	uint64_t theirs = service_seek_numbers(it);
	uint32_t past = (uint32_t)theirs - (uint32_t)(note >> 32);  /* what it has of the client's */
	uint32_t ahead = (uint32_t)(theirs >> 32) - (uint32_t)note; /* what the client has not of it */

	return (it->tcp & TCP_ACK) && past < NEAR && ahead < NEAR;
}

bool service_seek_swallows(struct worker *w, const struct item *it, const struct conn_hit *hit)
{
	uint8_t flags = (uint8_t)(hit->life >> 32);
	struct conn_hit client;
	uint64_t note;
	bool on;

	if (flags & CONN_SEEN)
		return false;
	client = conn_other(w->dp->lb->conns, hit);
	on = client.life >> 32 & CONN_SEEKS;
	note = conn_note(&client);
	if (!conn_is_still(hit)) { /* another has been found to have it, or it is over */
		frame_drop(it->f, DROP_SEEKS);
		return true;
	}
	if (!on && !(it->tcp & TCP_RST))
		return false;
	if (on && !(it->tcp & TCP_RST) && (!note || fits(note, it))) {
		conn_clear(
			&client, CONN_SEEKS); /* it was not found at once, and is the right one after all */
		return false;
	}
	if (!on)
		begin(w, &client, hit);
	frame_drop(it->f, DROP_SEEKS);
	return true;
}

bool service_seek_was_guess(struct worker *w, const struct conn_hit *hit)
{
	struct conn_hit backend;

	if (!hit->side)
		return false;
	backend = conn_other(w->dp->lb->conns, hit);
	return (backend.life >> 32 & (CONN_GUESS | CONN_SEEN)) == CONN_GUESS && conn_is_still(hit);
}

void service_seek_unheard(struct worker *w, struct conn_hit hit)
{
	struct conn_hit backend;

	if (!service_seek_was_guess(w, &hit))
		return;
	backend = conn_other(w->dp->lb->conns, &hit);
	if (conn_is_still(&hit))
		begin(w, &hit, &backend);
}

/* The connection is made anew, with the backend that has it. */
static bool take(struct worker *w, const struct item *it, const struct pair *pair, const struct service *s,
	uint32_t id, struct conn_hit *hit)
{
	struct conn_hit made;

	conn_remove(w->dp->lb->conns, hit);
	if (!pair_make(w, it, pair, s, id, CONN_SEEN, &made))
		return false;
	*hit = conn_other(w->dp->lb->conns, &made);
	hit->end = (struct conn_end){s->vip, s->port, id}; /* the entry may be another's already */
	hit->ip6 = s->address;
	return true;
}

static bool find(struct worker *w, const struct item *it, struct conn_hit *hit)
{
	const struct pair pair = {item_dst(it), item_src(it), it->dst_port, it->src_port};
	uint32_t seek_s = atomic_load_explicit(&w->dp->lb->seek_s, memory_order_relaxed), at = 0;
	const struct service *s;
	uint32_t id;
	uint64_t note;

	if (__builtin_expect(!seek_s, 1) || (int32_t)(w->now_s - seek_s) > SEEK_MAX_S)
		return false;
	while ((s = pair_service(it, &pair, &at, &id))) {
		if (!pair_find(w, it, &pair, s, hit) || !(hit->life >> 32 & CONN_SEEKS))
			continue;
		if (it->tcp & TCP_RST) {
			frame_drop(it->f, DROP_SEEKS);
			return true;
		}
		note = conn_note(hit);
		if (note && fits(note, it) && conn_is_still(hit))
			return take(w, it, &pair, s, id, hit);
	}
	return false;
}

bool service_seek_finds(struct worker *w, struct port *in, const struct item *it, struct conn_hit *hit)
{
	if (it->f->ip_proto != IPPROTO_TCP)
		return false;
	if (find(w, it, hit))
		return true;
	if (stray_refuses(it))
		return stray_may_be(w, it->f) && stray_takes(w, in, it);
	stray_note(w, it);
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
	struct lb *lb = asking->dp->lb;
	uint32_t now_s = dp_now_s(asking->dp);
	const struct service *s;

	if (!(info->flags[CONN_FORWARD] & CONN_SEEKS) || conn_since(info->made_s, now_s) > SEEK_MAX_S)
		return true;
	lb->seek_found = true;
	if (!info->note || (conn_since(info->seen_s, now_s) > 1 && lb->seek_turn % QUIET_TURNS))
		return true;
	s = service_of(lb, info);
	for (; s && asking->from < s->nbackends; asking->from++)
		if (!asking->left || !ask_backend(asking, s->backend[asking->from], info)) {
			asking->full = true;
			break;
		}
	return !asking->full;
}

/* The walk was through all of them. */
static void end_pass(struct lb *lb)
{
	lb->seek_at = 0;
	lb->seek_any = lb->seek_found;
	lb->seek_found = false;
	lb->seek_turn++;
	atomic_fetch_add_explicit(&lb->seek_pass, 1, memory_order_relaxed);
}

/* One connection after the other, so that the next tick goes on where there was no room for more. */
void service_seek_ask(struct dp *dp)
{
	struct lb *lb = dp->lb;
	struct asking asking = {dp, ASK_MAX, .from = lb->seek_from};
	uint32_t seek_s = atomic_load_explicit(&lb->seek_s, memory_order_relaxed);
	bool more = true;

	if (!seek_s || ((int32_t)(dp_now_s(dp) - seek_s) > 1 && !lb->seek_any))
		return;
	for (unsigned i = 0; i < LOOK_MAX && more; i++) {
		uint64_t at = lb->seek_at;

		more = conn_walk_part(lb->conns, &at, 1, ask, &asking);
		if (asking.full)
			break;
		lb->seek_at = at;
		asking.from = 0;
	}
	if (!more && !asking.full)
		end_pass(lb);
	lb->seek_from = asking.from;
}
