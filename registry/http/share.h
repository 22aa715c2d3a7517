/*
 * share.h: answers that several askers get. Those who wake together and asked for the same
 * are told it from one text in memory, however many they are.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct http_request;
struct http_text;

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

/** Have both asked for the same? */
bool http_share_same(const struct http_request *a, const struct http_request *b);
