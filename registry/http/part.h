/*
 * part.h: parts of answers, kept while those who wake together are answered. Of a service's many watchers
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
/** The part as compact JSON; NULL: it is no part. */
const char *http_part_text(const struct http_request *rq, const json_t *part, size_t *len);
/** Forgets all; *parts becomes NULL. */
void http_parts_clear(struct http_parts **parts);
