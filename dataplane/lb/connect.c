#include "dataplane/lb/connect.h"

#include "dataplane/lb/affinity.h"

enum {
	CHOICE_TRIES = 4, /* backends tried when the client's port is in use towards the first */
	SCAN_MAX = 64,	  /* slots looked at for a backend other than the client */
};

/* The hash that chooses for a packet from `client` to a vip: the same for the answer's reconstruction. */
static uint32_t choice_hash(uint32_t client, uint16_t client_port, const struct service *s)
{
	if (s->affinity_s)
		client_port = 0;
	return maglev_hash((uint64_t)client << 32 | s->vip,
		(uint64_t)client_port << 32 | (uint32_t)s->port << 8 | s->protocol);
}

/*
 * The backend for `hash`: the table's, but never the client itself. Then it is the next slot's that is
 * somebody else, or after some slots one of the ends of the list by address, which differ if any two do.
 * Returns false when the client is the only one: *id is the table's then.
 */
static bool choose(struct worker *w, const struct service *s, uint32_t hash, uint32_t client, uint16_t *id)
{
	uint32_t slot = maglev_slot(s->table, hash);

	for (unsigned i = 0; i < SCAN_MAX; i++) {
		*id = s->table->slot[slot];
		if (__builtin_expect(lb_backend(w, *id)->ip != client, 1))
			return true;
		slot = slot + 1 < s->table->size ? slot + 1 : 0;
	}
	*id = lb_backend(w, s->first)->ip != client ? s->first : s->last;
	if (lb_backend(w, *id)->ip != client)
		return true;
	*id = s->table->slot[maglev_slot(s->table, hash)];
	return false;
}

bool connect_choose(
	struct worker *w, const struct service *s, uint32_t client, uint16_t client_port, uint16_t *id)
{
	if (s->affinity_s && affinity_find(w, s, client, id))
		return true;
	return choose(w, s, choice_hash(client, client_port, s), client, id);
}

/* Fills in the reply side between backend `id` and who it takes for the client; returns whether that side is free. */
static bool reply_free(
	struct worker *w, const struct item *it, uint32_t client, uint16_t id, struct conn_new *conn)
{
	struct conn_table *t = w->dp->lb->conns;
	const struct backend *b = lb_backend(w, id);
	struct conn_hit other;

	conn->end[CONN_FORWARD] = (struct conn_end){b->ip, b->port, id};
	conn->end[CONN_REPLY].owner = id;
	conn->key[CONN_REPLY] =
		conn_key(CONN_REPLY, it->f->net, it->f->ip_proto, b->ip, client, b->port, it->src_port);
	conn_hash(t, &conn->key[CONN_REPLY], &conn->hash[CONN_REPLY], 1);
	if (!conn_find(t, &conn->key[CONN_REPLY], conn->hash[CONN_REPLY], CONN_NONE, &other))
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
	struct worker *w, const struct item *it, uint16_t id, struct conn_new *conn, struct conn_hit *hit)
{
	if ((it->tcp & TCP_RST) || lb_view_service(it->view, it->dst, it->src_port, it->f->ip_proto))
		return DROP_HAIRPIN;
	if (!reply_free(w, it, it->dst, id, conn))
		return DROP_CLASH;
	if (conn_insert(w->dp->lb->conns, conn, hit) < 0)
		return DROP_HAIRPIN;
	stat_add(&w->backend_answers[id].opened, item_asks(it));
	return DROP_COUNT;
}

enum drop_reason connect_item(struct worker *w, const struct item *it, const struct conn_key *key,
	uint64_t hash, struct conn_hit *hit)
{
	const struct service *s = lb_view_service(it->view, it->dst, it->dst_port, it->f->ip_proto);
	struct conn_new conn = {
		.now_s = w->now_s, .flags = {item_side(it, CONN_FORWARD), item_asks(it) ? CONN_ASKED : 0}};
	uint32_t choice;
	uint16_t id;

	if (!s)
		return DROP_VIP_MISS;
	if (!s->table)
		return DROP_NO_BACKEND;
	choice = choice_hash(it->src, it->src_port, s);
	conn.key[CONN_FORWARD] = *key;
	conn.hash[CONN_FORWARD] = hash;
	conn.end[CONN_REPLY] = (struct conn_end){.ip = s->vip, .port = s->port};
	for (unsigned i = 0; i < CHOICE_TRIES; i++, choice = choice * UINT32_C(0x9e3779b1) + 1) {
		bool first = i == 0 && s->affinity_s;

		if (!(first && affinity_find(w, s, it->src, &id)) && !choose(w, s, choice, it->src, &id))
			return connect_hairpin(w, it, id, &conn, hit);
		if (!reply_free(w, it, it->src, id, &conn))
			continue;
		if (first)
			affinity_note(w, s, it->src, id);
		*hit = (struct conn_hit){.end = conn.end[CONN_FORWARD]};
		if (it->tcp & TCP_RST)
			return DROP_COUNT; /* nothing will follow */
		if (conn_insert(w->dp->lb->conns, &conn, hit) == 0)
			stat_add(&w->backend_answers[id].opened, item_asks(it));
		return DROP_COUNT;
	}
	return DROP_CLASH;
}
