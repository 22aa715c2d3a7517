/*
 * query.h: a query string in parts. Pure.
 */
#pragma once

#include "registry/http/server.h"

/** Decodes `text` (NULL: empty), at most 256 pairs; *out ends with a name of NULL. -ENOMEM also for more. */
int http_query_parse(const char *text, struct http_pair **out);
/** NULL is allowed. */
void http_query_free(struct http_pair *pairs);
