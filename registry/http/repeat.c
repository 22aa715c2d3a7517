#include "registry/http/repeat.h"

#include <errno.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <xxhash.h>

#include "registry/http/cache.h"
#include "registry/http/conn.h"
#include "registry/http/text.h"

enum {
	REPEATS_MAX = 1024,
	USES_MAX = 15, /* rounds that one then outlives without coming again */
	AT_ONCE = 16,  /* of one connection in a row */
	PIECES = 64,   /* of a text given to the kernel at once */
	DATE = 64,
};

struct repeat {
	struct http_request *rq; /* what was read of the first; its `raw` is NULL */
	uint64_t *counter;	 /* of its answers */
	char *answer; /* the lines before the text, without the date and the length; NULL: none yet */
	size_t answer_len;
	uint64_t index; /* that they tell */
	bool gzipped;	/* and this */
	unsigned uses;
	TAILQ_ENTRY(repeat) link;
	UT_hash_handle hh;
	size_t len;
	char head[];
};

struct http_repeats {
	struct repeat *by_head;
	TAILQ_HEAD(, repeat) ring; /* the first is the next to be looked at when room is needed */
	unsigned count;
	uint64_t seed; /* clients choose what is hashed */
	time_t date_s;
	char date[DATE];
};

static unsigned hash_of(const struct http_repeats *repeats, const char *head, size_t len)
{
	return (unsigned)XXH3_64bits_withSeed(head, len, repeats->seed);
}

static void drop(struct http_repeats *repeats, struct repeat *repeat)
{
	HASH_DEL(repeats->by_head, repeat);
	TAILQ_REMOVE(&repeats->ring, repeat, link);
	repeats->count--;
	http_request_free(repeat->rq);
	free(repeat->answer);
	free(repeat);
}

static void make_room(struct http_repeats *repeats)
{
	while (repeats->count >= REPEATS_MAX) {
		struct repeat *repeat = TAILQ_FIRST(&repeats->ring);

		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was dropped is in the list no more */
		if (!repeat->uses) {
			drop(repeats, repeat);
			continue;
		}
		repeat->uses--;
		TAILQ_REMOVE(&repeats->ring, repeat, link);
		TAILQ_INSERT_TAIL(&repeats->ring, repeat, link);
	}
}

static struct repeat *find(const struct http_repeats *repeats, const char *head, size_t len)
{
	struct repeat *repeat;

	HASH_FIND_BYHASHVALUE(hh, repeats->by_head, head, len, hash_of(repeats, head, len), repeat);
	return repeat;
}

/* Does a header leave what follows as it is? Of several of a name each must. */
static bool is_harmless(const struct evkeyval *header)
{
	static const struct {
		const char *name, *harmless;
	} rows[] = {{"Connection", "keep-alive"}, {"Content-Length", "0"}, {"Transfer-Encoding", ""},
		{"Expect", ""}, {"Upgrade", ""}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcasecmp(header->key, rows[i].name) == 0)
			return strcasecmp(header->value, rows[i].harmless) == 0;
	return true;
}

/* Would another of these bytes be answered like this one, and evhttp go on with the next? */
static bool may_repeat(const struct http_request *rq)
{
	const struct evkeyvalq *headers = evhttp_request_get_input_headers(rq->raw);

	if (!rq->kept || !rq->question || !rq->conn || !rq->conn->head || rq->seen || rq->woken ||
		rq->raw->major != 1 || rq->raw->minor != 1 ||
		evhttp_request_get_command(rq->raw) != EVHTTP_REQ_GET)
		return false;
	for (const struct evkeyval *header = headers->tqh_first; header; header = header->next.tqe_next)
		if (!is_harmless(header))
			return false;
	return true;
}

/* What was read of it moves over. */
static struct http_request *take(struct http_request *rq)
{
	struct http_request *taken = calloc(1, sizeof(*taken));

	if (!taken)
		return NULL;
	taken->http = rq->http;
	taken->verb = rq->verb;
	taken->view = rq->view;
	taken->route = rq->route;
	taken->cached = rq->cached;
	taken->kept = rq->kept;
	taken->takes_gzip = rq->takes_gzip;
	taken->code = 200;
	taken->question = rq->question;
	memcpy(taken->arg, rq->arg, sizeof(taken->arg));
	taken->query = rq->query;
	rq->question = NULL;
	rq->query = NULL;
	memset(rq->arg, 0, sizeof(rq->arg));
	return taken;
}

