#include "dataplane/egress/icmp.h"

#include "dataplane/core/dp.h"
#include "dataplane/egress/flow.h"
#include "dataplane/frame/icmp6_error.h"
#include "dataplane/frame/icmp_answer.h"
#include "dataplane/frame/icmp_error.h"
#include "dataplane/frame/nat.h"
#include "dataplane/frame/parse.h"

/* Of IPv4 (RFC 792), and of IPv6 (RFC 4443). */
static const struct {
	uint8_t type, code;
} said[PROBLEMS][2] = {
	[PROBLEM_NO_ROUTE] = {{3, 0}, {1, 0}},
	[PROBLEM_HOPS] = {{11, 0}, {3, 0}},
	[PROBLEM_TOO_LONG] = {{3, 4}, {2, 0}},
};

void icmp_refuse(struct burst *b, struct frame *f, const struct egress_answer *answer)
{
	bool ip6 = icmp_is6(f);
	struct icmp_answer icmp = {.type = said[answer->problem][ip6].type,
		.code = said[answer->problem][ip6].code,
		.info = answer->info,
		.longest = b->in->mtu};

	frame_drop(f, answer->reason);
	nat_undo(f); /* its sender is told of the packet that it sent */
	if (!icmp_answer_may(f) || !port_may_answer(b->in))
		return;
	memcpy(icmp.mac, answer->mac, 6);
	if (ip6)
		memcpy(icmp.source, answer->source.b, 16);
	else
		memcpy(icmp.source, &answer->source.w[3], 4);
	f->off = (struct offload){0};
	icmp_answer(f, &icmp);
	f->verdict = V_REFUSE;
}

/* An error of either family, and what it quotes. */
struct quoted {
	union {
		struct icmp_error ip4;
		struct icmp6_error ip6;
	};
	struct ip_addr src, dst;
	uint16_t src_port, dst_port;
	uint8_t proto;
};

static bool read_error(struct frame *f, struct quoted *q)
{
	if (!icmp_is6(f)) {
		struct icmp_error *e = &q->ip4;

		if (!icmp_error_read(f, e))
			return false;
		q->src = ip_from4(e->src);
		q->dst = ip_from4(e->dst);
		q->src_port = e->src_port;
		q->dst_port = e->dst_port;
		q->proto = e->proto;
	} else {
		struct icmp6_error *e = &q->ip6;

		if (!f->l4_off || !icmp6_error_read(f, e) || ip_is4(e->src) || ip_is4(e->dst))
			return false;
		q->src = e->src;
		q->dst = e->dst;
		q->src_port = e->src_port;
		q->dst_port = e->dst_port;
		q->proto = e->proto;
	}
	return true;
}

static void rewrite_error(struct frame *f, const struct quoted *q, enum nat_end end, const uint8_t mac[6],
	const struct conn_hit *hit)
{
	if (icmp_is6(f))
		icmp6_error_rewrite(f, &q->ip6, end, mac, &hit->ip6, hit->end.port);
	else
		icmp_error_rewrite(f, &q->ip4, end, mac, hit->end.ip, hit->end.port);
}

/* What is quoted came from outside, and went to the guest. */
struct ip_addr icmp_from_guest(struct worker *w, struct frame *f)
{
	struct quoted q;
	struct ends ends;
	struct conn_hit hit;

	if (!read_error(f, &q))
		return (struct ip_addr){0};
	ends = (struct ends){q.dst, q.src, q.dst_port, q.src_port, q.proto, f->net};
	if (!flow_of_guest(w->dp->egress, &ends, &hit))
		return (struct ip_addr){0};
	rewrite_error(f, &q, NAT_SOURCE, dp_router_mac, &hit);
	return flow_end(&hit);
}

/* What is quoted went out under our address; the error is to that one, too, else it was not for whoever sent it. */
bool icmp_from_outside(struct worker *w, struct frame *f, uint16_t *net)
{
	struct quoted q;
	struct outside outside;
	struct conn_hit hit;
	uint8_t mac[6];

	if (!read_error(f, &q) || !ip_equal(q.src, icmp_address(f, 1)))
		return false;
	outside = (struct outside){q.src, q.dst, q.src_port, q.dst_port, q.proto};
	if (!flow_of_peer(w->dp->egress, &outside, &hit) || !flow_guest(w, &hit, net, mac))
		return false;
	rewrite_error(f, &q, NAT_DESTINATION, mac, &hit);
	return true;
}
