#include "dataplane/lb/inbound.h"

#include "dataplane/lb/least.h"

static bool find(struct worker *w, const struct item *it, enum conn_dir dir, struct conn_key *key,
	struct conn_hit *hit)
{
	struct conn_table *t = w->dp->lb->inbound;
	uint64_t hash;

	if (item_is6(it)) {
		*key = item_key6(t, it, dir);
		return conn_find6(t, key, item_src(it), item_dst(it), CONN_NONE, hit);
	}
	*key = item_key(it, dir);
	conn_hash(t, key, &hash, 1);
	return conn_find(t, key, hash, CONN_NONE, hit);
}

/* Does the service want to know of it, and is the packet for one of the backend's ports? */
static bool is_for(struct worker *w, const struct item *it, const struct service *s, uint32_t id)
{
	uint16_t first = __builtin_bswap16(lb_backend(w, id)->port), port = __builtin_bswap16(it->dst_port);

	return s->least && (uint16_t)(port - first) <= s->more;
}

/* By the places of its backend at that port, 0 for services with several. */
static bool backend_at(struct worker *w, const struct item *it, uint16_t port, uint32_t *id)
{
	const struct lb_place6 *place6;
	const struct lb_place *place;
	uint32_t at = 0;

	if (item_is6(it)) {
		do
			place6 = lb_view6_backend(it->view->ip6, item_dst(it), port, it->f->ip_proto, &at);
		while (place6 && !is_for(w, it, place6->service, place6->backend));
		*id = place6 ? place6->backend : 0;
		return place6 != NULL;
	}
	do
		place = lb_view_backend(it->view, it->dst, port, it->f->ip_proto, &at);
	while (place && !is_for(w, it, place->service, place->backend));
	*id = place ? place->backend : 0;
	return place != NULL;
}

/* The backend that the packet is for, of the first service that wants to know of it. */
static bool backend_of(struct worker *w, const struct item *it, uint32_t *id)
{
	bool ranges = item_is6(it) ? it->view->ip6->ranges : it->view->ranges;

	return backend_at(w, it, it->dst_port, id) || (ranges && backend_at(w, it, 0, id));
}

static bool make(struct worker *w, const struct item *it, const struct conn_key *key, uint32_t id,
	struct conn_hit *hit)
{
	struct conn_table *t = w->dp->lb->inbound;
	struct ip_addr client = item_src(it), backend = item_dst(it);
	const struct conn_ip6 ip6[] = {{client, backend, backend}, {backend, client, backend}};
	struct conn_new conn = {.now_s = w->now_s,
		.flags = {item_side(it, CONN_FORWARD) | CONN_TURNS, CONN_TURNS},
		.key[CONN_FORWARD] = *key,
		.end = {{it->dst, it->dst_port, id}, {it->dst, it->dst_port, id}}};

	if (item_is6(it)) {
		conn.ip6 = ip6;
		conn.key[CONN_REPLY] = conn_key6(t, CONN_REPLY, it->f->net, it->f->ip_proto, backend, client,
			it->dst_port, it->src_port);
		conn.hash[CONN_FORWARD] = conn.key[CONN_FORWARD].addresses;
		conn.hash[CONN_REPLY] = conn.key[CONN_REPLY].addresses;
	} else {
		conn.key[CONN_REPLY] = conn_key(CONN_REPLY, it->f->net, it->f->ip_proto, it->dst, it->src,
			it->dst_port, it->src_port);
		conn_hash(t, conn.key, conn.hash, 2);
	}
	if (conn_insert(t, &conn, hit) < 0)
		return false;
	least_begins(w, LEAST_INBOUND, id);
	return true;
}

/* Its host is told of the backends here from now on. */
static void note_host(struct worker *w, uint16_t vtep)
{
	uint32_t *asked_s = &w->dp->lb->told_host[vtep].asked_s, now_s = w->now_s ? w->now_s : 1;

	if (told_read(asked_s) != now_s)
		__atomic_store_n(asked_s, now_s, __ATOMIC_RELAXED);
}

/* Is what is found another connection from the same port by now, or its backend another one? */
static bool is_over(struct worker *w, const struct item *it, const struct conn_hit *hit)
{
	return (lb_backend_flags(w, hit->end.owner) & (BACKEND_GONE | BACKEND_DEAD)) ||
	       (item_opens(it) && conn_state(w->dp->lb->inbound, hit) == DP_CONN_CLOSING);
}

/* Is it of something that waits for an answer? What is in the middle of a connection that is not known here, and says
 * nothing, is not: another host that looks for who has it (seek.h) sends such to each backend. */
static bool begins(const struct item *it)
{
	return it->f->ip_proto != IPPROTO_TCP || item_opens(it) || least_has_payload(it);
}

void service_inbound_asks(struct worker *w, const struct item *it)
{
	struct conn_key key;
	struct conn_hit hit;
	uint32_t id;
	bool found = find(w, it, CONN_FORWARD, &key, &hit);

	if (found && is_over(w, it, &hit)) {
		conn_remove(w->dp->lb->inbound, &hit);
		found = false;
	}
	if (!found && ((it->tcp & (TCP_RST | TCP_FIN)) || !backend_of(w, it, &id)))
		return;
	note_host(w, it->f->src_vtep);
	if (!found && (!begins(it) || !make(w, it, &key, id, &hit)))
		return;
	conn_packet(&hit, item_side(it, CONN_FORWARD), w->now_s, it->f->len);
	least_asks(w, LEAST_INBOUND, it, &hit);
}

void service_inbound_answers(struct worker *w, const struct item *it)
{
	struct conn_key key;
	struct conn_hit hit;

	if (!find(w, it, CONN_REPLY, &key, &hit))
		return;
	conn_packet(&hit, item_side(it, CONN_REPLY), w->now_s, it->f->len);
	least_answers(w, LEAST_INBOUND, it, &hit);
}
