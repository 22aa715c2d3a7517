/*
 * forward.c: other names, at recursors, each for its time, in their order. A query goes by UDP from a
 * socket and under an id of its own, so that an answer can't be guessed; one that came by TCP goes by TCP.
 * Answers are passed on as they are and not kept; those about an alias of ours are put behind it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "registry/dns/inside.h"

struct dns_forward {
	struct dns *dns;
	struct dns_query query;	 /* as the client asked */
	struct dns_query target; /* what is asked: the same, or what is behind an alias */
	bool chases;
	struct dns_listener *listener;
	struct dns_conn *conn; /* NULL: by UDP */
	struct sockaddr_storage peer;
	socklen_t npeer;
	unsigned recursor;	      /* that is asked now */
	uint16_t id;		      /* under which it is asked */
	int fd;			      /* UDP; -1 */
	struct event *event;	      /* of fd, or the time-out by TCP */
	struct bufferevent *bev;      /* by TCP */
	LIST_ENTRY(dns_forward) link; /* of the listener */
	size_t len;
	uint8_t data[];
};

static void try_recursors(struct dns_forward *f);

static void hang_up(struct dns_forward *f)
{
	if (f->event)
		event_free(f->event);
	if (f->bev)
		bufferevent_free(f->bev);
	if (f->fd >= 0)
		close(f->fd);
	f->event = NULL;
	f->bev = NULL;
	f->fd = -1;
}

static void drop(struct dns_forward *f)
{
	hang_up(f);
	LIST_REMOVE(f, link);
	f->dns->nforwards--;
	f->listener->nforwards--;
	if (f->conn)
		dns_tcp_forwarded(f->conn, -1);
	free(f);
}

static void reply(struct dns_forward *f, const uint8_t *data, size_t len)
{
	if (f->conn)
		dns_tcp_send(f->conn, data, len);
	else
		sendto(f->listener->fd, data, len, MSG_DONTWAIT, (struct sockaddr *)&f->peer, f->npeer);
}

/* The alias with what was found behind it, in the listener of that. */
static void reply_chased(struct dns_forward *f, const uint8_t *data, size_t len)
{
	uint8_t *out = f->dns->message;

	reply(f, out, dns_chase_reply(f->dns, &f->query, data, len, out));
}

static void give_up(struct dns_forward *f)
{
	uint8_t out[DNS_UDP_MAX];

	if (f->chases)
		reply_chased(f, NULL, 0);
	else
		reply(f, out, dns_reply_code(f->dns, &f->query, LDNS_RCODE_SERVFAIL, out));
	drop(f);
}

static void next_recursor(struct dns_forward *f)
{
	hang_up(f);
	f->recursor++;
	try_recursors(f);
}

/* Is it the answer to what was asked? Names are compared as they were sent: servers repeat the case. */
static bool answers(const struct dns_forward *f, const uint8_t *data, size_t len)
{
	const uint8_t *wire = f->target.wire;
	size_t nwire = f->target.nwire;

	return len >= DNS_HEADER + nwire && ldns_read_uint16(data) == f->id && data[2] & 0x80 &&
	       ldns_read_uint16(data + 4) == 1 &&
	       strncasecmp((const char *)data + DNS_HEADER, (const char *)wire, nwire - 4) == 0 &&
	       memcmp(data + DNS_HEADER + nwire - 4, wire + nwire - 4, 4) == 0;
}

/* True when that was the answer, which has been passed on, and *f is gone. */
static bool accept_answer(struct dns_forward *f, uint8_t *data, size_t len)
{
	if (!answers(f, data, len))
		return false;
	if ((data[3] & 15) == LDNS_RCODE_SERVFAIL && f->recursor + 1 < f->dns->nrecursors) {
		next_recursor(f);
		return true;
	}
	ldns_write_uint16(data, f->query.id);
	if (f->chases)
		reply_chased(f, data, len);
	else
		reply(f, data, len);
	drop(f);
	return true;
}

static void on_datagram(evutil_socket_t fd, short what, void *arg)
{
	struct dns_forward *f = arg;
	uint8_t *data = f->dns->message;
	ssize_t n;

	if (what & EV_TIMEOUT) {
		next_recursor(f);
		return;
	}
	n = recv(fd, data, DNS_TCP_MAX, MSG_DONTWAIT);
	if (n < 0 && errno != EAGAIN) {
		next_recursor(f);
		return;
	}
	if (n > 0)
		accept_answer(f, data, (size_t)n); /* what is none of ours does not end the wait */
}

static void on_bytes(struct bufferevent *bev, void *arg)
{
	struct dns_forward *f = arg;
	struct evbuffer *input = bufferevent_get_input(bev);
	uint8_t size[2], *data = f->dns->message;
	size_t len;

	if (evbuffer_copyout(input, size, sizeof(size)) < (ssize_t)sizeof(size))
		return;
	len = ldns_read_uint16(size);
	if (evbuffer_get_length(input) < sizeof(size) + len)
		return;
	evbuffer_drain(input, sizeof(size));
	evbuffer_remove(input, data, len);
	if (!accept_answer(f, data, len))
		next_recursor(f);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		next_recursor(arg);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
	next_recursor(arg);
}

static struct timeval patience(const struct dns_forward *f)
{
	uint32_t ms = f->dns->config.recursor_timeout_ms;

