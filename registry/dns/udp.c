/*
 * udp.c: datagrams, in batches. Listeners take turns, a batch each, and all together have no more than their time of each turn
 * of the event loop (turn.c), so that a flood of queries keeps neither checks and API waiting nor the other networks. What
 * comes faster than it is answered waits in the socket, and what that does not hold is dropped by the kernel before it
 * costs anything here: those that wait are answered first, and soon enough that somebody still wants to know.
 */
#include <errno.h>
#include <stdlib.h>

#include "registry/dns/inside.h"

/* Not a multiple of a page: headers would share a few lines of the cache. */
enum { STRIDE = DNS_QUERY_MAX + 192, ALIGN = 64 };

struct dns_batch {
	struct mmsghdr in[DNS_UDP_BATCH];
	struct iovec part[DNS_UDP_BATCH];
	struct sockaddr_storage peer[DNS_UDP_BATCH];
	struct dns_burst burst;
	uint8_t query[DNS_UDP_BATCH][STRIDE];
	uint8_t answers[DNS_UDP_BATCH * DNS_UDP_MAX]; /* one behind the other */
};

struct dns_batch *dns_batch_new(void)
{
	struct dns_batch *b = calloc(1, sizeof(*b));

	for (unsigned i = 0; b && i < DNS_UDP_BATCH; i++) {
		b->part[i] = (struct iovec){b->query[i], DNS_QUERY_MAX};
		b->in[i].msg_hdr =
			(struct msghdr){.msg_name = &b->peer[i], .msg_iov = &b->part[i], .msg_iovlen = 1};
	}
	return b;
}

void dns_batch_free(struct dns_batch *b)
{
	free(b);
}

static int receive(struct dns_batch *b, const struct dns_listener *listener)
{
	for (unsigned i = 0; i < DNS_UDP_BATCH; i++)
		b->in[i].msg_hdr.msg_namelen = sizeof(b->peer[i]);
	return recvmmsg(listener->fd, b->in, DNS_UDP_BATCH, MSG_DONTWAIT, NULL);
}

/* Answers what has come, up to a batch. True: there may be more, since whoever is answered asks again; another look is less
 * than a turn of the event loop. */
static bool serve(struct dns_listener *listener)
{
	struct dns_batch *b = listener->dns->batch;
	int n = receive(b, listener);
	uint8_t *out = b->answers;
	struct dns_query query;

	b->burst.count = 0;
	for (int i = 0; i < n; i++) {
		const struct msghdr *in = &b->in[i].msg_hdr;
		const uint8_t *data = b->query[i];
		size_t size = b->in[i].msg_len;
		ssize_t len;

		if (in->msg_flags & MSG_TRUNC)
			continue;
		len = dns_serve(listener, data, size, false, &query, out);
		if (len == -EAGAIN)
			dns_forward(&query, data, size, in->msg_name, in->msg_namelen, NULL);
		if (len <= 0)
			continue;
		dns_burst_add(&b->burst, in->msg_name, in->msg_namelen, out, (size_t)len);
		out += ((size_t)len + ALIGN - 1) / ALIGN * ALIGN;
	}
	dns_burst_send(&b->burst, listener);
	return n > 0;
}

static void wait_in_line(struct dns_listener *listener)
{
	TAILQ_INSERT_TAIL(&listener->dns->waiting, listener, waits);
	listener->is_waiting = true;
}

void dns_udp_leave(struct dns_listener *listener)
{
	if (listener->is_waiting)
		TAILQ_REMOVE(&listener->dns->waiting, listener, waits);
	listener->is_waiting = false;
}

/* Those whose turn did not come are asked for again by the event loop, and are the first then. */
void dns_udp_ready(evutil_socket_t fd, short what, void *arg)
{
	struct dns_listener *listener = arg;
	struct dns *dns = listener->dns;

	if (!listener->is_waiting)
		wait_in_line(listener);
	while (!TAILQ_EMPTY(&dns->waiting) && dns_turn_has_time(dns, DNS_TURN_UDP)) {
		listener = TAILQ_FIRST(&dns->waiting);
		dns_udp_leave(listener);
		if (serve(listener))
			wait_in_line(listener);
	}
}
