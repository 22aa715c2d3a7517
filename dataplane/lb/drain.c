#include "dataplane/lb/drain.h"

#include <sys/random.h>

#include "dataplane/core/exchange.h"
#include "dataplane/frame/parse.h"
#include "dataplane/l2/network.h"
#include "dataplane/l2/owner.h"
#include "dataplane/lb/refuse.h"

enum {
	TELL_S = 30,	    /* so long both ends may send something, and be told */
	ASK_MAX = 128,	    /* ends asked in a second: half of what there is room for (exchange.h) */
	LOOK_MAX = 1 << 18, /* connections looked at for that */
	PART = 64,
};

static void drain_reset(struct worker *w, struct port *in, struct item *it, struct conn_hit *hit)
{
	struct frame *f = it->f;

	refuse_reset(f, it->tcp);
	f->verdict = f->src_vtep == VTEP_NONE ? V_PORT : V_VTEP;
	f->out = f->src_vtep == VTEP_NONE ? in->id : f->src_vtep;
	if (!hit->side)
		return;
	conn_packet(hit, CONN_RST, w->now_s, f->len);
	if (conn_reset_by_both(w->dp->lb->conns, hit))
		conn_remove(w->dp->lb->conns, hit);
}

bool drain_ends(struct worker *w, struct port *in, struct item *it, struct conn_hit *hit, uint32_t flags)
{
	if (!drain_is_over(lb_backend(w, hit->end.owner), flags) || !drain_resets(it, flags))
		return false;
	drain_reset(w, in, it, hit);
	return true;
}

bool drain_gives_up(const struct backend *b, uint32_t flags)
{
	uint64_t tell = flags & BACKEND_RESETS ? TELL_S * rte_get_tsc_hz() : 0;

	return (flags & BACKEND_DRAINS) &&
	       rte_rdtsc() >= atomic_load_explicit(&b->ends, memory_order_relaxed) + tell;
}

static bool is_over(const struct backend *b)
{
	uint32_t flags = atomic_load_explicit(&b->flags, memory_order_acquire);

	return (flags & BACKEND_RESETS) && drain_is_over(b, flags);
}

struct asking {
	struct dp *dp;
	int left;
};

/* One end of a connection, as it is asked. Network byte order. */
struct end {
	uint16_t net;
	struct ip_addr ip, other;
	uint16_t port, other_port;
};

static void ask_end(struct asking *asking, const struct end *end, const void *mac)
{
	uint8_t frame[ETH_LEN + REFUSE_TCP_MAX], ports[4];
	struct tcp_numbers n = {.flags = TCP_ACK};
	uint16_t len;

	if (getrandom(&n.seq, sizeof(n.seq), 0) != sizeof(n.seq))
		return;
	n.acked = ~n.seq;
	memcpy(frame, mac, 6);
	memcpy(frame + 6, asking->dp->probe_mac, 6);
	store16(frame + 12, ip_is4(end->ip) ? ETHERTYPE_IP4 : ETHERTYPE_IP6);
	memcpy(ports, &end->port, 2);
	memcpy(ports + 2, &end->other_port, 2);
	len = refuse_write_tcp(frame + ETH_LEN, end->ip, end->other, ports, &n);
	exchange_inject(asking->dp, OUT_NONE, end->net, frame, (uint16_t)(ETH_LEN + len));
	asking->left--;
}

/* Those whose address is a port's: of others nobody here knows where they are. */
static void ask_client(struct asking *asking, const struct end *end)
{
	const struct network *net = dp_get_net(asking->dp, end->net);
	const struct port *port = net ? owner_of_ip(asking->dp, net, end->ip) : NULL;

	if (port)
		ask_end(asking, end, port->mac);
}

static bool ask(void *arg, const struct conn_info *info)
{
	struct asking *asking = arg;
	const struct conn_end *to = &info->end[CONN_FORWARD], *vip = &info->end[CONN_REPLY];
	const struct backend *b = backend_get(asking->dp->lb->backends, to->owner);
	uint16_t client_port = (uint16_t)(info->key[CONN_FORWARD].rest >> 48);
	uint64_t mac = atomic_load_explicit(&b->mac, memory_order_relaxed);

	if (b->protocol != IPPROTO_TCP || ip_equal(info->client, info->backend) || !is_over(b))
		return true;
	if (!(info->flags[CONN_REPLY] & CONN_RST) && mac)
		ask_end(asking, &(struct end){b->net, info->backend, info->client, to->port, client_port},
			&mac);
	if (!(info->flags[CONN_FORWARD] & CONN_RST))
		ask_client(asking, &(struct end){b->net, info->client, info->vip, client_port, vip->port});
	return true;
}

void drain_ask(struct dp *dp)
{
	struct lb *lb = dp->lb;
	struct asking asking = {dp, ASK_MAX};
	const uint32_t *ids;
	uint32_t n = backend_resets(lb->backends, &ids);
	bool any = false;

	for (uint32_t i = 0; i < n && !any; i++)
		any = is_over(backend_get(lb->backends, ids[i]));
	for (unsigned i = 0; any && i < LOOK_MAX && asking.left > 0; i += PART) {
		if (!conn_walk_part(lb->conns, &lb->drain_at, PART, ask, &asking)) {
			lb->drain_at = 0;
			break;
		}
	}
}
