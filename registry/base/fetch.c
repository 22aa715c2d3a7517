/*
 * fetch.c: libcurl may not be called while it calls us. So what comes is put aside, and told when libcurl has returned
 * (serve()); a callback may then cancel every fetch, also the one that is being served.
 */
#include "registry/base/fetch.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "registry/base/multi.h"
#include "registry/base/text.h"

/* Bytes of lines that may come before libcurl returns: it reads 100 times of 16 KB at most. */
enum { TURN_MAX = 8 << 20 };

/* Of a URL: until there is a connection, and until one whose other end is silent is taken for broken. */
enum { CONNECT_MS = 2000, PEER_MS = 15000 };
#define KEEPALIVE_S 5L

/* What the socket serves has no name that anybody asks for. */
#define HOST "http://localhost"

struct fetch {
	TAILQ_ENTRY(fetch) link;
	struct fetcher *all;
	CURL *easy;
	struct curl_slist *headers;
	void (*begun)(void *arg);
	void (*line)(void *arg, const char *text, size_t len); /* NULL: the body is told whole */
	void (*done)(void *arg, const struct fetch_reply *reply);
	void *arg;
	size_t max, len, size; /* of `text`: bytes at most, there, and room */
	char *text;
	bool told_begun, too_long, no_memory, ended;
	CURLcode rc;
	char why[CURL_ERROR_SIZE];
};

TAILQ_HEAD(fetches, fetch);

struct fetcher {
	struct multi multi;
	char *path, *ca, *cert, *key, *ca_pem, *cert_pem, *key_pem; /* NULL: none */
	struct fetches list;
	struct fetch *serving; /* whose callback runs, NULL: none's, or it was cancelled in it */
};

static bool make_room(struct fetch *fetch, size_t more)
{
	size_t size = fetch->size ? fetch->size : 4096;
	char *text;

	while (size < fetch->len + more + 1)
		size *= 2;
	if (size == fetch->size)
		return true;
	text = realloc(fetch->text, size);
	if (!text)
		return false;
	fetch->text = text;
	fetch->size = size;
	return true;
}

/* A body has `max` bytes at most; of lines that much may wait, and the answer goes on when they have been told. */
static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct fetch *fetch = arg;
	size_t len = size * n;

	fetch->too_long = fetch->len + len > fetch->max + (fetch->line ? TURN_MAX : 0);
	fetch->no_memory = !fetch->too_long && !make_room(fetch, len);
	if (fetch->too_long || fetch->no_memory)
		return 0;
	memcpy(fetch->text + fetch->len, data, len);
	fetch->len += len;
	fetch->text[fetch->len] = '\0';
	return len;
}

void fetch_cancel(struct fetch *fetch)
{
	if (!fetch)
		return;
	TAILQ_REMOVE(&fetch->all->list, fetch, link);
	if (fetch->all->serving == fetch)
		fetch->all->serving = NULL;
	curl_multi_remove_handle(fetch->all->multi.curl, fetch->easy);
	curl_easy_cleanup(fetch->easy);
	curl_slist_free_all(fetch->headers);
	free(fetch->text);
	free(fetch);
}

static const char *reason(const struct fetch *fetch)
{
	if (fetch->too_long)
		return "the answer is too long";
	if (fetch->no_memory)
		return "out of memory";
	if (fetch->rc == CURLE_OK)
		return NULL;
	return fetch->why[0] ? fetch->why : curl_easy_strerror(fetch->rc);
}

static long code_of(const struct fetch *fetch)
{
	long code = 0;

	curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &code);
	return code;
}

static unsigned retry_after(const struct fetch *fetch)
{
	curl_off_t seconds = 0;

	curl_easy_getinfo(fetch->easy, CURLINFO_RETRY_AFTER, &seconds);
	return seconds > UINT16_MAX ? UINT16_MAX : (unsigned)seconds;
}

static void finish(struct fetch *fetch)
{
	struct fetch_reply reply = {.code = code_of(fetch),
		.body = "",
		.why = reason(fetch),
		.too_long = fetch->too_long,
		.retry_after_s = retry_after(fetch)};
	struct fetcher *all = fetch->all;

	if (!fetch->line && fetch->text) {
		reply.body = fetch->text;
		reply.len = fetch->len;
	}
	fetch->done(fetch->arg, &reply);
	fetch_cancel(all->serving); /* unless done() has */
}

/* Those that are whole. False: it was cancelled. */
static bool tell_lines(struct fetcher *all, struct fetch *fetch)
{
	size_t at = 0;
	char *end;

	while (at < fetch->len && (end = memchr(fetch->text + at, '\n', fetch->len - at))) {
		char *begin = fetch->text + at;

		*end = '\0';
		at = (size_t)(end - fetch->text) + 1;
		fetch->line(fetch->arg, begin, (size_t)(end - begin));
		if (!all->serving)
			return false;
	}
	if (at) {
		memmove(fetch->text, fetch->text + at, fetch->len - at);
		fetch->len -= at;
	}
	fetch->too_long = fetch->too_long || fetch->len > fetch->max;
	return true;
}

