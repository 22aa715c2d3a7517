/*
 * follow.c: one kind of object of Kubernetes' API, followed for ever. At first all that there is comes as events, ended by
 * a mark (the server keeps it short in memory that way, and so do we: an object a line); servers that do not know that,
 * or cannot (with an older etcd they begin, and end by an error), are asked for lists, in pages. From then on it is
 * watched, from the version that was heard last: also after a break, unless the server has forgotten that version (410),
 * when everything comes again. What is known stays meanwhile.
 *
 * A connection that is dead says nothing, and a live one says something each minute (bookmarks): silence ends it.
 */
#include <curl/curl.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "registry/base/chance.h"
#include "registry/base/fetch.h"
#include "registry/base/wheel.h"
#include "registry/source/kubernetes/inside.h"

enum {
	PAGE = 50, /* objects; a slice may have a thousand endpoints */
	PAGE_BYTES = 32 << 20,
	LINE_BYTES = 8 << 20,
	PAGE_MS = 30000,
	WATCH_S = 300, /* up to twice that, so that not all nodes come again at once */
	SILENCE_S = 150,
	BACK_OFF_MS = 800,
	BACK_OFF_MAX_MS = 30000,
	GOOD_S = 120, /* after so long without a break the next one counts as the first */
	VERSION = 128,
	MORE = 2048,
	TARGET = 3 * MORE + 1024, /* all of it may be escaped */
	TOKEN = KUBERNETES_TOKEN_MAX +
		16, /* with what is before it, and a byte more shows that it is longer */
	GONE = 410,
	UNABLE = 500,
	RARE_S = 5, /* what comes again sooner is a fault */
};

#define BEARER "Bearer "

struct kube_follow {
	struct kubernetes *k;
	const struct kube_kind *kind;
	struct fetch *fetch;
	struct event *again, *silence;
	char version[VERSION]; /* heard last, "": none that the server can go on from */
	char *more;	       /* of a list: where its next page begins */
	bool no_marks;	       /* the server knows of none */
	bool pages;	       /* this time all comes in pages */
	bool filling;	       /* all that there is comes, and has not ended */
	bool synced;
	unsigned failures;
	int64_t began;	/* CLOCK_MONOTONIC: since when it goes well, or does not */
	int64_t answer; /* when the last watch was answered */
	int64_t forgot; /* when the server had last forgotten a version */
	char why[160];	/* "": it goes well */
};

static int64_t now_s(void)
{
	return (int64_t)(wheel_now_us() / 1000000);
}

static bool remember(char *to, size_t size, const char *text)
{
	if (!text || strlen(text) >= size)
		return false;
	strcpy(to, text);
	return true;
}

/* That of a file may be another one by now. NULL: there is none, or `why` says what is wrong with it. */
static char *read_token(const struct kubernetes *k, const char **why)
{
	FILE *file = k->token_file ? fopen(k->token_file, "re") : NULL;
	char *text = file || k->token ? calloc(1, TOKEN) : NULL;

	if (text && !file)
		snprintf(text, TOKEN, BEARER "%s", k->token);
	if (text && file) {
		strcpy(text, BEARER);
		fread(text + strlen(BEARER), 1, TOKEN - sizeof(BEARER), file);
		text[strcspn(text, "\r\n")] = '\0';
	}
	if (file)
		fclose(file);
	if (text && strlen(text) > strlen(BEARER) + KUBERNETES_TOKEN_MAX) {
		free(text);
		text = NULL;
		*why = "the token is too long";
	}
	return text;
}

static void went_well(struct kube_follow *follow)
{
	if (follow->why[0]) {
		follow->why[0] = '\0';
		follow->began = now_s();
		registry_log(follow->k->reg, LOG_NOTICE, "kubernetes", "kubernetes: the API server is back");
	}
}

static void ask_in(struct kube_follow *follow, unsigned ms)
{
	struct timeval when = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	evtimer_del(follow->silence);
	evtimer_add(follow->again, &when);
}

/* Half of the pause is chance: a server that comes back is not asked by all nodes at once. */
static void try_again(struct kube_follow *follow, const char *why, unsigned at_least_s)
{
	char line[sizeof(follow->why) + 128];
	unsigned ms;

	if (follow->answer && now_s() - follow->answer > GOOD_S)
		follow->failures = 0;
	follow->answer = 0;
	ms = BACK_OFF_MS << (follow->failures < 6 ? follow->failures : 6);
	if (!follow->why[0]) {
		follow->began = now_s();
		snprintf(line, sizeof(line),
			"kubernetes: %s: %s; what it said last holds, and it is tried again",
			follow->kind->path, why);
		registry_log(follow->k->reg, LOG_WARNING, "kubernetes", line);
	}
	if (why != follow->why)
		snprintf(follow->why, sizeof(follow->why), "%.159s", why);
	follow->failures++;
	event_active(follow->k->turn, 0, 0); /* who waits for it need not */
	if (at_least_s > BACK_OFF_MAX_MS / 1000)
		at_least_s = BACK_OFF_MAX_MS / 1000;
	ms = ms < BACK_OFF_MAX_MS ? ms : BACK_OFF_MAX_MS;
	ms = chance_between(ms / 2, ms * 3 / 2 - 1);
	ask_in(follow, ms > at_least_s * 1000 ? ms : at_least_s * 1000);
}

