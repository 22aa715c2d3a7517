/*
 * dns_tcp.c: connections. Each message follows two bytes of length (RFC 1035, section 4.2.2); a client may
 * send several without waiting (RFC 7766). Who does not take the answers is read no further.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "registry/dns_inside.h"

enum { UNSENT_MAX = 256 * 1024, FORWARDED_MAX = 32, MESSAGES_A_TURN = 16 };

struct dns_conn {
	struct dns_place *place;
	struct bufferevent *bev;
	unsigned nforwarded;
	bool ended; /* the client sends no more */
	LIST_ENTRY(dns_conn) link;
};

static void conn_close(struct dns_conn *conn)
{
	struct dns *dns = conn->place->dns;
	struct dns_place *place;

	dns_forward_drop(dns, NULL, conn);
	LIST_REMOVE(conn, link);
	bufferevent_free(conn->bev);
	free(conn);
	if (dns->nconns-- < DNS_CONNS)
		return;
	TAILQ_FOREACH (place, &dns->places, link)
		if (place->tcp)
			evconnlistener_enable(place->tcp);
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
	struct dns *dns = conn->place->dns;
	uint8_t size[2], *data = dns->in[0];
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
	n = dns_serve(conn->place, data, len, true, &query, dns->message);
	if (n == -EAGAIN)
		dns_forward(&query, data, len, NULL, 0, conn);
	else if (n > 0)
		dns_tcp_send(conn, dns->message, (size_t)n);
	return 1;
}

static void on_more(struct bufferevent *bev, void *arg)
{
	struct dns_conn *conn = arg;
	struct evbuffer *input = bufferevent_get_input(bev);
	unsigned n = 0;
	int rc = 1;

	while (rc > 0 && !is_full(conn) && n++ < MESSAGES_A_TURN)
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
		bufferevent_trigger(bev, EV_READ, BEV_TRIG_DEFER_CALLBACKS);
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
		if (conn->nforwarded || evbuffer_get_length(bufferevent_get_output(bev)))
			return;
	}
	conn_close(conn);
}

void dns_tcp_accept(
	struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer, int len, void *arg)
{
	static const struct timeval slow = {.tv_sec = DNS_SLOW_S};
	struct dns_place *place = arg;
	struct dns *dns = place->dns;
	struct dns_conn *conn = calloc(1, sizeof(*conn));
	struct bufferevent *bev = NULL;

	evutil_make_socket_nonblocking(fd);
	evutil_make_socket_closeonexec(fd);
	if (conn)
		bev = bufferevent_socket_new(dns->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!bev) {
		free(conn);
		evutil_closesocket(fd);
		return;
	}
	conn->place = place;
	conn->bev = bev;
	LIST_INSERT_HEAD(&dns->conns, conn, link);
	bufferevent_setcb(bev, on_more, on_more, on_event, conn);
	bufferevent_set_timeouts(bev, &slow, &slow);
	bufferevent_setwatermark(bev, EV_READ, 0, 2 + DNS_QUERY_MAX);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
	if (++dns->nconns < DNS_CONNS)
		return;
	TAILQ_FOREACH (place, &dns->places, link)
		if (place->tcp)
			evconnlistener_disable(place->tcp);
}

void dns_tcp_close(struct dns_place *place)
{
	struct dns_conn *conn = LIST_FIRST(&place->dns->conns), *next;

	for (; conn; conn = next) {
		next = LIST_NEXT(conn, link);
		if (conn->place == place)
			conn_close(conn);
	}
}
