/*
 * item.h: a packet that has to do with a service, as the files of the service stage hand it on: stage.c, connect.c,
 * hairpin.c. Worker.
 */
#pragma once

#include <netinet/in.h>

#include "dataplane/core/dp.h"
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
	uint32_t src, dst;
	uint16_t src_port, dst_port; /* network byte order */
	uint8_t tcp;		     /* flags; for UDP an ACK */
	bool moved;		     /* the backend that its connection had is lost */
};

static inline struct conn_key item_key(const struct item *it, enum conn_dir dir)
{
	return conn_key(dir, it->f->net, it->f->ip_proto, it->src, it->dst, it->src_port, it->dst_port);
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

static inline struct backend *lb_backend(struct worker *w, uint16_t id)
{
	return backend_get(w->dp->lb->backends, id);
}

static inline uint32_t lb_backend_flags(struct worker *w, uint16_t id)
{
	return atomic_load_explicit(&lb_backend(w, id)->flags, memory_order_acquire);
}

/* The first packet back on a connection says what came of it. */
static inline void lb_count_answer(struct worker *w, const struct item *it, uint16_t id)
{
	if (it->tcp & TCP_RST)
		stat_add(&w->backend_answers[id].refused, 1);
	else
		stat_add(&w->backend_answers[id].answered, 1);
}

static inline void lb_count_packet(struct worker *w, const struct frame *f, uint16_t id)
{
	stat_add(&w->backend_stats[id].packets, 1);
	stat_add(&w->backend_stats[id].bytes, f->len);
}