void http_repeat_put(struct http_request *rq)
{
	struct http_repeats *repeats = rq->http->repeats;
	const struct http_conn *conn = rq->conn;
	struct repeat *repeat;

	if (!may_repeat(rq) || find(repeats, conn->head, conn->head_len))
		return;
	repeat = calloc(1, sizeof(*repeat) + conn->head_len);
	if (!repeat)
		return;
	memcpy(repeat->head, conn->head, conn->head_len);
	repeat->len = conn->head_len;
	make_room(repeats);
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, repeats->by_head, repeat->head, repeat->len,
		hash_of(repeats, repeat->head, repeat->len), repeat);
	if (!repeat->hh.tbl) {
		free(repeat);
		return;
	}
	TAILQ_INSERT_TAIL(&repeats->ring, repeat, link);
	repeats->count++;
	repeat->counter = http_counter(rq);
	repeat->rq = take(rq);
	if (!repeat->rq)
		drop(repeats, repeat);
}

/* The lines that tell rq->index. */
static int write_answer(struct repeat *repeat)
{
	struct http_request *rq = repeat->rq;

	free(repeat->answer);
	repeat->answer = NULL;
	rq->lines = evbuffer_new();
	if (!rq->lines)
		return -ENOMEM;
	evbuffer_add_printf(rq->lines, "HTTP/1.1 200 OK\r\n");
	http_headers(rq, "application/json");
	repeat->answer_len = evbuffer_get_length(rq->lines);
	repeat->answer = malloc(repeat->answer_len);
	if (repeat->answer)
		evbuffer_remove(rq->lines, repeat->answer, repeat->answer_len);
	evbuffer_free(rq->lines);
	rq->lines = NULL;
	repeat->index = rq->index;
	repeat->gzipped = rq->gzipped;
	return repeat->answer ? 0 : -ENOMEM;
}

static const char *date(struct http_repeats *repeats, struct event_base *base)
{
	struct timeval now;

	event_base_gettimeofday_cached(base, &now);
	if (now.tv_sec != repeats->date_s) {
		evutil_date_rfc1123(repeats->date, sizeof(repeats->date), NULL);
		repeats->date_s = now.tv_sec;
	}
	return repeats->date;
}

static void give_back(struct http_conn *conn)
{
	bufferevent_setcb(conn->bev, conn->read, conn->write, conn->event, conn->arg);
	conn->event = NULL;
}

/* The rest has been sent: on with what came meanwhile. */
static void on_sent(struct bufferevent *bev, void *arg)
{
	struct http_conn *conn = arg;

	give_back(conn);
	bufferevent_disable(bev, EV_WRITE);
	bufferevent_enable(bev, EV_READ);
	conn->since = conn->http->sweeps;
	http_repeat_serve(conn);
	if (!conn->at_start && conn->read)
		bufferevent_trigger(bev, EV_READ, BEV_TRIG_DEFER_CALLBACKS);
}

/* It does not take the answer. */
static void on_broken(struct bufferevent *bev, short what, void *arg)
{
	struct http_conn *conn = arg;
	bufferevent_event_cb event = conn->event;

	give_back(conn);
	event(bev, what, conn->arg);
}

/* What the kernel did not take at once; evhttp is told when it has. */
static void send_rest(
	struct http_conn *conn, const char *lines, size_t len, struct http_text *text, size_t sent)
{
	struct evbuffer *out = bufferevent_get_output(conn->bev);

	bufferevent_getcb(conn->bev, &conn->read, &conn->write, &conn->event, &conn->arg);
	bufferevent_setcb(conn->bev, NULL, on_sent, on_broken, conn);
	bufferevent_disable(conn->bev, EV_READ);
	if ((sent < len && evbuffer_add(out, lines + sent, len - sent) < 0) ||
		http_text_append_from(text, sent > len ? sent - len : 0, out) < 0)
		shutdown(bufferevent_getfd(conn->bev), SHUT_RDWR); /* no memory: half an answer is none */
	bufferevent_enable(conn->bev, EV_WRITE);
}

