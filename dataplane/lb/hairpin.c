#include "dataplane/lb/hairpin.h"

#include "dataplane/frame/nat.h"

/*
 * Rewrites both ends. The second is the one that nat_undo() knows; it is asked for a frame that is too long, and what
 * came from a port seldom is too long for it.
 */
static void turn_round(
	struct port *in, struct frame *f, const struct conn_end *from, const struct conn_end *to)
{
	uint8_t mac[6];

	memcpy(mac, frame_data(f) + 6, 6);
	nat_rewrite(f, NAT_DESTINATION, mac, to->ip, to->port);
	nat_rewrite(f, NAT_SOURCE, dp_router_mac, from->ip, from->port);
	f->verdict = V_PORT;
	f->out = in->id;
}

void hairpin_forward(struct worker *w, struct port *in, struct item *it, const struct conn_hit *hit)
{
	turn_round(in, it->f, &(struct conn_end){.ip = it->dst, .port = it->src_port}, &hit->end);
	lb_count_packet(w, it->f, hit->end.owner);
}

bool hairpin_reply(struct worker *w, struct port *in, struct item *it)
{
	struct conn_key key = item_key(it, CONN_REPLY);
	struct conn_hit hit;
	uint64_t hash;

	conn_hash(w->dp->lb->conns, &key, &hash, 1);
	if (!conn_find(w->dp->lb->conns, &key, hash, CONN_NONE, &hit) ||
		(lb_backend_flags(w, hit.end.owner) & BACKEND_GONE))
		return false;
	if (conn_packet(&hit, item_side(it, CONN_REPLY), w->now_s, it->f->len))
		lb_count_answer(w, it, hit.end.owner);
	turn_round(in, it->f, &hit.end, &(struct conn_end){.ip = it->src, .port = it->dst_port});
	lb_count_packet(w, it->f, hit.end.owner);
	return true;
}