static void filled(struct kube_follow *follow)
{
	follow->filling = false;
	follow->synced = true;
	follow->pages = follow->no_marks;
	follow->kind->end(follow->k);
}

static void fill(struct kube_follow *follow)
{
	follow->version[0] = '\0';
	follow->filling = true;
	free(follow->more);
	follow->more = NULL;
	follow->kind->begin(follow->k);
}

/* A version is no longer known: everything anew. Who says that of each version that it gives out is not asked all the time. */
static void on_forgotten(struct kube_follow *follow)
{
	bool rare = !follow->forgot || now_s() - follow->forgot > RARE_S;

	follow->version[0] = '\0';
	follow->forgot = now_s();
	if (rare)
		ask_in(follow, 0);
	else
		try_again(follow, "it forgets the version that it gave", 0);
}

/*
 * The server has ended the watch by an object of kind Status. If that was one for all that there is, pages come next; once,
 * so that no loop comes of it: only what they have filled is watched again.
 */
static void on_error(struct kube_follow *follow, const json_t *status)
{
	json_int_t code = json_integer_value(json_object_get(status, "code"));
	const char *message = kube_text(status, "message");
	bool forgotten = code == GONE && follow->version[0]; /* else nothing was asked that could be */
	bool unable = code == UNABLE && follow->filling && !follow->pages;

	fetch_cancel(follow->fetch);
	follow->fetch = NULL;
	follow->version[0] = '\0';
	follow->pages = follow->pages || follow->filling;
	follow->filling = false;
	if (forgotten)
		on_forgotten(follow);
	else if (unable)
		ask_in(follow, 0);
	else
		try_again(follow, message ? message : "the server ends the watch", 0);
}

static void on_bookmark(struct kube_follow *follow, const json_t *object)
{
	const json_t *notes = json_object_get(json_object_get(object, "metadata"), "annotations");
	const char *end = kube_text(notes, "k8s.io/initial-events-end");

	if (follow->filling && end && strcmp(end, "true") == 0)
		filled(follow);
}

static void on_line(void *arg, const char *text, size_t len)
{
	static const struct timeval silence = {.tv_sec = SILENCE_S};
	struct kube_follow *follow = arg;
	json_t *event = json_loadb(text, len, 0, NULL), *object = json_object_get(event, "object");
	const char *type = kube_text(event, "type"),
		   *version = kube_text(json_object_get(object, "metadata"), "resourceVersion");

	evtimer_add(follow->silence, &silence);
	if (!type || !object) { /* half of a line, maybe */
		json_decref(event);
		fetch_cancel(follow->fetch);
		follow->fetch = NULL;
		try_again(follow, "a line of the watch is no event", 0);
		return;
	}
	if (strcmp(type, "ERROR") == 0) {
		on_error(follow, object);
		json_decref(event);
		return;
	}
	if (strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0)
		follow->kind->put(follow->k, object);
	else if (strcmp(type, "DELETED") == 0)
		follow->kind->del(follow->k, object);
	else if (strcmp(type, "BOOKMARK") == 0)
		on_bookmark(follow, object);
	if (!follow->filling) /* while all comes, versions do not rise */
		remember(follow->version, sizeof(follow->version), version);
	json_decref(event);
}

static void on_begun(void *arg)
{
	struct kube_follow *follow = arg;

	follow->answer = now_s();
	went_well(follow);
}

static void on_watch_end(void *arg, const struct fetch_reply *reply)
{
	struct kube_follow *follow = arg;
	bool whole = reply->code == 200 && !reply->why && !follow->filling;
	char code[48];

	follow->fetch = NULL;
	if ((reply->code == 400 || reply->code == 422) && !follow->version[0] && !follow->pages) {
		follow->no_marks = follow->pages = true;
		ask_in(follow, 0);
	} else if (reply->code == GONE && follow->version[0]) {
		on_forgotten(follow);
	} else if (whole && now_s() - follow->answer > 1) { /* its time was over */
		ask_in(follow, 0);
	} else {
		snprintf(code, sizeof(code), "HTTP status %ld", reply->code);
		try_again(follow,
			reply->why	     ? reply->why
			: reply->code != 200 ? code
					     : "it hung up",
			reply->retry_after_s);
	}
}

