/*
 * conn.h: a client's connection, beside what evhttp knows of it.
 *
 * evhttp tells nobody when a connection closes, so each connection's bufferevent is held by one reference
 * more: one without callbacks has been given up by evhttp. The sweep, each second and when the bound is
 * reached, lets go of those. Their sockets close with the last reference, never before: a descriptor that is
 * used anew while the event loop still knows the old one would hang.
 */
#pragma once

#include <event2/bufferevent.h>
#include <stdbool.h>
#include <stddef.h>

#include "registry/http/chunk.h"
#include "registry/http/server.h"

enum {
	HTTP_HEAD_MAX = 1024, /* bytes of a request that is recognised as one that came before */
	HTTP_READ_MAX = HTTP_HEADERS_MAX +
			2 * HTTP_BODY_MAX, /* bytes not yet taken by evhttp, which takes a chunk whole */
	HTTP_WRITE_MAX = 512 * 1024,	   /* bytes given to the kernel at once: some 50 us */
};

struct http_conn {
	struct http *http;
	struct bufferevent *bev; /* key */
	unsigned since;		 /* sweep at which it last began or ended a request */
	bool busy;		 /* its request is being answered, maybe parked */
	struct http_conn *next;	 /* of those to be let go of */
	UT_hash_handle hh;

	/* for input.c: of what evhttp has been given */
	struct http_chunk chunk;
	bool cutting;

	/* for repeat.c */
	bool at_start; /* evhttp has every byte before the next that comes, and waits for a request to begin */
	char *head;    /* of the request under way, if that came alone and in one piece; NULL: it did not */
	size_t head_len;
	bufferevent_data_cb read, write; /* evhttp's, while the rest of an answer is sent in its place */
	bufferevent_event_cb event;
	void *arg;
};

/** evhttp asks for the bufferevent of a connection that it has accepted. NULL: it makes its own. */
struct bufferevent *http_conn_accept(struct event_base *base, void *http);
/** Lets go of what is closed; hangs up on who has taken too long. */
void http_conn_sweep(struct http *http);
/** After evhttp was freed. */
void http_conns_close(struct http *http);

/* input.c */
/** Goes through the last `n` bytes that it has received, and takes out what evhttp is not to see. */
void http_input_cut(struct http_conn *conn, size_t n);

/** A request of this connection begins; NULL: it is not known. */
struct http_conn *http_conn_begin(struct http *http, struct evhttp_request *raw);
/** And has been answered. */
void http_conn_end(struct http_conn *conn);
