#include "dataplane/core/dp.h"
#include "dataplane/frame/icmp6_error.h"
#include "dataplane/frame/parse.h"
#include "dataplane/lb/icmp.h"
#include "dataplane/lb/item.h"
#include "dataplane/lb/lb.h"

/* The connection that the error is about, as in icmp.c. */
static bool find(
	struct worker *w, struct frame *f, enum conn_dir dir, struct icmp6_error *e, struct conn_hit *hit)
{
	struct conn_table *t = w->dp->lb->conns;
	struct conn_key key;

	if (!icmp6_error_read(f, e) ||
		!ip_equal(e->src, ip_from6(frame_data(f) + f->l3_off + IP6_DESTINATION)))
		return false;
	key = conn_key6(t, dir, f->net, e->proto, e->dst, e->src, e->dst_port, e->src_port);
	return conn_find6(t, &key, e->dst, e->src, CONN_NONE, hit);
}

void service_icmp6_to_vip(struct worker *w, struct frame *f)
{
	struct icmp6_error e;
	struct conn_hit hit;
	uint64_t mac;

	if (!find(w, f, CONN_FORWARD, &e, &hit)) {
		frame_drop(f, DROP_VIP_MISS);
		return;
	}
	mac = atomic_load_explicit(&lb_backend(w, hit.end.owner)->mac, memory_order_relaxed);
	if (lb_backend_flags(w, hit.end.owner) & (BACKEND_DEAD | BACKEND_GONE))
		frame_drop(f, DROP_NO_BACKEND);
	else if (!mac)
		frame_drop(f, DROP_NEIGHBOUR);
	else
		icmp6_error_rewrite(f, &e, NAT_DESTINATION, (const uint8_t *)&mac, &hit.ip6, hit.end.port);
}

void service_icmp6_to_client(struct worker *w, struct frame *f)
{
	struct icmp6_error e;
	struct conn_hit hit;

	if (find(w, f, CONN_REPLY, &e, &hit) && !(lb_backend_flags(w, hit.end.owner) & BACKEND_GONE))
		icmp6_error_rewrite(f, &e, NAT_SOURCE, dp_router_mac, &hit.ip6, hit.end.port);
}
