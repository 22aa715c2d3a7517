#include "registry/http/conn.h"

#include <event2/listener.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "registry/base/accept.h"
#include "registry/http/repeat.h"
#include "registry/http/tls.h"

static bool is_closed(const struct http_conn *conn)
{
	bufferevent_data_cb read, write;
	bufferevent_event_cb event;
	void *arg;

	bufferevent_getcb(conn->bev, &read, &write, &event, &arg);
	return !read && !write && !event;
}

static void conn_free(struct http_conn *conn)
{
	bufferevent_decref(conn->bev);
	free(conn->head);
	free(conn);
}

void http_conn_sweep(struct http *http)
{
	struct http_conn *conn, *later, *closed = NULL;

	HASH_ITER(hh, http->conns, conn, later)
	{
		if (is_closed(conn)) {
			HASH_DEL(http->conns, conn);
			conn->next = closed;
			closed = conn;
		} else if (!conn->busy && http->sweeps - conn->since > http->slow_s) {
			shutdown(bufferevent_getfd(conn->bev), SHUT_RDWR);
		}
	}
	for (conn = closed; conn; conn = later) {
		later = conn->next;
		conn_free(conn);
		http->nconns--;
	}
}

/* Before evhttp sees it. */
static void on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
	struct http_conn *conn = arg;

	if (!info->n_added || conn->cutting || conn->event)
		return;
	if (is_closed(conn)) { /* until the sweep finds it there is nobody to read for */
		bufferevent_disable(conn->bev, EV_READ);
		evbuffer_drain(input, evbuffer_get_length(input));
	} else if (conn->at_start)
		http_repeat_serve(conn);
	else
		http_input_cut(conn, info->n_added);
}

struct bufferevent *http_conn_accept(struct event_base *base, void *arg)
{
	struct http *http = arg;
	struct http_conn *conn = calloc(1, sizeof(*conn));
	struct bufferevent *bev = conn ? http_tls_accept(http->tls, base) : NULL;

	if (http->nconns + 1 >= http->max_conns)
		http_conn_sweep(
			http); /* while the new one, which looks closed until evhttp has it, is not among them */
	if (!bev) {
		free(conn);
		return NULL;
	}
	*conn = (struct http_conn){.http = http, .bev = bev, .since = http->sweeps, .at_start = true};
	HASH_ADD_PTR(http->conns, bev, conn);
	if (!conn->hh.tbl) {
		free(conn);
		return bev;
	}
	bufferevent_incref(bev);
	bufferevent_set_max_single_write(bev, HTTP_WRITE_MAX);
	bufferevent_setwatermark(bev, EV_READ, 0, HTTP_READ_MAX);
	evbuffer_add_cb(bufferevent_get_input(bev), on_input, conn); /* without memory evhttp sees all */
	http->nconns++;
	accept_taken(http->guard);
	if (http->nconns >= http->max_conns)
		evconnlistener_disable(http->listener);
	return bev;
}

struct http_conn *http_conn_begin(struct http *http, struct evhttp_request *raw)
{
	struct bufferevent *bev = evhttp_connection_get_bufferevent(evhttp_request_get_connection(raw));
	struct http_conn *conn;

	HASH_FIND_PTR(http->conns, &bev, conn);
	if (!conn)
		return NULL;
	conn->busy = true;
	conn->since = http->sweeps;
	return conn;
}

void http_conn_end(struct http_conn *conn)
{
	if (!conn)
		return;
	conn->busy = false;
	conn->since = conn->http->sweeps;
	/* what is there already evhttp reads on its own once the answer is sent */
	conn->at_start = evbuffer_get_length(bufferevent_get_input(conn->bev)) == 0;
	if (conn->at_start && conn->chunk.state != CHUNK_LOST && conn->chunk.state != CHUNK_REFUSED)
		conn->chunk = (struct http_chunk){0};
	free(conn->head);
	conn->head = NULL;
}

void http_conns_close(struct http *http)
{
	struct http_conn *conn = http->conns, *later;

	HASH_CLEAR(hh, http->conns);
	for (; conn; conn = later) {
		later = conn->hh.next;
		conn_free(conn);
	}
}
