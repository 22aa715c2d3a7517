/*
 * server.h: the inside of the HTTP server, for the files of registry/ that answer requests.
 *
 *   server.c   listens, bounds connections
 *   conn.c     a connection; cuts off the slow
 *   repeat.c   requests that came before, byte for byte
 *   chunk.c    bodies in chunks, before evhttp reads them
 *   input.c    what evhttp is given to read
 *   gzip.c     the text of an answer, compressed
 *   tls.c      certificates
 *   frame.c    where a request ends
 *   host.c     for which host a request is meant
 *   route.c    from a request to its row in a table of routes
 *   count.c    what was answered how often
 *   reply.c    status, headers, body; waits for the store when the client asked for that
 *   park.c     queries that wait for a change
 *   work.c     answers that are lists, made in slices
 *   put.c      the text of such a list
 *   stream.c   answers without an end
 *   text.c     the text of an answer, in pieces
 *   cache.c    answers that are kept while nothing of them changes
 *   part.c     parts that answers to several have in common
 *   param.c    what the query string says
 */
#pragma once

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <jansson.h>
#include <sys/queue.h>

#include "registry/http/http.h"
#include "registry/table/table.h"

struct http_cache;
struct http_conn;
struct http_list;
struct http_parts;
struct http_repeats;
struct http_request;
struct http_stream;
struct http_text;
struct http_works;

/* name=value of a query string, decoded; value "" when there is none. */
struct http_pair {
	char *name, *value;
};
struct journal;

enum { HTTP_ARGS = 2 };

/* How much of the registry a view shows. */
struct http_scope {
	/** The name whose watches tell of its changes (registry_watch()). */
	const char *(*topic)(struct http_request *rq);
	/** The generation of what it shows now. */
	uint64_t (*index)(struct http_request *rq);
	/** Another one whenever what it shows to this request may be different (registry_revision()): the answer is kept
	 * until then. NULL: it is not, but for those who wait for it. */
	uint64_t (*revision)(struct http_request *rq);
};

/* An answer that can be waited for (`index=` and `wait=`). */
struct http_view {
	const struct http_scope *scope;
	/** The answer, a new reference; NULL after http_fail(). */
	json_t *(*render)(struct http_request *rq);
	/** Instead of it: the answer is a list that may be long. */
	const struct http_list *list;
	bool by_hash;	/* waits by `hash=`, which render() sets in rq->hash, instead of by index */
	bool unordered; /* its indexes do not grow: waits while the client has exactly the one of now */
	bool (*unordered_if)(struct http_request *rq); /* the same, when it says so; NULL: never */
};

enum http_verb { VERB_GET = 1, VERB_PUT = 2, VERB_DELETE = 4, VERB_POST = 8 };

/* One row: exactly one of fn, take, view and list, or fn with the view that it calls http_view() with in the end. In `path`,
 * ":" stands for a part and "*" for the rest. */
struct http_route {
	unsigned verbs; /* of enum http_verb */
	const char *path;
	void (*fn)(struct http_request *rq);
	/** With the JSON object of the request's body, which stays the server's. What else comes is answered with 400. */
	void (*take)(struct http_request *rq, const json_t *body);
	const struct http_view *view;
	const struct http_list *list; /* that nobody can wait for */
	bool open;		      /* needs no token */
	bool also_by_get;	      /* where changes_by_get is set */
	bool cached;		      /* Consul answers it from its agent's cache with `?cached` */
	bool may_be_empty;	      /* a request without a body is taken as {} */
	const char *why;	      /* of what is refused: what there is instead. NULL: it is served */
};

TAILQ_HEAD(http_waiting, http_request);

struct http {
	struct event_base *base;
	struct registry *reg;
	struct http_api api;
	struct journal *journal; /* NULL: nothing is kept */
	struct evhttp *server;
	struct evconnlistener *listener;
	struct accept_guard *guard; /* of the listener */
	struct event *sweep;	    /* looks after connections, each second */
	struct http_conn *conns;
	unsigned nconns, nparked, sweeps;
	struct http_waiting parked, woken;
	struct http_waiting
		blocked;	  /* woken, and waiting for the list that another of them is answered with */
	struct event *answer;	  /* answers those woken */
	struct http_works *works; /* lists under way */
	char *scratch;		  /* for the text of an item of theirs */
	size_t scratch_room;
	struct http_parts *parts;
	struct http_cache *cache;
	struct http_repeats *repeats;
	LIST_HEAD(, http_stream) streams;
	unsigned nstreams;
	uint64_t streams_cut, streams_refused;
	struct http_tls *tls; /* NULL: without */
	unsigned max_conns, max_parked, slow_s;
	char *token;
	bool checks_host;	     /* requests must be for a name of the loopback, or for one of these */
	char *hosts[HTTP_HOSTS + 2]; /* and the address that it listens on; NULL ends */
	bool changes_by_get;
	uint16_t port;
	uint64_t answers[HTTP_GROUPS][HTTP_STATUSES];
};

