/*
 * input.c: what a connection has received, before evhttp reads it.
 */
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "registry/http/conn.h"

/* What was received last, and what evhttp is to see of it instead (NULL: the same). */
struct cut {
	struct http_chunk *chunk;
	struct evbuffer *kept;
	size_t done;
	bool failed;
};

static void keep(struct cut *cut, const char *bytes, size_t n)
{
	cut->failed |= cut->kept && evbuffer_add(cut->kept, bytes, n) < 0;
}

/* From here on it differs: what came before it is copied. */
static void differ(struct cut *cut, struct evbuffer *input, size_t start)
{
	struct evbuffer_ptr at;

	if (cut->kept || cut->failed)
		return;
	cut->kept = evbuffer_new();
	if (!cut->kept || evbuffer_ptr_set(input, &at, start, EVBUFFER_PTR_SET) < 0) {
		cut->failed = true;
		return;
	}
	for (size_t left = cut->done; left && !cut->failed;) {
		struct evbuffer_iovec piece;
		size_t n;

		if (evbuffer_peek(input, (ev_ssize_t)left, &at, &piece, 1) < 1) {
			cut->failed = true;
			return;
		}
		n = piece.iov_len < left ? piece.iov_len : left;
		keep(cut, piece.iov_base, n);
		left -= n;
		evbuffer_ptr_set(input, &at, n, EVBUFFER_PTR_ADD);
	}
}

/* One piece of memory of what was received. */
static void cut_piece(struct cut *cut, struct evbuffer *input, size_t start, const char *bytes, size_t n)
{
	for (size_t len; n && !cut->failed; bytes += len, n -= len) {
		enum http_chunk_run run = http_chunk_next(cut->chunk, bytes, n, &len);

		if (run != HTTP_CHUNK_KEEP)
			differ(cut, input, start);
		if (run == HTTP_CHUNK_KEEP)
			keep(cut, bytes, len);
		if (run == HTTP_CHUNK_REFUSE_LINE)
			keep(cut, "\r\n", 2);
		if (run == HTTP_CHUNK_REFUSE || run == HTTP_CHUNK_REFUSE_LINE)
			keep(cut, HTTP_CHUNK_NONSENSE, strlen(HTTP_CHUNK_NONSENSE));
		cut->done += len;
	}
}

/* The last `n` bytes become those that are kept. */
static int replace(struct http_conn *conn, struct evbuffer *input, size_t start, size_t n, struct cut *cut)
{
	struct evbuffer *before = evbuffer_new();
	int rc = before ? 0 : -1;

	conn->cutting = true;
	evbuffer_unfreeze(input, 0); /* bufferevents of sockets let nobody else add to it */
	if (rc == 0 && start && evbuffer_remove_buffer(input, before, start) < (int)start)
		rc = -1;
	if (rc == 0 && (evbuffer_drain(input, n) < 0 || evbuffer_add_buffer(input, before) < 0 ||
			       evbuffer_add_buffer(input, cut->kept) < 0))
		rc = -1;
	if (!conn->http->tls)
		evbuffer_freeze(input, 0);
	conn->cutting = false;
	if (before)
		evbuffer_free(before);
	return rc;
}

void http_input_cut(struct http_conn *conn, size_t n)
{
	struct evbuffer *input = bufferevent_get_input(conn->bev);
	size_t start = evbuffer_get_length(input) - n;
	struct cut cut = {.chunk = &conn->chunk};
	struct evbuffer_ptr at;

	if (!n || conn->chunk.state == CHUNK_LOST ||
		evbuffer_ptr_set(input, &at, start, EVBUFFER_PTR_SET) < 0)
		return;
	while (cut.done < n && !cut.failed) {
		struct evbuffer_iovec piece;
		size_t left = n - cut.done, len;

		if (evbuffer_peek(input, (ev_ssize_t)left, &at, &piece, 1) < 1)
			break;
		len = piece.iov_len < left ? piece.iov_len : left;
		cut_piece(&cut, input, start, piece.iov_base, len);
		if (cut.done < n)
			evbuffer_ptr_set(input, &at, len, EVBUFFER_PTR_ADD);
	}
	if (cut.kept && !cut.failed)
		cut.failed = replace(conn, input, start, n, &cut) < 0;
	if (cut.failed) /* no memory: what evhttp would read is not what was meant */
		shutdown(bufferevent_getfd(conn->bev), SHUT_RDWR);
	if (cut.kept)
		evbuffer_free(cut.kept);
}