/* An answer that begins without a line has begun all the same: its headers say so. */
static bool tell_begun(struct fetcher *all, struct fetch *fetch)
{
	if (!fetch->line || fetch->told_begun || code_of(fetch) != 200)
		return true;
	fetch->told_begun = true;
	fetch->begun(fetch->arg);
	return all->serving != NULL;
}

static void serve_one(struct fetcher *all, struct fetch *fetch)
{
	all->serving = fetch;
	if (tell_begun(all, fetch) && (!fetch->told_begun || tell_lines(all, fetch)) &&
		(fetch->ended || fetch->too_long))
		finish(fetch);
	all->serving = NULL;
}

/* Has it a line to tell, or one that is too long? */
static bool has_line(const struct fetch *fetch)
{
	return fetch->len > fetch->max || (fetch->len && memchr(fetch->text, '\n', fetch->len));
}

static bool is_due(const struct fetch *fetch)
{
	return fetch->ended || fetch->too_long ||
	       (fetch->line && (fetch->told_begun ? has_line(fetch) : code_of(fetch) == 200));
}

/* From the beginning after each: a callback may have cancelled any of them. */
static void serve(void *arg)
{
	struct fetcher *all = arg;
	struct fetch *fetch;
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(all->multi.curl, &left)))
		if (message->msg == CURLMSG_DONE) {
			curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &fetch);
			fetch->ended = true;
			fetch->rc = message->data.result;
		}
	do {
		TAILQ_FOREACH (fetch, &all->list, link)
			if (is_due(fetch))
				break;
		if (fetch)
			serve_one(all, fetch);
	} while (fetch);
}

static void free_all(struct fetcher *all)
{
	free(all->path);
	free(all->ca);
	free(all->cert);
	free(all->key);
	free(all->ca_pem);
	free(all->cert_pem);
	free(all->key_pem);
	free(all);
}

static struct fetcher *open_any(struct event_base *base, const char *path, const struct fetch_tls *tls)
{
	struct fetcher *all = calloc(1, sizeof(*all));

	if (!all)
		return NULL;
	TAILQ_INIT(&all->list);
	if (!text_copy(&all->path, path) || !text_copy(&all->ca, tls->ca) ||
		!text_copy(&all->cert, tls->cert) || !text_copy(&all->key, tls->key) ||
		!text_copy(&all->ca_pem, tls->ca_pem) || !text_copy(&all->cert_pem, tls->cert_pem) ||
		!text_copy(&all->key_pem, tls->key_pem) || multi_open(&all->multi, base, serve, all) < 0) {
		free_all(all);
		return NULL;
	}
	return all;
}

struct fetcher *fetch_open(struct event_base *base, const char *path)
{
	return open_any(base, path, &(struct fetch_tls){.ca = NULL});
}

struct fetcher *fetch_open_web(struct event_base *base, const struct fetch_tls *tls)
{
	return open_any(base, NULL, tls);
}

void fetch_close(struct fetcher *fetcher)
{
	struct fetch *fetch, *next;

	if (!fetcher)
		return;
	for (fetch = TAILQ_FIRST(&fetcher->list); fetch; fetch = next) {
		next = TAILQ_NEXT(fetch, link);
		fetch_cancel(fetch);
	}
	multi_close(&fetcher->multi);
	free_all(fetcher);
}

static void set_options(struct fetch *fetch, unsigned timeout_ms)
{
	CURL *easy = fetch->easy;

	curl_easy_setopt(easy, CURLOPT_PRIVATE, fetch);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, fetch->why);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, fetch);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "sluice/" SLUICE_VERSION);
}

/* What the socket serves. */
static bool set_target(struct fetch *fetch, const char *target)
{
	char *text = malloc(strlen(target) + sizeof(HOST));
	bool set;

	if (!text)
		return false;
	memcpy(text, HOST, sizeof(HOST));
	strcat(text, target);
	set = curl_easy_setopt(fetch->easy, CURLOPT_URL, text) == CURLE_OK &&
	      curl_easy_setopt(fetch->easy, CURLOPT_UNIX_SOCKET_PATH, fetch->all->path) == CURLE_OK;
	free(text);
	return set;
}

static bool add_header(struct fetch *fetch, const char *line)
{
	struct curl_slist *more = curl_slist_append(fetch->headers, line);

	if (more)
		fetch->headers = more;
	return more != NULL;
}

static bool add_token(struct fetch *fetch, const char *token)
{
	static const char name[] = "Authorization: ";
	char *text = malloc(strlen(token) + sizeof(name));
	bool added;

	if (!text)
		return false;
	memcpy(text, name, sizeof(name));
	strcat(text, token);
	added = add_header(fetch, text);
	free(text);
	return added;
}

/* A server whose machine lost its power says nothing any more, ever: the kernel finds out. */
static int watch_peer(void *arg, curl_socket_t fd, curlsocktype type)
{
	unsigned ms = PEER_MS;

	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
	return CURL_SOCKOPT_OK;
}