/* False: nothing was sent. */
static bool send_answer(struct http_conn *conn, struct repeat *repeat, struct http_text *text)
{
	char lines[HTTP_HEAD_MAX];
	struct iovec piece[1 + PIECES] = {{.iov_base = lines}};
	struct msghdr message = {.msg_iov = piece};
	size_t len = repeat->answer_len, whole;
	ssize_t sent;

	if (len + 2 * DATE > sizeof(lines))
		return false;
	memcpy(lines, repeat->answer, len);
	len += (size_t)snprintf(lines + len, sizeof(lines) - len, "Date: %s\r\nContent-Length: %zu\r\n\r\n",
		date(conn->http->repeats, conn->http->base), http_text_len(text));
	piece[0].iov_len = len;
	message.msg_iovlen = 1 + http_text_pieces(text, piece + 1, PIECES);
	sent = sendmsg(bufferevent_getfd(conn->bev), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN)
		return false;
	whole = len + http_text_len(text);
	if (sent < (ssize_t)whole)
		send_rest(conn, lines, len, text, sent > 0 ? (size_t)sent : 0);
	return true;
}

/* False: evhttp is to answer it. */
static bool answer(struct http_conn *conn, const char *head, size_t len)
{
	struct repeat *repeat = find(conn->http->repeats, head, len);
	struct http_request *rq = repeat ? repeat->rq : NULL;
	struct http_text *text;

	if (!repeat)
		return false;
	if (repeat->uses < USES_MAX)
		repeat->uses++;
	rq->index = http_view_index(rq);
	rq->asked = http_cache_revision(rq);
	text = http_cache_find(rq);
	if (!text ||
		((!repeat->answer || repeat->index != rq->index || repeat->gzipped != rq->gzipped) &&
			write_answer(repeat) < 0) ||
		!send_answer(conn, repeat, text))
		return false;
	++*repeat->counter;
	conn->since = conn->http->sweeps;
	return true;
}

/* Bytes of the first request in it, 0: not whole, or none that could be known; *text is it. */
static size_t first_of(struct evbuffer *input, const char **text)
{
	size_t len = evbuffer_get_length(input);
	const char *end;

	len = len < HTTP_HEAD_MAX ? len : HTTP_HEAD_MAX;
	*text = (const char *)evbuffer_pullup(input, (ev_ssize_t)len);
	if (!*text || len < 4 || memcmp(*text, "GET ", 4) != 0)
		return 0;
	end = memmem(*text, len, "\r\n\r\n", 4);
	return end ? (size_t)(end + 4 - *text) : 0;
}

/* Evhttp is to read it: known when it comes again, if it is all that came. */
static void remember(struct http_conn *conn, const char *head, size_t len)
{
	free(conn->head);
	conn->head = NULL;
	if (!len || len != evbuffer_get_length(bufferevent_get_input(conn->bev)))
		return;
	conn->head = malloc(len);
	conn->head_len = len;
	if (conn->head)
		memcpy(conn->head, head, len);
}

void http_repeat_serve(struct http_conn *conn)
{
	struct evbuffer *input = bufferevent_get_input(conn->bev);
	const char *head = NULL;
	size_t len;

	for (unsigned n = 0; evbuffer_get_length(input) && !conn->event; n++) {
		len = conn->http->tls ? 0 : first_of(input, &head);
		if (!len || n == AT_ONCE || evbuffer_get_length(bufferevent_get_output(conn->bev)) ||
			!answer(conn, head, len)) {
			conn->at_start = false;
			remember(conn, head, len);
			http_input_cut(conn, evbuffer_get_length(input));
			return;
		}
		evbuffer_drain(input, len);
	}
}

int http_repeats_open(struct http *http)
{
	struct http_repeats *repeats = calloc(1, sizeof(*repeats));

	if (!repeats)
		return -ENOMEM;
	TAILQ_INIT(&repeats->ring);
	if (getrandom(&repeats->seed, sizeof(repeats->seed), 0) != sizeof(repeats->seed))
		repeats->seed = (uint64_t)(uintptr_t)repeats;
	http->repeats = repeats;
	return 0;
}

void http_repeats_close(struct http *http)
{
	if (!http->repeats)
		return;
	while (!TAILQ_EMPTY(&http->repeats->ring))
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was dropped is in the list no more */
		drop(http->repeats, TAILQ_FIRST(&http->repeats->ring));
	free(http->repeats);
	http->repeats = NULL;
}
