#include "dataplane/lb/connect.h"

#include <rte_cycles.h>

#include "dataplane/lb/affinity.h"
#include "dataplane/lb/drain.h"
#include "dataplane/lb/least.h"
#include "dataplane/lb/seek.h"
#include "dataplane/lb/stray.h"

enum {
	CHOICE_TRIES = 4, /* backends tried when the client's port is in use towards the first */
	SLOW_TRIES = 4,	  /* and when the first takes only a part of its share yet */
	PART_BITS = 16,	  /* of a hash: which part of a share the connection is in */
	OTHERS = 4,	  /* backends that are compared with the table's choice, by how busy they are */
	SCAN_MAX = 64,	  /* slots looked at for a backend other than the client */
};

/* The hash that chooses for a packet from `client` to a vip: the same for the answer's reconstruction. */
static uint32_t choice_hash(struct ip_addr client, uint16_t client_port, const struct service *s)
{
	uint64_t addresses =
		s->vip ? (uint64_t)ip_to4(client) << 32 | s->vip : maglev_addresses6(client, s->address);

	if (s->affinity_s)
		client_port = 0;
	return maglev_hash(addresses, (uint64_t)client_port << 32 | (uint32_t)s->port << 8 | s->protocol);
}

static bool is_at(struct worker *w, uint32_t id, struct ip_addr address)
{
	return ip_equal(lb_backend(w, id)->address, address);
}

/* The table that has the connection: the service's, or of near backends, as far as they have a part of its kind. */
static const struct maglev *table_for(const struct service *s, uint32_t hash)
{
	if (__builtin_expect(!s->near, 1))
		return s->table;
	for (unsigned i = 0; i < DP_DISTANCES; i++) {
		hash = hash * UINT32_C(0xc2b2ae35) + 1;
		if (s->at[i].table && hash >> 16 < s->at[i].part)
			return s->at[i].table;
	}
	return s->table;
}

/*
 * The backend for `hash`: the table's, but never the client itself. Then it is the next slot's that is
 * somebody else, or after some slots one of the ends of the list by address, which differ if any two do.
 * Returns false when the client is the only one: *id is the table's then.
 */
static bool choose(
	struct worker *w, const struct service *s, uint32_t hash, struct ip_addr client, uint32_t *id)
{
	const struct maglev *table = table_for(s, hash);
	uint32_t slot = maglev_slot(table, hash);

	for (unsigned i = 0; i < SCAN_MAX; i++) {
		*id = lb_slot_backend(s, table, slot);
		if (__builtin_expect(!is_at(w, *id, client), 1))
			return true;
		slot = slot + 1 < table->size ? slot + 1 : 0;
	}
	*id = !is_at(w, s->first, client) ? s->first : s->last;
	if (!is_at(w, *id, client))
		return true;
	*id = lb_slot_backend(s, s->table, maglev_slot(s->table, hash));
	return false;
}

static uint32_t next_choice(uint32_t hash)
{
	return hash * UINT32_C(0x9e3779b1) + 1;
}

/* Is the connection in the part of its share that the backend takes so long after it came? */
static bool takes_part(struct worker *w, const struct service *s, uint32_t id, uint32_t hash)
{
	uint64_t age = rte_rdtsc() - atomic_load_explicit(&lb_backend(w, id)->since, memory_order_relaxed);
	uint64_t part = (hash * UINT32_C(0x85ebca6b)) >> (32 - PART_BITS);

	return age >= s->slow_start || part * s->slow_start < age << PART_BITS;
}
static_assert((uint64_t)DP_SLOW_START_MAX_MS << PART_BITS < UINT64_MAX / 10000000,
	"the cycles of the longest slow start fit, at 10 GHz");

/*
 * As choose(), where the share of a backend that came lately grows (slow_start_ms). The table stays: what is over its
 * part goes where the next hash leads. Where all have come lately, the first choice holds.
 */
static bool choose_slowly(
	struct worker *w, const struct service *s, uint32_t hash, struct ip_addr client, uint32_t *id)
{
	uint32_t first, end;

	if (!choose(w, s, hash, client, id))
		return false;
	first = *id;
	for (unsigned i = 0; i < SLOW_TRIES; i++, hash = next_choice(hash)) {
		choose(w, s, hash, client, id);
		if (takes_part(w, s, *id, hash))
			return true;
	}
	end = first == s->first ? s->last : s->first; /* another, if it has most of the table */
	*id = !is_at(w, end, client) && takes_part(w, s, end, hash) ? end : first;
	return true;
}

static uint8_t distance_of(struct worker *w, uint32_t id)
{
	return atomic_load_explicit(&lb_backend(w, id)->distance, memory_order_relaxed);
}

/* Of a farther one than the best so far: does that have so much more to do, and is it so much slower, that the way is worth
 * it? Else it is as least_is_better() says. */