static bool set_pem(CURL *easy, CURLoption option, char *pem)
{
	struct curl_blob blob = {.data = pem, .len = pem ? strlen(pem) : 0, .flags = CURL_BLOB_NOCOPY};

	return !pem || curl_easy_setopt(easy, option, &blob) == CURLE_OK;
}

/*
 * Who is named is trusted, and nobody of the system's; the file is read for each connection, as it may have changed. A key
 * that needs a password is one that cannot be used: curl would ask at the terminal.
 */
static bool set_tls(CURL *easy, const struct fetcher *all)
{
	if ((all->ca || all->ca_pem) &&
		(curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) != CURLE_OK ||
			curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L) != CURLE_OK))
		return false;
	return curl_easy_setopt(easy, CURLOPT_KEYPASSWD, "") == CURLE_OK &&
	       (!all->ca || curl_easy_setopt(easy, CURLOPT_CAINFO, all->ca) == CURLE_OK) &&
	       (!all->cert || curl_easy_setopt(easy, CURLOPT_SSLCERT, all->cert) == CURLE_OK) &&
	       (!all->key || curl_easy_setopt(easy, CURLOPT_SSLKEY, all->key) == CURLE_OK) &&
	       set_pem(easy, CURLOPT_CAINFO_BLOB, all->ca_pem) &&
	       set_pem(easy, CURLOPT_SSLCERT_BLOB, all->cert_pem) &&
	       set_pem(easy, CURLOPT_SSLKEY_BLOB, all->key_pem);
}

static bool set_question(struct fetch *fetch, const struct fetch_ask *ask)
{
	CURL *easy = fetch->easy;

	if (!set_tls(easy, fetch->all) ||
		(ask->body && (!add_header(fetch, "Content-Type: application/json") ||
				      !add_header(fetch, "Expect:"))) ||
		(ask->token && !add_token(fetch, ask->token)))
		return false;
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, fetch->headers);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_S);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_S);
	curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, watch_peer);
	return curl_easy_setopt(easy, CURLOPT_URL, ask->url) == CURLE_OK &&
	       (!ask->body || curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, ask->body) == CURLE_OK);
}

/* Of `what`, without its options. */
static struct fetch *make(struct fetcher *fetcher, struct fetch what, unsigned timeout_ms)
{
	struct fetch *fetch = malloc(sizeof(*fetch));

	if (!fetch)
		return NULL;
	*fetch = what;
	fetch->all = fetcher;
	fetch->easy = curl_easy_init();
	if (!fetch->easy) {
		free(fetch);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&fetcher->list, fetch, link);
	set_options(fetch, timeout_ms);
	return fetch;
}

/* When its options are `set`. */
static struct fetch *begin(struct fetch *fetch, bool set)
{
	if (set && curl_multi_add_handle(fetch->all->multi.curl, fetch->easy) == CURLM_OK)
		return fetch;
	fetch_cancel(fetch);
	return NULL;
}

static struct fetch *begin_get(
	struct fetcher *fetcher, const char *target, unsigned timeout_ms, struct fetch what)
{
	struct fetch *fetch = make(fetcher, what, timeout_ms);

	return fetch ? begin(fetch, set_target(fetch, target)) : NULL;
}

static struct fetch *begin_ask(struct fetcher *fetcher, const struct fetch_ask *ask, struct fetch what)
{
	struct fetch *fetch;

	what.max = ask->max;
	fetch = make(fetcher, what, what.line ? 0 : ask->timeout_ms);
	return fetch ? begin(fetch, set_question(fetch, ask)) : NULL;
}

struct fetch *fetch_get(struct fetcher *fetcher, const char *target, size_t max, unsigned timeout_ms,
	void (*done)(void *arg, const struct fetch_reply *reply), void *arg)
{
	return begin_get(fetcher, target, timeout_ms, (struct fetch){.max = max, .done = done, .arg = arg});
}

struct fetch *fetch_lines(struct fetcher *fetcher, const char *target, size_t max, void (*begun)(void *arg),
	void (*line)(void *arg, const char *text, size_t len),
	void (*done)(void *arg, const struct fetch_reply *reply), void *arg)
{
	return begin_get(fetcher, target, 0,
		(struct fetch){.max = max, .begun = begun, .line = line, .done = done, .arg = arg});
}

struct fetch *fetch_ask(struct fetcher *fetcher, const struct fetch_ask *ask,
	void (*done)(void *arg, const struct fetch_reply *reply), void *arg)
{
	return begin_ask(fetcher, ask, (struct fetch){.done = done, .arg = arg});
}

struct fetch *fetch_ask_lines(struct fetcher *fetcher, const struct fetch_ask *ask, void (*begun)(void *arg),
	void (*line)(void *arg, const char *text, size_t len),
	void (*done)(void *arg, const struct fetch_reply *reply), void *arg)
{
	return begin_ask(
		fetcher, ask, (struct fetch){.begun = begun, .line = line, .done = done, .arg = arg});
}
