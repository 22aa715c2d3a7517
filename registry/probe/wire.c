/*
 * wire.c: half-open probes as packets: SYNs and answers in batches, and what ICMP says of the former.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <stdlib.h>

#include "registry/probe/inside.h"

struct syn_batch *syn_batch_new(void)
{
	struct syn_batch *b = calloc(1, sizeof(*b));

	for (unsigned i = 0; b && i < SYN_BATCH; i++) {
		b->to[i].sin_family = AF_INET;
		b->out_part[i] = (struct iovec){b->syn[i], SEGMENT_SYN};
		b->out[i].msg_hdr = (struct msghdr){.msg_name = &b->to[i],
			.msg_namelen = sizeof(b->to[i]),
			.msg_iov = &b->out_part[i],
			.msg_iovlen = 1};
		b->in_part[i] = (struct iovec){b->answer[i], SEGMENT_READ};
		b->in[i].msg_hdr = (struct msghdr){.msg_iov = &b->in_part[i], .msg_iovlen = 1};
	}
	return b;
}

static unsigned write_batch(const struct syn_netns *netns, struct syn_batch *b)
{
	const struct syn_probe *probe;
	unsigned n = 0;

	TAILQ_FOREACH (probe, &netns->queue, queue) {
		struct segment_ends ends = {netns->address, probe->address, netns->port, probe->port};

		b->to[n].sin_addr.s_addr = probe->address;
		segment_syn(&ends, probe->number, b->syn[n]);
		if (++n == SYN_BATCH)
			break;
	}
	return n;
}

unsigned syn_wire_send(struct syn_netns *netns)
{
	struct syn_batch *b = netns->syn->batch;
	uint64_t now = wheel_now_us();
	unsigned n, all = 0;
	bool tried = false;

	while ((n = write_batch(netns, b)) > 0) {
		int sent = sendmmsg(netns->raw, b->out, n, MSG_DONTWAIT), error = errno;

		for (int i = 0; i < sent; i++)
			syn_sent(TAILQ_FIRST(&netns->queue), now);
		all += sent > 0 ? (unsigned)sent : 0;
		netns->asked += sent > 0 ? (unsigned)sent : 0;
		/* the first failure may be what ICMP said of an earlier SYN: the second is this one's own */
		if (sent <= 0 && tried)
			syn_end(TAILQ_FIRST(&netns->queue), error);
		tried = sent <= 0 && !tried;
	}
	return all;
}

/* True: it was too much, the netns has been left. */
static bool count_junk(struct syn_netns *netns)
{
	uint64_t now = wheel_now_us();

	if (now - netns->junk_since >= 1000000) {
		netns->junk_since = now;
		netns->junk = netns->asked = 0;
	}
	if (++netns->junk <= SYN_JUNK_MAX + SYN_JUNK_EACH * netns->asked)
		return false;
	syn_netns_leave(netns);
	return true;
}

static bool take_answer(struct syn_netns *netns, const uint8_t *packet, size_t len)
{
	struct segment_ends ends;
	uint32_t number;
	enum segment_kind kind = segment_answer(packet, len, &ends, &number);
	struct syn_probe *probe = NULL;

	if (kind != SEGMENT_OTHER && ends.from == netns->address && ends.from_port == netns->port)
		probe = syn_find(netns, number, &ends);
	if (!probe)
		return count_junk(netns);
	syn_end(probe, kind == SEGMENT_OPEN ? 0 : ECONNREFUSED);
	return false;
}

/* What a router, or the gateway's own kernel for want of a neighbour, says of a SYN. */
static const struct sock_extended_err *icmp_error(struct msghdr *in)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(in); c; c = CMSG_NXTHDR(in, c))
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR)
			return (const struct sock_extended_err *)CMSG_DATA(c);
	return NULL;
}

/* The gateway's own kernel says so; nobody else can, as it takes no packet from its own address. It may be late:
 * it gives up on a neighbour after three seconds. */
static bool is_own(const struct syn_netns *netns, const struct sock_extended_err *said)
{
	const struct sockaddr_in *by = (const struct sockaddr_in *)SO_EE_OFFENDER(said);

	return by->sin_family == AF_INET && by->sin_addr.s_addr == netns->address;
}

/* False: there are no more, or the netns has been left. */
static bool read_error(struct syn_netns *netns)
{
	_Alignas(struct cmsghdr) char
		control[CMSG_SPACE(sizeof(struct sock_extended_err) + sizeof(struct sockaddr_in))];
	struct sockaddr_in to = {0};
	uint8_t quoted[SEGMENT_QUOTED];
	struct iovec part = {quoted, sizeof(quoted)};
	struct msghdr in = {.msg_name = &to,
		.msg_namelen = sizeof(to),
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	const struct sock_extended_err *said;
	struct segment_ends ends = {0};
	struct syn_probe *probe = NULL;
	uint32_t number;
	ssize_t n = recvmsg(netns->raw, &in, MSG_ERRQUEUE | MSG_DONTWAIT);

	if (n < 0)
		return false;
	said = icmp_error(&in);
	if (said && said->ee_origin == SO_EE_ORIGIN_ICMP && said->ee_errno &&
		segment_quoted(quoted, (size_t)n, &ends, &number) && ends.from_port == netns->port) {
		ends.to = to.sin_addr.s_addr;
		probe = syn_find(netns, number, &ends);
	}
	if (probe)
		syn_end(probe, (int)said->ee_errno);
	else if (!said || !is_own(netns, said))
		return !count_junk(netns);
	return true;
}

unsigned syn_wire_read(struct syn_netns *netns)
{
	struct syn_batch *b = netns->syn->batch;
	uint64_t now = wheel_now_us();
	int n = recvmmsg(netns->raw, b->in, SYN_BATCH, MSG_DONTWAIT, NULL);

	if (n < SYN_BATCH)
		netns->read_us = now;
	for (int i = 0; i < n; i++)
		if (take_answer(netns, b->answer[i], b->in[i].msg_len))
			break;
	for (unsigned i = 0; n <= 0 && i < SYN_BATCH && read_error(netns); i++)
		;
	return n > 0 ? (unsigned)n : 0;
}