static bool is_better(struct worker *w, const struct service *s, uint32_t other,
	const struct least_load *load, uint32_t id, const struct least_load *best)
{
	if (s->near && distance_of(w, other) > distance_of(w, id))
		return least_relieves(load, best);
	return least_is_better(load, best);
}

/* The table's choice `id` for `hash`, unless one of a few others is much less busy. */
static uint32_t choose_least(
	struct worker *w, const struct service *s, uint32_t hash, struct ip_addr client, uint32_t id)
{
	uint32_t now = least_now();
	struct least_load best = least_load(w, s, id, now);

	for (unsigned i = 0; i < OTHERS; i++) {
		const struct maglev *table;
		struct least_load load;
		uint32_t other;

		hash = next_choice(hash);
		/* every second of them of all distances, so that what is far is known too */
		table = i & 1 ? s->table : table_for(s, hash);
		other = lb_slot_backend(s, table, maglev_slot(table, hash));
		load = least_load(w, s, other, now);
		if (!is_better(w, s, other, &load, id, &best) || is_at(w, other, client) ||
			(s->slow_start && !takes_part(w, s, other, hash)))
			continue;
		id = other;
		best = load;
	}
	return id;
}

/*
 * The backend for a new connection, at the first try or a later one. What is in the middle of something lost its entry:
 * it goes where most of its kind were sent, by the table alone. False: as choose().
 */
static bool choose_new(struct worker *w, const struct service *s, const struct item *it, uint32_t hash,
	struct ip_addr client, bool first, uint32_t *id)
{
	bool fresh = item_opens(it) || it->f->ip_proto == IPPROTO_UDP;

	if (first && s->affinity_s && affinity_find(w, s, client, id))
		return true;
	if (s->slow_start && fresh ? !choose_slowly(w, s, hash, client, id) : !choose(w, s, hash, client, id))
		return false;
	if (s->least && fresh && first)
		*id = choose_least(w, s, hash, client, *id);
	return true;
}

static bool connect_choose(
	struct worker *w, const struct service *s, struct ip_addr client, uint16_t client_port, uint32_t *id)
{
	if (s->affinity_s && affinity_find(w, s, client, id))
		return true;
	return choose(w, s, choice_hash(client, client_port, s), client, id);
}

bool connect_would_choose(
	struct worker *w, const struct service *s, const struct item *it, uint32_t id, uint16_t *offset)
{
	uint32_t chosen;

	*offset = (uint16_t)(__builtin_bswap16(it->src_port) - __builtin_bswap16(lb_backend(w, id)->port));
	return s->table && *offset <= s->more && connect_choose(w, s, item_dst(it), it->dst_port, &chosen) &&
	       chosen == id;
}

/* A connection in the making: what conn_insert() takes, and room for what it takes of IPv6. */
struct making {
	struct conn_new conn;
	uint16_t offset; /* of the port, behind the service's first */
	struct conn_ip6 ip6[2];
};

/* Fills in the reply side between backend `id` and who it takes for the client; returns whether that side is free. */
static bool reply_free(
	struct worker *w, const struct item *it, struct ip_addr client, uint32_t id, struct making *making)
{
	struct conn_table *t = w->dp->lb->conns;
	const struct backend *b = lb_backend(w, id);
	struct conn_new *conn = &making->conn;
	struct conn_key *key = &conn->key[CONN_REPLY];
	struct conn_hit other;
	uint16_t port = lb_port_plus(b->port, making->offset);
	bool taken;

	conn->end[CONN_FORWARD] = (struct conn_end){b->ip, port, id};
	conn->end[CONN_REPLY].owner = id;
	if (item_is6(it)) {
		*key = conn_key6(
			t, CONN_REPLY, it->f->net, it->f->ip_proto, b->address, client, port, it->src_port);
		conn->hash[CONN_REPLY] = key->addresses;
		making->ip6[CONN_FORWARD].end = making->ip6[CONN_REPLY].src = b->address;
		making->ip6[CONN_REPLY].dst = client;
		taken = conn_find6(t, key, b->address, client, CONN_NONE, &other);
	} else {
		*key = conn_key(
			CONN_REPLY, it->f->net, it->f->ip_proto, b->ip, ip_to4(client), port, it->src_port);
		conn_hash(t, key, &conn->hash[CONN_REPLY], 1);
		taken = conn_find(t, key, conn->hash[CONN_REPLY], CONN_NONE, &other);
	}
	if (!taken)
		return true;
	if (conn_state(t, &other) == DP_CONN_ESTABLISHED &&
		!(lb_backend_flags(w, other.end.owner) & BACKEND_GONE))
		return false;
	conn_remove(t, &other);
	return true;
}

/*
 * The only backend is the client: it sees the vip as its client. Its answer comes to the vip, at the client's port, and
 * is known by its connection alone: so that port must be no service's, and there must be room in the table.
 */
