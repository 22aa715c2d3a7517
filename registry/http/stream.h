/*
 * stream.h: answers without an end: the client is sent what happens, as it happens. What waits for a client that does not
 * read is bounded; beyond that it is cut off, and counted. Control thread only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct http;
struct http_request;
struct http_stream;

enum {
	HTTP_STREAMS = 512,	    /* at once */
	HTTP_STREAM_MAX = 256 << 10 /* bytes that wait for a client, besides what its socket holds */
};

/**
 * Begins the answer, of this type; takes over the request. gone(arg) is called once when the client is gone, and frees
 * nothing of the stream. NULL: it has been answered, with an error or (HEAD) without a body, and gone() is never called.
 */
struct http_stream *http_stream_open(
	struct http_request *rq, const char *type, void (*gone)(void *arg), void *arg);
/** The request that it answers, whose parameters last as long. */
struct http_request *http_stream_request(const struct http_stream *stream);
/** False: the client was too slow and is cut off; gone() follows later. */
bool http_stream_put(struct http_stream *stream, const char *bytes, size_t len);
/** Has the client taken enough of what was put, so that more may be? */
bool http_stream_has_room(const struct http_stream *stream);
/** Cuts the client off, and counts it; gone() follows later. */
void http_stream_cut(struct http_stream *stream);

/** Before the server is closed: ends all of them; calls gone(). */
void http_streams_close(struct http *http);
