/*
 * http_part.h: parts of answers, kept while those who wake together are answered. Of a service's many watchers
 * each may choose by a filter, tags or health of its own, so that no two are told the same; what is told of one
 * instance is the same for all, and made once.
 */
#pragma once

#include <jansson.h>

struct http_parts;
struct http_request;

/** What others who woke were told of `of` at this generation of the registry: a new reference, or NULL. It must
 * not be changed. `of` is told of in one way only. */
json_t *http_part_find(const struct http_request *rq, const void *of);
/** Keeps it for them, if `rq` woke with others; may do nothing. */
void http_part_put(const struct http_request *rq, const void *of, json_t *part);
/** An array of parts as compact JSON, for free(); NULL: not all of it is kept, or no memory. */
char *http_parts_join(const struct http_parts *parts, const json_t *array);
/** Forgets all; *parts becomes NULL. */
void http_parts_clear(struct http_parts **parts);