/* One request, from its arrival to its answer. */
struct http_request {
	struct http *http;
	struct evhttp_request *raw;
	struct http_conn *conn; /* that it came by; NULL: unknown */
	struct evbuffer *lines; /* what http_header() adds goes here instead of to `raw`; NULL: to that */
	const struct http_route *route; /* NULL: a page, or nothing */
	enum http_verb verb;
	char *arg[HTTP_ARGS];	 /* what the route's ":" and "*" stand for, decoded */
	struct http_pair *query; /* name NULL ends */
	uint64_t seen;		 /* the index that the client has, of views */
	int64_t deadline_ms;	 /* when a view is answered in any case, CLOCK_MONOTONIC */
	uint64_t index;		 /* told in X-Consul-Index, 0: none */
	char hash[17];		 /* told in X-Consul-ContentHash, "": none */
	bool cached;		 /* asked for from a cache, and the route has one */
	struct evbuffer *body;	 /* the answer that waits for the store */
	int code;
	void (*gone)(void *arg); /* while it is held (http_hold()) */
	void *gone_arg;
	bool kept;	 /* its answer is one that the cache may keep */
	bool takes_gzip; /* it may be told it compressed */
	bool gzipped;	 /* and is */

	const struct http_view *view; /* NULL: none */
	char *question; /* what decides the view's answer, see cache.c; NULL: not looked at yet */
	uint64_t asked; /* its revision when this came, or woke: no older answer will do */

	/* while it is parked (park.c) */
	TAILQ_ENTRY(http_request) link; /* http->parked, http->woken or http->blocked */
	struct registry_watch *watch;
	struct event timer;
	bool woken, late, blocked;
};

/* route.c */
void http_dispatch(struct evhttp_request *raw, void *arg);
/** Gives up a request whose connection is gone, or that has been answered. */
void http_request_free(struct http_request *rq);
/** Answers with the page that has this path. False: there is none, and nothing is answered. */
bool http_run_page(struct http_request *rq, const char *path);

/* frame.c */
/** Is it beyond doubt where the request ends? False after http_fail(). */
bool http_frame_read(struct http_request *rq);

/* host.c */
/** Is the request for a host that this server may be called? */
bool http_host_allowed(const struct http *http, struct evhttp_request *raw);

/* reply.c */
/** Adds a header to the answer. */
void http_header(struct http_request *rq, const char *name, const char *value);
/** Adds those that every answer has. */
void http_headers(struct http_request *rq, const char *type);
void http_reply_json(struct http_request *rq, int code, json_t *json);
/** The same for text that is compact JSON already. */
void http_reply_json_text(struct http_request *rq, int code, const char *json);
/** And for text as it is, which stays the caller's; NULL: there was no memory for it. */
void http_reply_shared(struct http_request *rq, int code, struct http_text *text);
__attribute__((format(printf, 3, 4))) void http_reply_text(
	struct http_request *rq, int code, const char *fmt, ...);
void http_reply(struct http_request *rq, int code, const char *type, struct evbuffer *body);
/** Answers with the text and returns NULL, for render functions. */
__attribute__((format(printf, 3, 4))) void *http_fail(
	struct http_request *rq, int code, const char *fmt, ...);

/** It is answered later. Should its client go first, gone() is told, and the request is no more behind it. */
void http_hold(struct http_request *rq, void (*gone)(void *arg), void *arg);

/* count.c */
void http_count(const struct http_request *rq);
/** Where it counts, by its path and code; NULL: nowhere. */
uint64_t *http_counter(const struct http_request *rq);

/* park.c */
/** Answers a view now, or when it has changed. */
void http_view(struct http_request *rq, const struct http_view *view);
bool http_view_is_unordered(struct http_request *rq);
/** The index that the view of this request is to be told with now. */
uint64_t http_view_index(struct http_request *rq);
/** A list is done or given up: those who waited for it look again. */
void http_unblock(struct http *http);
/** -ENOMEM. */
int http_park_open(struct http *http);
void http_park_close(struct http *http);

/* param.c */
/** NULL when absent. The first of several. */
const char *http_param(const struct http_request *rq, const char *name);
/** Present without a value, or with one that does not say no. */
bool http_flag(const struct http_request *rq, const char *name);
/** 1 or 0 as it says, -1 when it is absent or neither. */
int http_bool(const struct http_request *rq, const char *name);
/** Go's duration in ms, `absent` without one. -1 after http_fail(). */
int64_t http_duration(struct http_request *rq, const char *name, int64_t absent);
/** 0 with the parameter's number (0 when absent); -1 after http_fail(). */
int http_number(struct http_request *rq, const char *name, uint64_t *out);
/** As http_number(), but a name without a number is refused. *given: it is there. */
int http_number_given(struct http_request *rq, const char *name, uint64_t *out, bool *given);
