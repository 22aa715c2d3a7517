/*
 * fetch.h: what another program's API answers, whole or line by line while it goes on: to GET on a Unix socket, or to
 * POST of JSON or GET at a URL. For its clients inside of the daemon. One thread; callbacks come from the event loop, and may begin and cancel anything.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct event_base;
struct fetch;
struct fetcher;

struct fetch_reply {
	long code;	  /* of HTTP, 0: there was no answer */
	const char *body; /* ended by a 0; of lines: nothing */
	size_t len;
	const char *why;	/* why the answer is not there or not whole, NULL: it is */
	bool too_long;		/* that is why */
	unsigned retry_after_s; /* that the server asks for, 0: it does not */
};

/** `path` of the socket is copied. NULL: no memory. */
struct fetcher *fetch_open(struct event_base *base, const char *path);

/* What is shown to a server of HTTPS, and asked of it. NULL: nothing, and who the system trusts. Copied. */
struct fetch_tls {
	const char *ca, *cert, *key;		 /* files, read again for each connection */
	const char *ca_pem, *cert_pem, *key_pem; /* what would be in them, instead */
};
/** For fetch_ask(). NULL: no memory. */
struct fetcher *fetch_open_web(struct event_base *base, const struct fetch_tls *tls);
/** Cancels what is under way. NULL is allowed. */
void fetch_close(struct fetcher *fetcher);

/**
 * Asks for `target` ("/..."). A body of more than `max` bytes or an answer that takes more than `timeout_ms` is none.
 * done() comes once, unless it is cancelled, and the fetch is gone then. NULL: no memory.
 */
struct fetch *fetch_get(struct fetcher *fetcher, const char *target, size_t max, unsigned timeout_ms,
	void (*done)(void *arg, const struct fetch_reply *reply), void *arg);
/**
 * The same, for an answer that has no end: each of its lines, ended by a 0, as it comes. A line longer than `max` ends
 * it. begun(): the other side has answered 200, and says from now on what happens.
 */
struct fetch *fetch_lines(struct fetcher *fetcher, const char *target, size_t max, void (*begun)(void *arg),
	void (*line)(void *arg, const char *text, size_t len),
	void (*done)(void *arg, const struct fetch_reply *reply), void *arg);

/* What is asked of a URL; all of it is copied. */
struct fetch_ask {
	const char *url, *body; /* body NULL: GET */
	const char *token;	/* of the header Authorization, NULL: none */
	size_t max;		/* bytes of the answer, or of one of its lines */
	unsigned timeout_ms;	/* of the whole answer; lines have none */
};
/** As fetch_get(). */
struct fetch *fetch_ask(struct fetcher *fetcher, const struct fetch_ask *ask,
	void (*done)(void *arg, const struct fetch_reply *reply), void *arg);
/** As fetch_lines(). */
struct fetch *fetch_ask_lines(struct fetcher *fetcher, const struct fetch_ask *ask, void (*begun)(void *arg),
	void (*line)(void *arg, const char *text, size_t len),
	void (*done)(void *arg, const struct fetch_reply *reply), void *arg);

/** Nothing more is heard of it. NULL is allowed. */
void fetch_cancel(struct fetch *fetch);
