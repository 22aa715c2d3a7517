#include "dataplane/lb/pair.h"

const struct service *pair_service(const struct item *it, const struct pair *pair, uint32_t *at, uint32_t *id)
{
	const struct lb_place6 *place6;
	const struct lb_place *place;

	if (!pair->backend_port) /* that is where those with several ports are */
		return NULL;
	if (item_is6(it)) {
		place6 = lb_view6_backend(it->view->ip6, pair->backend, pair->backend_port, IPPROTO_TCP, at);
		*id = place6 ? place6->backend : 0;
		return place6 ? place6->service : NULL;
	}
	place = lb_view_backend(it->view, ip_to4(pair->backend), pair->backend_port, IPPROTO_TCP, at);
	*id = place ? place->backend : 0;
	return place ? place->service : NULL;
}

static struct conn_key forward_key(
	const struct conn_table *t, const struct item *it, const struct pair *pair, const struct service *s)
{
	if (item_is6(it))
		return conn_key6(t, CONN_FORWARD, it->f->net, IPPROTO_TCP, pair->client, s->address,
			pair->client_port, s->port);
	return conn_key(CONN_FORWARD, it->f->net, IPPROTO_TCP, ip_to4(pair->client), s->vip,
		pair->client_port, s->port);
}

static struct conn_key reply_key(const struct conn_table *t, const struct item *it, const struct pair *pair)
{
	if (item_is6(it))
		return conn_key6(t, CONN_REPLY, it->f->net, IPPROTO_TCP, pair->backend, pair->client,
			pair->backend_port, pair->client_port);
	return conn_key(CONN_REPLY, it->f->net, IPPROTO_TCP, ip_to4(pair->backend), ip_to4(pair->client),
		pair->backend_port, pair->client_port);
}

bool pair_find(struct worker *w, const struct item *it, const struct pair *pair, const struct service *s,
	struct conn_hit *hit)
{
	struct conn_table *t = w->dp->lb->conns;
	struct conn_key key = forward_key(t, it, pair, s);
	uint64_t hash;

	if (item_is6(it))
		return conn_find6(t, &key, pair->client, s->address, CONN_NONE, hit);
	conn_hash(t, &key, &hash, 1);
	return conn_find(t, &key, hash, CONN_NONE, hit);
}

bool pair_find_answers(struct worker *w, const struct item *it, const struct pair *pair, struct conn_hit *hit)
{
	struct conn_table *t = w->dp->lb->conns;
	struct conn_key key = reply_key(t, it, pair);
	uint64_t hash;

	if (item_is6(it))
		return conn_find6(t, &key, pair->backend, pair->client, CONN_NONE, hit);
	conn_hash(t, &key, &hash, 1);
	return conn_find(t, &key, hash, CONN_NONE, hit);
}

bool pair_make(struct worker *w, const struct item *it, const struct pair *pair, const struct service *s,
	uint32_t id, uint8_t flags, struct conn_hit *hit)
{
	struct conn_table *t = w->dp->lb->conns;
	const struct conn_ip6 ip6[] = {
		{pair->client, s->address, pair->backend}, {pair->backend, pair->client, s->address}};
	struct conn_new conn = {.now_s = w->now_s,
		.key = {forward_key(t, it, pair, s), reply_key(t, it, pair)},
		.flags = {flags, CONN_SEEN | (flags & CONN_STRAY ? CONN_GUESS : 0)},
		.end = {{ip_to4(pair->backend), pair->backend_port, id}, {s->vip, s->port, id}}};

	if (item_is6(it)) {
		conn.ip6 = ip6;
		conn.hash[CONN_FORWARD] = conn.key[CONN_FORWARD].addresses;
		conn.hash[CONN_REPLY] = conn.key[CONN_REPLY].addresses;
	} else {
		conn_hash(t, conn.key, conn.hash, 2);
	}
	return conn_insert(t, &conn, hit) == 0;
}
