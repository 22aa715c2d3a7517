#include "registry/http/stream.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "registry/http/server.h"

enum { SOCKET_BYTES = 64 << 10 }; /* that the kernel may hold for a client */

struct http_stream {
	LIST_ENTRY(http_stream) link; /* http->streams */
	struct http_request *rq;
	struct bufferevent *bev; /* of its connection; the server keeps it longer than the connection lasts */
	struct evbuffer *next;	 /* what is put, for a moment */
	void (*gone)(void *arg);
	void *arg;
	bool cut;
};

static size_t waiting(const struct http_stream *stream)
{
	return evbuffer_get_length(bufferevent_get_output(stream->bev));
}

static void stream_free(struct http_stream *stream)
{
	struct http *http = stream->rq->http;

	LIST_REMOVE(stream, link);
	http->nstreams--;
	evbuffer_free(stream->next);
	http_request_free(stream->rq);
	free(stream);
}

static void on_gone(struct evhttp_connection *connection, void *arg)
{
	struct http_stream *stream = arg;

	if (!stream->cut &&
		waiting(stream) >= HTTP_STREAM_MAX / 2) /* it read nothing until its socket's time was up */
		stream->rq->http->streams_cut++;
	stream->gone(stream->arg);
	if (!evhttp_request_get_connection(stream->rq->raw)) /* evhttp has left it to who answers it */
		evhttp_request_free(stream->rq->raw);
	stream_free(stream);
}

static struct http_stream *stream_make(struct http_request *rq)
{
	struct http_stream *stream = calloc(1, sizeof(*stream));

	if (stream)
		stream->next = evbuffer_new();
	if (stream && stream->next)
		return stream;
	free(stream);
	return NULL;
}

struct http_stream *http_stream_open(
	struct http_request *rq, const char *type, void (*gone)(void *arg), void *arg)
{
	struct http *http = rq->http;
	struct http_stream *stream;

	if (evhttp_request_get_command(rq->raw) == EVHTTP_REQ_HEAD) {
		http_reply(rq, 200, type, NULL);
		return NULL;
	}
	if (http->nstreams >= HTTP_STREAMS) {
		http->streams_refused++;
		return http_fail(rq, 503, "too many streams: there are %d already", HTTP_STREAMS);
	}
	stream = stream_make(rq);
	if (!stream)
		return http_fail(rq, 500, "out of memory");
	stream->rq = rq;
	stream->bev = evhttp_connection_get_bufferevent(evhttp_request_get_connection(rq->raw));
	stream->gone = gone;
	stream->arg = arg;
	LIST_INSERT_HEAD(&http->streams, stream, link);
	http->nstreams++;
	rq->code = 200;
	http_count(rq);
	http_header(rq, "Content-Type", type);
	http_header(rq, "Cache-Control", "no-store");
	http_header(rq, "X-Accel-Buffering", "no"); /* a proxy in between shall pass on each event */
	setsockopt(bufferevent_getfd(stream->bev), SOL_SOCKET, SO_SNDBUF, &(int){SOCKET_BYTES}, sizeof(int));
	evhttp_connection_set_closecb(evhttp_request_get_connection(rq->raw), on_gone, stream);
	evhttp_send_reply_start(rq->raw, rq->code, NULL);
	/* evhttp listens on, to hear when the client goes; that it says nothing meanwhile is as it should be */
	bufferevent_set_timeouts(stream->bev, NULL, &(struct timeval){.tv_sec = http->slow_s});
	return stream;
}

struct http_request *http_stream_request(const struct http_stream *stream)
{
	return stream->rq;
}

/* The event loop notices, and closes it: never from inside a put. */
void http_stream_cut(struct http_stream *stream)
{
	if (stream->cut)
		return;
	stream->cut = true;
	stream->rq->http->streams_cut++;
	shutdown(bufferevent_getfd(stream->bev), SHUT_RDWR);
}

bool http_stream_put(struct http_stream *stream, const char *bytes, size_t len)
{
	if (stream->cut)
		return false;
	if (waiting(stream) + len > HTTP_STREAM_MAX || evbuffer_add(stream->next, bytes, len) < 0) {
		http_stream_cut(stream);
		return false;
	}
	evhttp_send_reply_chunk(stream->rq->raw, stream->next);
	return true;
}

bool http_stream_has_room(const struct http_stream *stream)
{
	return !stream->cut && waiting(stream) < HTTP_STREAM_MAX / 2;
}

void http_streams_close(struct http *http)
{
	struct http_stream *stream;

	while ((stream = LIST_FIRST(&http->streams))) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): one that was freed is in the list no more */
		evhttp_connection_set_closecb(evhttp_request_get_connection(stream->rq->raw), NULL, NULL);
		stream->gone(stream->arg);
		stream_free(stream);
	}
}
