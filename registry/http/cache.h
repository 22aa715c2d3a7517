/*
 * cache.h: answers that are kept, for whoever asks for the same until what they show is different.
 *
 * An answer is kept with the revision of what it was made of (http_view.revision) and is given to nobody once that is
 * another one. What differs from one asker to the next (the index, headers) is not part of it. It is bounded in
 * bytes and in number; those that were asked for least go first, so that a client that asks for a million things
 * displaces its own.
 *
 * Those who wait for one answer that is being made (park.c) get it even where it is out of date when it is done, as
 * long as its making began after they had asked: such an answer is kept in passing, until all of them have it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct http;
struct http_request;
struct http_text;

/** -ENOMEM. */
int http_cache_open(struct http *http);
void http_cache_close(struct http *http);

/** The revision of what the view of this request shows now. */
uint64_t http_cache_revision(struct http_request *rq);

/**
 * What may be told to `rq`, which says in rq->index what index it is told with and in rq->gzipped whether it is compressed;
 * the cache's reference, until the next put. NULL: it is to be made.
 */
struct http_text *http_cache_find(struct http_request *rq);
/**
 * The answer to `rq`, its making begun at `revision` and with rq->index. `wanted`: others wait for it. Keeps a reference
 * of its own; without memory it does not. What `rq` is to be told: the text, or rq->gzipped, as long as the former lasts.
 */
struct http_text *http_cache_put(
	struct http_request *rq, struct http_text *text, uint64_t revision, bool wanted);
/** All who waited have been answered. */
void http_cache_settle(struct http *http);

/** A text is made instead, for the first of those who may be told it. */
void http_cache_missed(const struct http_request *rq);
/** The figures of it. */
struct http_info;
void http_cache_info(const struct http *http, struct http_info *info);

/** Do both ask for the same? */
bool http_cache_same(struct http_request *a, struct http_request *b);