	return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

static int ask_by_udp(struct dns_forward *f, const struct sockaddr *to, socklen_t len)
{
	const struct registry_sink *sink = &f->dns->reg->sink;
	struct timeval wait = patience(f);

	f->fd = sink->socket(sink->ctx, "", to->sa_family, SOCK_DGRAM);
	if (f->fd < 0 || connect(f->fd, to, len) < 0 ||
		send(f->fd, f->data, f->len, MSG_DONTWAIT) != (ssize_t)f->len)
		return -EIO;
	f->event = event_new(f->dns->base, f->fd, EV_READ | EV_PERSIST, on_datagram, f);
	return f->event && event_add(f->event, &wait) == 0 ? 0 : -ENOMEM;
}

static int ask_by_tcp(struct dns_forward *f, const struct sockaddr *to, socklen_t len)
{
	const struct registry_sink *sink = &f->dns->reg->sink;
	struct timeval wait = patience(f);
	uint8_t size[2];
	int fd = sink->socket(sink->ctx, "", to->sa_family, SOCK_STREAM);

	if (fd < 0)
		return fd;
	f->bev = bufferevent_socket_new(f->dns->base, fd, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (!f->bev) {
		close(fd);
		return -ENOMEM;
	}
	bufferevent_setcb(f->bev, on_bytes, NULL, on_event, f);
	ldns_write_uint16(size, (uint16_t)f->len);
	bufferevent_write(f->bev, size, sizeof(size));
	bufferevent_write(f->bev, f->data, f->len);
	bufferevent_enable(f->bev, EV_READ | EV_WRITE);
	f->event = evtimer_new(f->dns->base, on_timeout, f);
	if (!f->event || event_add(f->event, &wait) < 0)
		return -ENOMEM;
	return bufferevent_socket_connect(f->bev, to, (int)len) < 0 ? -EIO : 0;
}

/* Asks the next one that can be asked; ends it when there is none. */
static void try_recursors(struct dns_forward *f)
{
	for (; f->recursor < f->dns->nrecursors; f->recursor++) {
		const struct sockaddr *to = (const struct sockaddr *)&f->dns->recursors[f->recursor];
		socklen_t len = f->dns->recursor_len[f->recursor];

		f->id = dns_secret_id();
		ldns_write_uint16(f->data, f->id);
		if ((f->conn ? ask_by_tcp(f, to, len) : ask_by_udp(f, to, len)) == 0)
			return;
		hang_up(f);
	}
	give_up(f);
}

/* What is behind the alias that the client asked for; false: it is none any more. */
static bool chase(struct dns *dns, struct dns_query *query, struct dns_query *target)
{
	const struct dns_answer *answer = dns_cache_get(dns, query);

	return answer && dns_chase_question(query, answer, target);
}

/* Of the address that the query came from, in the network; of another port is another program of the same client. */
static unsigned forwards_of(const struct dns_listener *listener, const struct sockaddr *peer)
{
	const struct dns_forward *f;
	unsigned n = 0;

	LIST_FOREACH (f, &listener->forwards, link)
		n += dns_same_host((const struct sockaddr *)&f->peer, peer);
	return n;
}

/* Nobody's queries keep those of other clients and networks from the recursors. */
static bool has_room(const struct dns_listener *listener, const struct sockaddr *peer)
{
	const struct dns *dns = listener->dns;

	if (!listener->network[0])
		return dns->nforwards < DNS_FORWARDS;
	if (listener->nforwards >= dns->config.network_forwards ||
		forwards_of(listener, peer) >= DNS_CLIENT_FORWARDS)
		return false;
	return dns->nforwards < DNS_FORWARDS || listener->nforwards < DNS_LEAST;
}

void dns_forward(struct dns_query *query, const uint8_t *data, size_t len, const struct sockaddr *peer,
	socklen_t npeer, struct dns_conn *conn)
{
	struct dns *dns = query->listener->dns;
	uint8_t message[DNS_HEADER + DNS_NAME_MAX + 4];
	struct dns_query target = *query;
	bool chases = query->chases && chase(dns, query, &target);
	struct dns_forward *f;

	if (conn)
		dns_tcp_peer(conn, &peer, &npeer);
	if (chases) {
		len = dns_chase_message(&target, message);
		data = message;
	}
	f = has_room(query->listener, peer) ? calloc(1, sizeof(*f) + len) : NULL;
	if (!f) {
		struct dns_forward now = {.listener = query->listener, .conn = conn, .npeer = npeer};
		uint8_t out[DNS_UDP_MAX];

		query->listener->refused++;
		if (peer)
			memcpy(&now.peer, peer, npeer);
		reply(&now, out, dns_reply_code(dns, query, LDNS_RCODE_SERVFAIL, out));
		return;
	}
	dns->info.forwarded++;
	f->dns = dns;
	f->query = *query;
	f->target = target;
	f->chases = chases;
	f->listener = query->listener;
	f->conn = conn;
	f->fd = -1;
	f->npeer = npeer;
	if (peer)
		memcpy(&f->peer, peer, npeer);
	f->len = len;
	memcpy(f->data, data, len);
	LIST_INSERT_HEAD(&f->listener->forwards, f, link);
	f->listener->nforwards++;
	dns->nforwards++;
	if (conn)
		dns_tcp_forwarded(conn, 1);
	try_recursors(f);
}

void dns_forward_drop(struct dns_listener *listener, const struct dns_conn *conn)
{
	struct dns_forward *f = LIST_FIRST(&listener->forwards), *next;

	for (; f; f = next) {
		next = LIST_NEXT(f, link);
		if (!conn || f->conn == conn)
			drop(f);
	}
}
