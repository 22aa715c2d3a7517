/*
 * http.h: the registry's HTTP server. Serves Consul's API under /v1, /healthz, and the pages that its owner
 * adds. Runs on control's event loop; control thread only.
 *
 * Nobody can hold the daemon: headers, bodies, connections and parked queries are bounded, and a client that
 * neither finishes its request nor takes its answer within HTTP_SLOW_S is cut off.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "registry/registry.h"

struct evbuffer;
struct event_base;
struct http;

enum {
	HTTP_HEADERS_MAX = 16 * 1024,
	HTTP_BODY_MAX = 1 << 20,
	HTTP_CONNS = 16384, /* connections; more wait in the kernel until one closes */
	HTTP_PARKED = 8192, /* queries that wait for a change; more are answered at once */
	HTTP_SLOW_S = 60,
};

struct http_config {
	struct event_base *base;
	struct registry *reg;
	const char *listen;	/* "127.0.0.1:8500", "[::1]:8500"; port 0: any free one */
	const char *token;	/* that requests must carry, NULL: none is needed */
	bool insecure;		/* may listen beyond loopback without a token */
	bool changes_by_get;	/* older clients deregister and pass checks so */
	const char *datacenter; /* as clients are told it: "dc1" */
	const char *store;	/* file in which registrations survive a restart, NULL: they do not */
};

/**
 * Brings back what the store holds, then listens. The strings are copied. Errors, with a line in `err`:
 * -EINVAL (the address; no token beyond loopback), -EADDRINUSE and others of bind, of the store's file.
 */
int http_open(const struct http_config *config, struct http **out, struct reg_err *err);
/** Closes every connection, writes what is due to the store. Before registry_free(). NULL is allowed. */
void http_close(struct http *http);

/** The port that it listens on. */
uint16_t http_port(const struct http *http);

struct http_info {
	unsigned connections, parked; /* queries that wait for a change */
};
struct http_info http_info(const struct http *http);

/**
 * Serves GET `path` with what fn writes to `out`: metrics, pages. The token guards it as all else. -ENOMEM.
 */
int http_page(struct http *http, const char *path, const char *content_type,
	void (*fn)(void *ctx, struct evbuffer *out), void *ctx);