static enum drop_reason connect_hairpin(
	struct worker *w, const struct item *it, uint32_t id, struct making *making, struct conn_hit *hit)
{
	if ((it->tcp & TCP_RST) || item_service_at(it, it->src_port))
		return DROP_HAIRPIN;
	making->conn.flags[CONN_FORWARD] &= ~CONN_TURNS; /* there is nobody to compare it with */
	making->conn.flags[CONN_REPLY] &= ~CONN_TURNS;
	if (!reply_free(w, it, item_dst(it), id, making))
		return DROP_CLASH;
	if (conn_insert(w->dp->lb->conns, &making->conn, hit) < 0)
		return DROP_HAIRPIN;
	stat_add(&w->backend_answers[id].opened, item_asks(it));
	return DROP_COUNT;
}

/* What does not depend on the backend. */
static void begin(struct worker *w, struct making *making, const struct item *it, const struct service *s,
	const struct conn_key *key, uint64_t hash)
{
	uint8_t turns = s->least ? CONN_TURNS : 0;
	uint8_t reply = (item_asks(it) ? CONN_ASKED : 0) | turns;
	bool guess = service_seek_guesses(w, s, it);

	if (guess)
		reply |= CONN_GUESS;
	making->conn = (struct conn_new){.now_s = w->now_s,
		.note[CONN_FORWARD] = guess ? service_seek_numbers(it) : 0,
		.flags = {item_side(it, CONN_FORWARD) | turns, reply},
		.key[CONN_FORWARD] = *key,
		.hash[CONN_FORWARD] = hash,
		.end[CONN_REPLY] = {.ip = s->vip, .port = it->dst_port}};
	making->offset = lb_port_offset(s, it->dst_port);
	if (!item_is6(it))
		return;
	making->conn.ip6 = making->ip6;
	making->ip6[CONN_FORWARD].src = item_src(it);
	making->ip6[CONN_FORWARD].dst = making->ip6[CONN_REPLY].end = s->address;
}

/*
 * The table of connections had no room. What comes later must go the same way, and the answer be recognised: by the
 * table of backends alone, which neither a slow start nor a load changes.
 */
static void connect_without_entry(
	struct worker *w, const struct service *s, const struct item *it, struct conn_hit *hit)
{
	const struct backend *b;
	uint32_t id;

	if ((!s->slow_start && !s->least) || !connect_choose(w, s, item_src(it), it->src_port, &id))
		return;
	b = lb_backend(w, id);
	hit->end = (struct conn_end){b->ip, lb_port_plus(b->port, lb_port_offset(s, it->dst_port)), id};
	hit->ip6 = b->address;
}

static void connected(struct worker *w, const struct service *s, const struct item *it, uint32_t id)
{
	stat_add(&w->backend_answers[id].opened, item_asks(it));
	if (s->least)
		least_begins(w, LEAST_OWN, id);
}

enum drop_reason connect_item(struct worker *w, const struct item *it, const struct conn_key *key,
	uint64_t hash, struct conn_hit *hit)
{
	const struct service *s = item_service(it);
	struct ip_addr client = item_src(it);
	struct making making;
	uint32_t choice;
	uint32_t id;

	if (!s)
		return DROP_VIP_MISS;
	if (!s->table)
		return DROP_NO_BACKEND;
	if (__builtin_expect(stray_is_restoring(w), 0) && it->f->ip_proto == IPPROTO_TCP && !item_opens(it))
		return DROP_SEEKS; /* who has it may not be there yet */
	choice = choice_hash(client, it->src_port, s);
	begin(w, &making, it, s, key, hash);
	for (unsigned i = 0; i < CHOICE_TRIES; i++, choice = next_choice(choice)) {
		if (!choose_new(w, s, it, choice, client, i == 0, &id))
			return connect_hairpin(w, it, id, &making, hit);
		if (!reply_free(w, it, client, id, &making))
			continue;
		if (i == 0 && s->affinity_s)
			affinity_note(w, s, client, id);
		*hit = (struct conn_hit){
			.end = making.conn.end[CONN_FORWARD], .ip6 = lb_backend(w, id)->address};
		if (it->tcp & TCP_RST)
			return DROP_COUNT; /* nothing will follow */
		if (conn_insert(w->dp->lb->conns, &making.conn, hit) == 0)
			connected(w, s, it, id);
		else
			connect_without_entry(w, s, it, hit);
		return DROP_COUNT;
	}
	return DROP_CLASH;
}

bool connect_goes_on_inactive(
	struct worker *w, const struct item *it, const struct conn_hit *hit, uint32_t flags)
{
	const struct service *s;

	if ((flags & (BACKEND_DEAD | BACKEND_GONE)) || item_opens(it))
		return false;
	if (drain_is_over(
		    lb_backend(w, hit->end.owner), flags)) /* its own reset passes, to tell the backend */
		return (flags & BACKEND_RESETS) && (it->tcp & TCP_RST);
	if (conn_answered(w->dp->lb->conns, hit))
		return true;
	s = item_service(it);
	return s && !s->table;
}
