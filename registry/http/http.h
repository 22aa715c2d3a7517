/*
 * http.h: the registry's HTTP server. Serves the routes of the API and the pages that
 * it is handed when it is opened. Runs on control's event loop; control thread only.
 *
 * Nobody can hold the daemon: headers, bodies, connections and parked queries are bounded, and a client that
 * neither finishes its request nor takes its answer in time is cut off.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "registry/http/tls.h"
#include "registry/registry.h"

struct evbuffer;
struct event_base;
struct http;
struct http_request;
struct http_route;
struct journal;

enum {
	HTTP_HEADERS_MAX = 16 * 1024,
	HTTP_BODY_MAX = 1 << 20,
	HTTP_CONNS = 16384,
	HTTP_PARKED = 8192,
	HTTP_SLOW_S = 60,
	HTTP_CACHE_MB = 32, /* of answers that are kept */
	HTTP_HOSTS = 64,    /* names that may be configured */
};

/* What GET `path` is answered with is what fn writes to `out`: metrics, pages. The token guards it as all else. */
struct http_page {
	const char *path, *content_type;
	void (*fn)(void *ctx, struct evbuffer *out);
	void *ctx;
};

/* What is served, and for whom (registry/http/server.h). */
struct http_api {
	const struct http_route *routes; /* ends with a row without a path; NULL: none */
	const struct http_page *pages;	 /* the same; they outlive the server */
	void *ctx;			 /* of those who answer, in http->api.ctx */
	/** Adds headers to an answer that has its code, index and hash; of pages and errors too. NULL: none. */
	void (*headers)(struct http_request *rq);
	/** May this request be answered? False after http_fail(). NULL: each. */
	bool (*accepts)(struct http_request *rq);
};

struct http_config {
	struct event_base *base;
	struct registry *reg;
	struct http_api api;
	struct journal *journal; /* that `?durable` waits for, outlives the server; NULL: none */
	const char *listen;	 /* "127.0.0.1:8500", "[::1]:8500"; port 0: any free one */
	const char *token;	 /* that requests must carry, NULL: none is needed */
	struct http_tls_files tls;
	bool insecure;	     /* may listen beyond loopback without knowing its clients */
	bool changes_by_get; /* older clients deregister and pass checks so */
	const char *const
		*hosts; /* names that requests may be for, besides those of the loopback; NULL: none */
	size_t nhosts;
	/* 0: as above */
	unsigned conns;	 /* connections; more wait in the kernel until one closes */
	unsigned parked; /* queries that wait for a change; more are answered at once */
	unsigned slow_s; /* for a request to come whole, and for an answer to be taken */
};

/**
 * Listens. The strings are copied. Errors, with a line in `err`: -EINVAL (the address; neither a token nor
 * certificates of clients beyond loopback; a file of TLS), -EADDRINUSE and others of bind.
 */
int http_open(const struct http_config *config, struct http **out, struct reg_err *err);
/**
 * Would http_open() refuse `config` for its address, for want of a token or for a file of TLS? Listens nowhere; an
 * address that is in use is not refused. -errno with a line in `err`.
 */
int http_check(const struct http_config *config, struct reg_err *err);
/** Closes every connection. Before the API and the journal are closed. NULL is allowed. */
void http_close(struct http *http);

/** Reads the files of TLS anew, see http_tls_reload(); without TLS it does nothing. */
int http_reload(struct http *http, struct reg_err *err);

/** The port that it listens on. */
uint16_t http_port(const struct http *http);

enum { HTTP_GROUPS = 9, HTTP_STATUS_FIRST = 2, HTTP_STATUSES = 4 };

/* Of paths: the first part below /v1, "metrics", and for all else "other". */
extern const char *const http_groups[HTTP_GROUPS];

struct http_info {
	unsigned connections, parked; /* queries that wait for a change */
	unsigned lists;		      /* long answers under way, and those that wait for a place */
	unsigned streams;	      /* answers without an end */
	uint64_t streams_cut,
		streams_refused; /* for who did not read, and for there were too many; since the start */
	uint64_t slices;	 /* in which lists were made, since the start */
	unsigned kept;		 /* answers */
	size_t kept_bytes;
	uint64_t hits,
		misses; /* of answers that may be kept: since the start, those that were, and that were made */
	/* answered since the start: by group, and by status from 2xx on */
	const uint64_t (*answers)[HTTP_STATUSES];
};
struct http_info http_info(const struct http *http);
