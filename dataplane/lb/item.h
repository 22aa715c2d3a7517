/*
 * item.h: a packet that has to do with a service, as the files of the service stage hand it on: stage.c, stage6.c,
 * connect.c, hairpin.c. Worker.
 */
#pragma once

#include <netinet/in.h>

#include "dataplane/core/dp.h"
#include "dataplane/frame/nat.h"
#include "dataplane/frame/parse.h"
#include "dataplane/frame/sctp.h"
#include "dataplane/lb/lb.h"

enum {
	TCP_FLAGS = 13, /* offset */
	TCP_FIN = 1,
	TCP_SYN = 2,
	TCP_RST = 4,
	TCP_ACK = 16,
};

struct item {
	struct frame *f;
	const struct lb_view *view;
	uint32_t guess;
	uint32_t src, dst;	     /* of IPv4; IPv6's are read where they lie, by item_src(), item_dst() */
	uint16_t src_port, dst_port; /* network byte order */
	uint8_t tcp;		     /* flags; for UDP an ACK, for SCTP sctp_tcp_flags() */
	bool moved;		     /* the backend that its connection had is lost */
};

/* Bytes of the header that must be there, 0: of other protocols. Of SCTP with the first chunk's type. */
static inline uint16_t item_l4_need(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return 20;
	case IPPROTO_UDP:
		return 8;
	case IPPROTO_SCTP:
		return SCTP_NEED;
	default:
		return 0;
	}
}

static inline struct conn_key item_key(const struct item *it, enum conn_dir dir)
{
	return conn_key(dir, it->f->net, it->f->ip_proto, it->src, it->dst, it->src_port, it->dst_port);
}

static inline bool item_is6(const struct item *it)
{
	return it->f->ethertype == ETHERTYPE_IP6;
}

enum { IP6_LEN = 40, IP6_SOURCE = 8, IP6_DESTINATION = 24 };

/* Of either family, as they were before the packet is rewritten. */
static inline struct ip_addr item_src(const struct item *it)
{
	return item_is6(it) ? ip_from6(frame_data(it->f) + it->f->l3_off + IP6_SOURCE) : ip_from4(it->src);
}

static inline struct ip_addr item_dst(const struct item *it)
{
	return item_is6(it) ? ip_from6(frame_data(it->f) + it->f->l3_off + IP6_DESTINATION)
			    : ip_from4(it->dst);
}

static inline struct conn_key item_key6(const struct conn_table *t, const struct item *it, enum conn_dir dir)
{
	return conn_key6(
		t, dir, it->f->net, it->f->ip_proto, item_src(it), item_dst(it), it->src_port, it->dst_port);
}

/* What item_key6() makes its key of, for conn_hash6(). */
static inline void item_words6(
	const struct item *it, enum conn_dir dir, struct conn_words6 *words, unsigned i)
{
	struct ip_addr src = item_src(it), dst = item_dst(it);
	struct conn_key key = conn_key((enum conn_dir)(dir | CONN_IP6), it->f->net, it->f->ip_proto, 0, 0,
		it->src_port, it->dst_port);

	for (unsigned k = 0; k < 2; k++) {
		words->src[k][i] = src.q[k];
		words->dst[k][i] = dst.q[k];
	}
	words->rest[i] = key.rest;
}

/* The service that the packet is for, or that would have `port` of the vip that it is for. */
static inline const struct service *item_service_at(const struct item *it, uint16_t port)
{
	if (item_is6(it))
		return lb_view6_service(it->view->ip6, item_dst(it), port, it->f->ip_proto);
	return lb_view_service(it->view, it->dst, port, it->f->ip_proto);
}

static inline const struct service *item_service(const struct item *it)
{
	return item_service_at(it, it->dst_port);
}

/* nat_rewrite() for either family: to `end`, whose address is `ip6` when it is of IPv6. */
static inline void item_rewrite(struct frame *f, enum nat_end which, const uint8_t *mac,
	const struct conn_end *end, const struct ip_addr *ip6)
{
	if (f->ethertype == ETHERTYPE_IP6)
		nat_rewrite6(f, which, mac, ip6, end->port);
	else
		nat_rewrite(f, which, mac, end->ip, end->port);
}

static inline bool item_opens(const struct item *it)
{
	return (it->tcp & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/*
 * Does the packet that opens a connection ask for an answer by which its backend may be judged? A clean SYN
 * does, and the first datagram of a client. What was begun with another backend means nothing to this one, and
 * odd flags, which scanners send, need no answer.
 */
static inline bool item_asks(const struct item *it)
{
	if (it->f->ip_proto == IPPROTO_UDP)
		return !it->moved;
	return (it->tcp & (TCP_SYN | TCP_ACK | TCP_FIN | TCP_RST)) == TCP_SYN;
}

/* What the packet tells about its side of the connection: flags of conn.h. */
static inline uint8_t item_side(const struct item *it, enum conn_dir dir)
{
	uint8_t flags = dir == CONN_REPLY || !item_opens(it) ? CONN_SEEN : 0;

	if (__builtin_expect(it->tcp & TCP_FIN, 0))
		flags |= CONN_FIN;
	if (__builtin_expect(it->tcp & TCP_RST, 0))
		flags |= CONN_RST;
	return flags;
}

static inline struct backend *lb_backend(struct worker *w, uint32_t id)
{
	return &w->dp->lb->backend[id];
}

static inline uint32_t lb_backend_flags(struct worker *w, uint32_t id)
{
	return atomic_load_explicit(&lb_backend(w, id)->flags, memory_order_acquire);
}

/* The first packet back on a connection says what came of it. */
static inline void lb_count_answer(struct worker *w, const struct item *it, uint32_t id)
{
	if (it->tcp & TCP_RST)
		stat_add(&w->backend_answers[id].refused, 1);
	else
		stat_add(&w->backend_answers[id].answered, 1);
}

static inline void lb_count_packet(struct worker *w, const struct frame *f, uint32_t id)
{
	stat_add(&w->backend_stats[id].packets, 1);
	stat_add(&w->backend_stats[id].bytes, f->len);
}
