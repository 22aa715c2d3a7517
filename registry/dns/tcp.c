/*
 * tcp.c: connections. Each message follows two bytes of length (RFC 1035, section 4.2.2); a client may
 * send several without waiting (RFC 7766). Who does not take the answers is read no further.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "registry/base/accept.h"
#include "registry/dns/inside.h"

enum { UNSENT_MAX = 256 * 1024, FORWARDED_MAX = 32, MESSAGES_AT_ONCE = 16 };

struct dns_conn {
	struct dns_listener *listener;
	struct bufferevent *bev;
	unsigned nforwarded;
	bool ended;  /* the client sends no more */
	bool asking; /* in that list */
	TAILQ_ENTRY(dns_conn) asks;
	struct sockaddr_storage peer;
	socklen_t npeer;
	LIST_ENTRY(dns_conn) link; /* of the listener */
};

bool dns_tcp_may_accept(void *arg)
{
	const struct dns_listener *listener = arg;
	const struct dns *dns = listener->dns;

	if (listener->network[0] && listener->nconns >= dns->config.network_conns)
		return false;
	return dns->nconns < DNS_CONNS || (listener->network[0] && listener->nconns < DNS_LEAST);
}

/* Each listener listens as it may by now. */
static void listen_anew(struct dns *dns)
{
	struct dns_listener *listener;

	TAILQ_FOREACH (listener, &dns->listeners, link) {
		if (!listener->tcp || accept_is_resting(listener->guard))
			continue;
		if (dns_tcp_may_accept(listener))
			evconnlistener_enable(listener->tcp);
		else
			evconnlistener_disable(listener->tcp);
	}
}

static void conn_close(struct dns_conn *conn)
{
	struct dns_listener *listener = conn->listener;
	bool waited = !dns_tcp_may_accept(listener) || listener->dns->nconns >= DNS_CONNS;

	dns_forward_drop(listener, conn);
	if (conn->asking)
		TAILQ_REMOVE(&listener->dns->asking, conn, asks);
	LIST_REMOVE(conn, link);
	bufferevent_free(conn->bev);
	free(conn);
	listener->nconns--;
	listener->dns->nconns--;
	if (waited)
		listen_anew(listener->dns);
}

void dns_tcp_peer(const struct dns_conn *conn, const struct sockaddr **peer, socklen_t *len)
{
	*peer = (const struct sockaddr *)&conn->peer;
	*len = conn->npeer;
}

static bool is_full(const struct dns_conn *conn)
{
	return evbuffer_get_length(bufferevent_get_output(conn->bev)) > UNSENT_MAX ||
	       conn->nforwarded >= FORWARDED_MAX;
}

void dns_tcp_send(struct dns_conn *conn, const uint8_t *data, size_t len)
{
	uint8_t size[2];

	ldns_write_uint16(size, (uint16_t)len);
	bufferevent_write(conn->bev, size, sizeof(size));
	bufferevent_write(conn->bev, data, len);
}

/* Takes one message from the buffer. 0: there is none yet; -1: hang up. */
static int take_one(struct dns_conn *conn, struct evbuffer *input)
{
	struct dns *dns = conn->listener->dns;
	uint8_t size[2], *data = dns->in;
	struct dns_query query;
	ssize_t n;
	size_t len;

	if (evbuffer_copyout(input, size, sizeof(size)) < (ssize_t)sizeof(size))
		return 0;
	len = ldns_read_uint16(size);
	if (len < DNS_HEADER || len > DNS_QUERY_MAX)
		return -1;
	if (evbuffer_get_length(input) < sizeof(size) + len)
		return 0;
	evbuffer_drain(input, sizeof(size));
	evbuffer_remove(input, data, len);
	n = dns_serve(conn->listener, data, len, true, &query, dns->message);
	if (n == -EAGAIN)
		dns_forward(&query, data, len, NULL, 0, conn);
	else if (n > 0)
		dns_tcp_send(conn, dns->message, (size_t)n);
	return 1;
}

static void ask_again(struct dns_conn *conn)
{
	TAILQ_INSERT_TAIL(&conn->listener->dns->asking, conn, asks);
	conn->asking = true;
}

