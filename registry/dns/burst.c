/*
 * burst.c: the answers of a batch on their way out. What goes to one client is one message to the kernel, which cuts it into
 * datagrams itself (UDP_SEGMENT), and so passes routes, firewall and queues once: that is most of what an answer takes.
 * Every resolver of a C library asks for A and AAAA at once, from one socket.
 *
 * All but the last datagram of such a message have one length, so those of a client go by length, the longest first.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

#include "registry/dns/inside.h"

enum {
	SEGMENT_MAX =
		1232,	   /* bytes of an answer that any path takes whole: less than the least MTU of IPv6 */
	SEGMENTS_MAX = 64, /* that any kernel takes which knows them */
	MESSAGE_MAX = 60000, /* bytes of all that are sent as one */
	NONE = UINT8_MAX,
};
static_assert(DNS_BURST_SLOTS >= 2 * DNS_UDP_BATCH && (int)DNS_UDP_BATCH < (int)NONE, "indices are bytes");

void dns_burst_add(
	struct dns_burst *burst, const struct sockaddr *peer, socklen_t npeer, uint8_t *data, size_t len)
{
	burst->item[burst->count++] = (struct dns_burst_item){
		.peer = peer, .npeer = npeer, .data = data, .len = (uint16_t)len, .next = NONE};
}

static bool same_peer(const struct dns_burst_item *a, const struct dns_burst_item *b)
{
	return a->npeer == b->npeer && memcmp(a->peer, b->peer, a->npeer) == 0;
}

/* By port first, in which most clients differ. */
static unsigned slot_of(const struct dns_burst_item *item)
{
	const struct sockaddr_in *in =
		(const struct sockaddr_in *)item->peer; /* or an in6, its port at the same place */
	uint32_t x = in->sin_port | (in->sin_family == AF_INET ? in->sin_addr.s_addr : 0) << 16;

	return (x * 2654435761u) >> 16 & (DNS_BURST_SLOTS - 1); /* Knuth, 6.4 */
}

/* Puts answer `i` behind those of its client that are at least as long. */
static void enlist(struct dns_burst *burst, uint8_t i)
{
	struct dns_burst_item *item = burst->item;
	unsigned slot = slot_of(&item[i]);
	uint8_t *at;

	while (burst->first[slot] != NONE && !same_peer(&item[burst->first[slot]], &item[i]))
		slot = (slot + 1) & (DNS_BURST_SLOTS - 1);
	if (burst->first[slot] == NONE)
		burst->slot[burst->nslots++] = (uint16_t)slot;
	for (at = &burst->first[slot]; *at != NONE && item[*at].len >= item[i].len; at = &item[*at].next)
		;
	item[i].next = *at;
	*at = i;
}

static void segment(struct dns_burst *burst, unsigned message, uint16_t len)
{
	struct msghdr *msg = &burst->message[message].msg_hdr;
	struct cmsghdr *control;

	msg->msg_control = &burst->control[message];
	msg->msg_controllen = sizeof(burst->control[message]);
	control = CMSG_FIRSTHDR(msg);
	control->cmsg_level = IPPROTO_UDP;
	control->cmsg_type = UDP_SEGMENT;
	control->cmsg_len = CMSG_LEN(sizeof(len));
	memcpy(CMSG_DATA(control), &len, sizeof(len));
}

/* The answers to one client from `i` on, as messages behind the `n` that there are, `*parts` the datagrams so far. */
static unsigned add_messages(struct dns_burst *burst, uint8_t i, unsigned n, unsigned *parts, bool single)
{
	while (i != NONE) {
		const struct dns_burst_item *item = &burst->item[i], *last = item;
		struct msghdr *msg = &burst->message[n].msg_hdr;
		size_t size = item->len;

		*msg = (struct msghdr){.msg_name = (void *)item->peer,
			.msg_namelen = item->npeer,
			.msg_iov = &burst->part[*parts],
			.msg_iovlen = 1};
		burst->part[(*parts)++] = (struct iovec){item->data, item->len};
		i = item->next;
		while (i != NONE && !single && item->len <= SEGMENT_MAX && last->len == item->len &&
			msg->msg_iovlen < SEGMENTS_MAX && size + burst->item[i].len <= MESSAGE_MAX) {
			last = &burst->item[i];
			burst->part[(*parts)++] = (struct iovec){last->data, last->len};
			msg->msg_iovlen++;
			size += last->len;
			i = last->next;
		}
		if (msg->msg_iovlen > 1)
			segment(burst, n, item->len);
		n++;
	}
	return n;
}

/* One after the other, where the kernel, the device or its MTU does not do otherwise. */
static void send_singly(const struct dns_listener *listener, const struct msghdr *message)
{
	struct msghdr one = *message;

	one.msg_control = NULL;
	one.msg_controllen = 0;
	one.msg_iovlen = 1;
	for (size_t i = 0; i < message->msg_iovlen; i++, one.msg_iov++)
		sendmsg(listener->fd, &one, MSG_DONTWAIT);
}

/* A client that cannot be reached is its own loss, those after it are not. */
static void send_all(struct dns_listener *listener, struct dns_burst *burst, unsigned n)
{
	unsigned sent = 0;

	while (sent < n) {
		int rc = sendmmsg(listener->fd, burst->message + sent, n - sent, MSG_DONTWAIT);

		if (rc < 0 && errno == EAGAIN)
			return;
		if (rc < 0 && burst->message[sent].msg_hdr.msg_control) {
			listener->single |=
				errno == EINVAL || errno == EIO || errno == EMSGSIZE || errno == EOPNOTSUPP;
			send_singly(listener, &burst->message[sent].msg_hdr);
		}
		sent += rc > 0 ? (unsigned)rc : 1;
	}
}

void dns_burst_send(struct dns_burst *burst, struct dns_listener *listener)
{
	unsigned n = 0, parts = 0;

	if (!burst->count)
		return;
	memset(burst->first, NONE, sizeof(burst->first));
	burst->nslots = 0;
	for (unsigned i = 0; i < burst->count; i++)
		enlist(burst, (uint8_t)i);
	for (unsigned i = 0; i < burst->nslots; i++)
		n = add_messages(burst, burst->first[burst->slot[i]], n, &parts, listener->single);
	send_all(listener, burst, n);
}