static bool take_page(struct kube_follow *follow, const json_t *page)
{
	const json_t *metadata = json_object_get(page, "metadata"), *items = json_object_get(page, "items"),
		     *one;
	const char *more = kube_text(metadata, "continue");
	size_t i;

	if (!json_is_array(items) && !json_is_null(items))
		return false;
	json_array_foreach (items, i, one)
		follow->kind->put(follow->k, one);
	free(follow->more);
	follow->more = more && more[0] && strlen(more) < MORE ? strdup(more) : NULL;
	if (more && more[0] && !follow->more)
		return false;
	if (follow->more)
		return true;
	if (!remember(follow->version, sizeof(follow->version), kube_text(metadata, "resourceVersion")))
		return false;
	filled(follow);
	return true;
}

static void on_page(void *arg, const struct fetch_reply *reply)
{
	struct kube_follow *follow = arg;
	json_t *page =
		reply->code == 200 && !reply->why ? json_loadb(reply->body, reply->len, 0, NULL) : NULL;
	char code[48];

	follow->fetch = NULL;
	if (page && take_page(follow, page)) {
		went_well(follow);
		ask_in(follow, 0);
	} else {
		follow->filling = false; /* from the first page again */
		snprintf(code, sizeof(code), "HTTP status %ld", reply->code);
		try_again(follow,
			reply->why ? reply->why
			: page	   ? "a list that is none"
				   : code,
			reply->code == GONE ? 0 : reply->retry_after_s);
	}
	json_decref(page);
}

/* What goes on: a list's next page, a watch from the version heard last, or everything anew. */
static void write_target(const struct kube_follow *follow, char url[TARGET])
{
	const char *path = follow->kind->path, *from,
		   *selector = follow->kind->of_node ? follow->k->of_node : follow->kind->selector;
	unsigned seconds = chance_between(WATCH_S, 2 * WATCH_S - 1);
	char *escaped;
	int n;

	n = snprintf(url, TARGET, "%s%s?%s&", follow->k->api, path, selector);
	from = follow->version[0] ? follow->version : follow->more ? follow->more : "";
	escaped = curl_easy_escape(NULL, from, 0);
	if (!follow->version[0] && follow->pages)
		snprintf(url + n, TARGET - (size_t)n, "limit=%d&continue=%s", PAGE, escaped ? escaped : "");
	else
		snprintf(url + n, TARGET - (size_t)n,
			"watch=1&allowWatchBookmarks=true&timeoutSeconds=%u&%s%s", seconds,
			follow->version[0] ? "resourceVersion="
					   : "sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
			follow->version[0] && escaped ? escaped : "");
	curl_free(escaped);
}

static void ask(struct kube_follow *follow)
{
	static const struct timeval silence = {.tv_sec = SILENCE_S};
	const char *why = NULL;
	char url[TARGET], *token = read_token(follow->k, &why);
	struct fetch_ask what = {.url = url, .token = token};

	if (why) {
		try_again(follow, why, 0);
		return;
	}
	if (!follow->version[0] && !(follow->filling && follow->more))
		fill(follow);
	write_target(follow, url);
	if (!follow->version[0] && follow->pages) {
		what.max = PAGE_BYTES;
		what.timeout_ms = PAGE_MS;
		follow->fetch = fetch_ask(follow->k->fetcher, &what, on_page, follow);
	} else {
		what.max = LINE_BYTES;
		follow->fetch =
			fetch_ask_lines(follow->k->fetcher, &what, on_begun, on_line, on_watch_end, follow);
		evtimer_add(follow->silence, &silence);
	}
	free(token);
	if (!follow->fetch)
		try_again(follow, "out of memory", 0);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	ask(arg);
}

static void on_silence(evutil_socket_t fd, short what, void *arg)
{
	struct kube_follow *follow = arg;

	fetch_cancel(follow->fetch);
	follow->fetch = NULL;
	try_again(follow, "nothing is heard of it", 0);
}

struct kube_follow *kube_follow_open(struct kubernetes *k, const struct kube_kind *kind)
{
	struct kube_follow *follow = calloc(1, sizeof(*follow));

	if (!follow)
		return NULL;
	follow->k = k;
	follow->kind = kind;
	follow->began = now_s();
	follow->again = evtimer_new(k->base, on_again, follow);
	follow->silence = evtimer_new(k->base, on_silence, follow);
	if (!follow->again || !follow->silence) {
		kube_follow_close(follow);
		return NULL;
	}
	ask_in(follow, 0);
	return follow;
}

void kube_follow_close(struct kube_follow *follow)
{
	if (!follow)
		return;
	fetch_cancel(follow->fetch);
	if (follow->again)
		event_free(follow->again);
	if (follow->silence)
		event_free(follow->silence);
	free(follow->more);
	free(follow);
}

void kube_follow_anew(struct kube_follow *follow)
{
	fetch_cancel(follow->fetch);
	follow->fetch = NULL;
	follow->version[0] = '\0';
	follow->filling = follow->synced = false;
	ask_in(follow, 0);
}

bool kube_follow_synced(const struct kube_follow *follow)
{
	return follow->synced;
}

const char *kube_follow_why(const struct kube_follow *follow, int64_t *since_s)
{
	*since_s = now_s() - follow->began;
	return follow->why[0] ? follow->why : NULL;
}
