/*
 * http_share.h: texts of answers that several askers get. Those who wake together and asked for the same
 * are told it from one text in memory, however many they are.
 */
#pragma once

#include <stddef.h>

struct evbuffer;
struct http_request;

/* Freed with its last reference. */
struct http_text;

/** Takes over `text`, from malloc, ended by a 0. One reference, the caller's. NULL (`text` is freed): no memory. */
struct http_text *http_text_new(char *text);
/** NULL is allowed. */
void http_text_release(struct http_text *text);
const char *http_text_get(const struct http_text *text);
/** Appends it without a copy, which takes a reference until it has been sent. -ENOMEM. */
int http_text_append(struct http_text *text, struct evbuffer *to);

/* The answers of one generation of the registry, by question. */
struct http_share;

/**
 * The text that the same question was answered with, at the same generation and with the same rq->index; NULL:
 * none. The share's reference. The question is the path with the query, without what only says when to answer, and to whom.
 */
struct http_text *http_share_find(const struct http_share *share, const struct http_request *rq);
/** Remembers it, with a reference of its own; without memory it does not. *share may be NULL. */
void http_share_put(struct http_share **share, const struct http_request *rq, struct http_text *text);
/** Forgets all; *share becomes NULL. */
void http_share_clear(struct http_share **share);
