/*
 * gzip.h: the text of an answer, compressed: who accepts it, and the compressing, a step at a time.
 */
#pragma once

#include <stdbool.h>

struct evkeyvalq;
struct http_gzip;
struct http_text;

enum {
	HTTP_GZIP_LEAST = 1024, /* bytes of a text that is worth it */
	HTTP_GZIP_STEP = 65536, /* bytes that one step takes in: some 0.3 ms */
};

/** Do these headers of a request accept gzip, and like it as much as the text as it is (RFC 9110, 12.5.3)? */
bool http_gzip_accepted(const struct evkeyvalq *headers);

/** Begins; the text is referred to until the end. NULL: no memory. */
struct http_gzip *http_gzip_begin(struct http_text *text);
/** 1: it is at the end; 0: there is more to do; -ENOMEM. */
int http_gzip_step(struct http_gzip *gzip);
/** What it has made, the caller's, once at the end; frees the rest. */
struct http_text *http_gzip_end(struct http_gzip *gzip);
/** Gives it up. NULL is allowed. */
void http_gzip_free(struct http_gzip *gzip);
