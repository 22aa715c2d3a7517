#include "dataplane/lb/stray.h"

#include "dataplane/core/bucket.h"
#include "dataplane/l2/network.h"
#include "dataplane/lb/pair.h"
#include "dataplane/lb/seek.h"
#include "dataplane/lb/service.h"

enum {
	MADE_S =
		2000, /* entries for answers to clients of one port: what others send to many ports fills no table */
	MADE_BURST = 4000,
};

static bool may_make(struct worker *w, const struct port *in)
{
	uint64_t each = rte_get_tsc_hz() / MADE_S;

	return bucket_take(&w->dp->lb->stray_full[in->id], each, each * MADE_BURST);
}

/* The connection through the next service from *at on with which the client has none. False: no service is left. */
static bool make_next(
	struct worker *w, struct port *in, const struct item *it, const struct pair *pair, uint32_t *at)
{
	const struct service *s;
	struct conn_hit hit;
	uint32_t id;

	while ((s = pair_service(it, pair, at, &id))) {
		if (lb_backend_flags(w, id) & (BACKEND_DEAD | BACKEND_GONE))
			continue;
		if (!pair_find(w, it, pair, s, &hit)) {
			if (!in || may_make(w, in))
				pair_make(w, it, pair, s, id, CONN_STRAY, &hit);
			return true;
		}
		if ((hit.life >> 32 & (CONN_SEEKS | CONN_STRAY)) || service_seek_was_guess(w, &hit))
			return true;
	}
	return false;
}

/* What the backend says goes through a vip already: the client refused what came before, as each segment of a window is
 * refused. Refuses it the vip, too, stray_moves() has it. */
static bool is_known(struct worker *w, const struct item *it, const struct pair *pair)
{
	struct conn_hit hit;

	return pair_find_answers(w, it, pair, &hit) && !(lb_backend_flags(w, hit.end.owner) & BACKEND_GONE);
}

/* Checks ask backends from the gateway's address, and the host resets what they are answered: each of them is meant. */
static bool is_check(const struct worker *w, const struct item *it, const struct pair *pair)
{
	const struct network *net = dp_get_net(w->dp, it->f->net);

	return net && network_is_gateway(net, pair->client);
}

bool stray_takes(struct worker *w, struct port *in, const struct item *it)
{
	const struct pair pair = {item_src(it), item_dst(it), it->src_port, it->dst_port};
	uint32_t at = 0;

	if (it->f->routed || ip_equal(pair.client, pair.backend) || is_check(w, it, &pair))
		return false;
	if (!is_known(w, it, &pair) && !make_next(w, in, it, &pair, &at))
		return false;
	frame_drop(it->f, DROP_SEEKS);
	return true;
}

bool stray_ends(struct worker *w, const struct item *it, const struct conn_hit *hit)
{
	struct conn_hit client;

	if (!(it->tcp & TCP_SYN))
		return false;
	client = conn_other(w->dp->lb->conns, hit);
	if (!(client.life >> 32 & CONN_STRAY) || !conn_is_still(hit))
		return false;
	conn_remove(w->dp->lb->conns, hit);
	return true;
}

bool service_is_restoring(const struct worker *w)
{
	return stray_is_restoring(w);
}

void stray_restoring(struct worker *w, struct frame *f)
{
	uint8_t flags;

	if (!f->parsed)
		parse_frame(f);
	if (f->src_vtep != VTEP_NONE || f->ip_proto != IPPROTO_TCP || !f->l4_off ||
		f->l4_off + TCP_FLAGS >= f->hdr_len)
		return;
	flags = frame_data(f)[f->l4_off + TCP_FLAGS];
	if ((flags & (TCP_RST | TCP_ACK | TCP_SYN | TCP_FIN)) == TCP_RST)
		frame_drop(f, DROP_SEEKS);
}

/* Goes on behind the service that the packet is for. */
static bool next_after(const struct item *it, const struct pair *pair, uint32_t *at)
{
	const struct service *s, *now = item_service(it);
	uint32_t id;

	while ((s = pair_service(it, pair, at, &id)))
		if (s == now)
			return true;
	return false;
}

bool stray_moves(struct worker *w, const struct item *it, struct conn_hit *hit)
{
	const struct backend *b = lb_backend(w, hit->end.owner);
	const struct pair pair = {item_src(it), b->address, it->src_port, hit->end.port};
	uint32_t at = 0;

	if (!(it->tcp & TCP_RST)) {
		conn_clear(hit, CONN_STRAY);
		return false;
	}
	if (!next_after(it, &pair, &at) || !make_next(w, NULL, it, &pair, &at))
		return false; /* it is told to the backend */
	conn_remove(w->dp->lb->conns, hit);
	frame_drop(it->f, DROP_SEEKS);
	return true;
}
