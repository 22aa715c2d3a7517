#include "dataplane/lb/icmp.h"

#include "dataplane/core/dp.h"
#include "dataplane/frame/icmp_error.h"
#include "dataplane/frame/parse.h"
#include "dataplane/lb/lb.h"

/*
 * The connection that the error is about. What is quoted went the other way than the packets by which side `dir` is
 * looked up, and whoever sent it must be the one that is told.
 */
static bool find(
	struct worker *w, struct frame *f, enum conn_dir dir, struct icmp_error *e, struct conn_hit *hit)
{
	struct conn_table *t = w->dp->lb->conns;
	struct conn_key key;
	uint64_t hash;

	if (!icmp_error_read(f, e) || e->src != load_ip4(frame_data(f) + f->l3_off + 16))
		return false;
	key = conn_key(dir, f->net, e->proto, e->dst, e->src, e->dst_port, e->src_port);
	conn_hash(t, &key, &hash, 1);
	return conn_find(t, &key, hash, CONN_NONE, hit);
}

void service_icmp_to_vip(struct worker *w, struct frame *f)
{
	struct icmp_error e;
	struct conn_hit hit;
	const struct backend *b;
	uint64_t mac;

	if (!find(w, f, CONN_FORWARD, &e, &hit)) {
		frame_drop(f, DROP_VIP_MISS);
		return;
	}
	b = backend_get(w->dp->lb->backends, hit.end.owner);
	mac = atomic_load_explicit(&b->mac, memory_order_relaxed);
	if (atomic_load_explicit(&b->flags, memory_order_acquire) & (BACKEND_DEAD | BACKEND_GONE))
		frame_drop(f, DROP_NO_BACKEND);
	else if (!mac)
		frame_drop(f, DROP_NEIGHBOUR);
	else
		icmp_error_rewrite(f, &e, NAT_DESTINATION, (const uint8_t *)&mac, hit.end.ip, hit.end.port);
}

void service_icmp_to_client(struct worker *w, struct frame *f)
{
	struct icmp_error e;
	struct conn_hit hit;
	const struct backend *b;

	if (!find(w, f, CONN_REPLY, &e, &hit))
		return;
	b = backend_get(w->dp->lb->backends, hit.end.owner);
	if (!(atomic_load_explicit(&b->flags, memory_order_acquire) & BACKEND_GONE))
		icmp_error_rewrite(f, &e, NAT_SOURCE, dp_router_mac, hit.end.ip, hit.end.port);
}
