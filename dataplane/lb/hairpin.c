#include "dataplane/lb/hairpin.h"

#include "dataplane/frame/nat.h"

/* From where the packet comes then, and to where it goes. */
struct turn {
	struct conn_end from, to;
	struct ip_addr from6, to6;
};

/*
 * Rewrites both ends. The second is the one that nat_undo() knows; it is asked for a frame that is too long, and what
 * came from a port seldom is too long for it.
 */
static void turn_round(struct port *in, struct frame *f, const struct turn *turn)
{
	uint8_t mac[6];

	memcpy(mac, frame_data(f) + 6, 6);
	item_rewrite(f, NAT_DESTINATION, mac, &turn->to, &turn->to6);
	item_rewrite(f, NAT_SOURCE, dp_router_mac, &turn->from, &turn->from6);
	f->verdict = V_PORT;
	f->out = in->id;
}

void hairpin_forward(struct worker *w, struct port *in, struct item *it, const struct conn_hit *hit)
{
	const struct turn turn = {{.ip = it->dst, .port = it->src_port}, hit->end, item_dst(it), hit->ip6};

	turn_round(in, it->f, &turn);
	lb_count_packet(w, it->f, hit->end.owner);
}

static bool find_reply(struct worker *w, const struct item *it, struct conn_hit *hit)
{
	struct conn_table *t = w->dp->lb->conns;
	struct conn_key key;
	uint64_t hash;

	if (item_is6(it)) {
		key = item_key6(t, it, CONN_REPLY);
		return conn_find6(t, &key, item_src(it), item_dst(it), CONN_NONE, hit);
	}
	key = item_key(it, CONN_REPLY);
	conn_hash(t, &key, &hash, 1);
	return conn_find(t, &key, hash, CONN_NONE, hit);
}

bool hairpin_reply(struct worker *w, struct port *in, struct item *it)
{
	struct conn_hit hit;
	struct turn turn;

	if (!find_reply(w, it, &hit) || (lb_backend_flags(w, hit.end.owner) & BACKEND_GONE))
		return false;
	if (conn_packet(&hit, item_side(it, CONN_REPLY), w->now_s, it->f->len))
		lb_count_answer(w, it, hit.end.owner);
	turn = (struct turn){hit.end, {.ip = it->src, .port = it->dst_port}, hit.ip6, item_src(it)};
	turn_round(in, it->f, &turn);
	lb_count_packet(w, it->f, hit.end.owner);
	return true;
}
