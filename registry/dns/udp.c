/*
 * udp.c: datagrams. One batch a turn of the event loop, so that a flood of queries does not keep checks
 * and API waiting.
 */
#include <errno.h>

#include "registry/dns/inside.h"

struct batch {
	struct mmsghdr in[DNS_UDP_BATCH], out[DNS_UDP_BATCH];
	struct iovec in_part[DNS_UDP_BATCH], out_part[DNS_UDP_BATCH];
	struct sockaddr_storage peer[DNS_UDP_BATCH];
};

static int receive(struct batch *b, struct dns_listener *listener)
{
	for (unsigned i = 0; i < DNS_UDP_BATCH; i++) {
		b->in_part[i] = (struct iovec){listener->dns->in[i], DNS_QUERY_MAX};
		b->in[i] = (struct mmsghdr){.msg_hdr = {.msg_name = &b->peer[i],
						    .msg_namelen = sizeof(b->peer[i]),
						    .msg_iov = &b->in_part[i],
						    .msg_iovlen = 1}};
	}
	return recvmmsg(listener->fd, b->in, DNS_UDP_BATCH, MSG_DONTWAIT, NULL);
}

/* A client that cannot be reached is its own loss, those after it are not. */
static void send_all(const struct dns_listener *listener, struct batch *b, unsigned n)
{
	unsigned sent = 0;

	while (sent < n) {
		int rc = sendmmsg(listener->fd, b->out + sent, n - sent, MSG_DONTWAIT);

		if (rc < 0 && errno == EAGAIN)
			return;
		sent += rc > 0 ? (unsigned)rc : 1;
	}
}

void dns_udp_ready(evutil_socket_t fd, short what, void *arg)
{
	struct dns_listener *listener = arg;
	struct dns_query query;
	struct batch b;
	int n = receive(&b, listener);
	unsigned answers = 0;

	for (int i = 0; i < n; i++) {
		const struct msghdr *in = &b.in[i].msg_hdr;
		uint8_t *out = listener->dns->out[answers];
		ssize_t len;

		if (in->msg_flags & MSG_TRUNC)
			continue;
		len = dns_serve(listener, listener->dns->in[i], b.in[i].msg_len, false, &query, out);
		if (len == -EAGAIN)
			dns_forward(&query, listener->dns->in[i], b.in[i].msg_len, in->msg_name,
				in->msg_namelen, NULL);
		if (len <= 0)
			continue;
		b.out_part[answers] = (struct iovec){out, (size_t)len};
		b.out[answers] = (struct mmsghdr){.msg_hdr = {.msg_name = in->msg_name,
							  .msg_namelen = in->msg_namelen,
							  .msg_iov = &b.out_part[answers],
							  .msg_iovlen = 1}};
		answers++;
	}
	send_all(listener, &b, answers);
}