/* Answers what has come, up to a bound. */
static void serve(struct dns_conn *conn)
{
	struct bufferevent *bev = conn->bev;
	struct evbuffer *input = bufferevent_get_input(bev);
	unsigned n = 0;
	int rc = 1;

	while (rc > 0 && !is_full(conn) && n++ < MESSAGES_AT_ONCE)
		rc = take_one(conn, input);
	if (rc < 0 || (rc == 0 && conn->ended && !conn->nforwarded &&
			      evbuffer_get_length(bufferevent_get_output(bev)) == 0)) {
		conn_close(conn);
		return;
	}
	if (is_full(conn))
		bufferevent_disable(bev, EV_READ);
	else if (!conn->ended)
		bufferevent_enable(bev, EV_READ);
	if (rc > 0 && !is_full(conn)) /* more has come; others are first */
		ask_again(conn);
}

/* Connections take turns, and what does not fit into the time is for the next turn of the event loop. */
void dns_tcp_resume(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval now = {0};
	struct dns *dns = arg;
	struct dns_conn *conn;

	while (!TAILQ_EMPTY(&dns->asking) && dns_turn_has_time(dns, DNS_TURN_TCP)) {
		conn = TAILQ_FIRST(&dns->asking);
		TAILQ_REMOVE(&dns->asking, conn, asks);
		conn->asking = false;
		serve(conn);
	}
	if (!TAILQ_EMPTY(&dns->asking))
		event_add(&dns->resume, &now);
}

static void on_more(struct bufferevent *bev, void *arg)
{
	struct dns_conn *conn = arg;

	if (!conn->asking)
		ask_again(conn);
	dns_tcp_resume(-1, 0, conn->listener->dns);
}

void dns_tcp_forwarded(struct dns_conn *conn, int change)
{
	conn->nforwarded += (unsigned)change;
	if (change < 0)
		bufferevent_trigger(
			conn->bev, EV_READ, BEV_TRIG_DEFER_CALLBACKS | BEV_TRIG_IGNORE_WATERMARKS);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct dns_conn *conn = arg;

	if (what & BEV_EVENT_EOF && !(what & BEV_EVENT_ERROR)) {
		conn->ended = true;
		if (conn->asking || conn->nforwarded || evbuffer_get_length(bufferevent_get_output(bev)))
			return;
	}
	conn_close(conn);
}

/* Does the client have as many connections as one may? The host's own programs share an address. */
static bool has_enough(const struct dns_listener *listener, const struct sockaddr *peer)
{
	const struct dns_conn *conn;
	unsigned n = 0;

	if (!listener->network[0])
		return false;
	LIST_FOREACH (conn, &listener->conns, link)
		n += dns_same_host((const struct sockaddr *)&conn->peer, peer);
	return n >= DNS_CLIENT_CONNS;
}

void dns_tcp_accept(struct evconnlistener *tcp, evutil_socket_t fd, struct sockaddr *peer, int len, void *arg)
{
	static const struct timeval slow = {.tv_sec = DNS_SLOW_S};
	struct dns_listener *listener = arg;
	struct dns *dns = listener->dns;
	struct bufferevent *bev = NULL;
	struct dns_conn *conn;

	accept_taken(listener->guard);
	if (has_enough(listener, peer)) {
		listener->closed++;
		evutil_closesocket(fd);
		return;
	}
	conn = calloc(1, sizeof(*conn));

	evutil_make_socket_nonblocking(fd);
	evutil_make_socket_closeonexec(fd);
	if (conn)
		bev = bufferevent_socket_new(dns->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!bev) {
		free(conn);
		evutil_closesocket(fd);
		return;
	}
	conn->listener = listener;
	conn->bev = bev;
	conn->npeer = (socklen_t)len;
	memcpy(&conn->peer, peer, (size_t)len);
	LIST_INSERT_HEAD(&listener->conns, conn, link);
	listener->nconns++;
	dns->nconns++;
	bufferevent_setcb(bev, on_more, on_more, on_event, conn);
	bufferevent_set_timeouts(bev, &slow, &slow);
	bufferevent_setwatermark(bev, EV_READ, 0, 2 + DNS_QUERY_MAX);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
	if (dns_tcp_may_accept(listener) && dns->nconns < DNS_CONNS)
		return;
	listener->waited++;
	listen_anew(dns);
}

void dns_tcp_close(struct dns_listener *listener)
{
	struct dns_conn *conn = LIST_FIRST(&listener->conns), *next;

	for (; conn; conn = next) {
		next = LIST_NEXT(conn, link);
		conn_close(conn);
	}
}
