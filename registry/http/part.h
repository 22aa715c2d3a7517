/*
 * part.h: parts of answers. Of one instance each list that shows it says the same, so that is rendered once and kept
 * until it is different (its revision); after a change of one in a thousand the next answer renders that one. For who
 * chooses by a filter it is kept as JSON, too, while those who woke together are answered: each of them may have a filter
 * of its own.
 *
 * Bounded in bytes; those that nobody has used for longest go first.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct http;
struct http_parts;
struct http_request;

/* What is shown, in which way, and the revision of it. */
struct http_subject {
	const void *of;	 /* an address; who has it later has a greater revision */
	const void *way; /* an address that stands for the way */
	uint64_t revision;
};

/** As compact JSON; NULL: it is not kept. The caller's until the next put. */
const char *http_part_text(struct http *http, const struct http_subject *subject, size_t *len);
/** As JSON: a new reference, or NULL. It must not be changed. */
json_t *http_part_json(struct http *http, const struct http_subject *subject);
/** Keeps it; as JSON, too, if `rq` woke with others. May do nothing. */
void http_part_put(const struct http_request *rq, const struct http_subject *subject, json_t *json);
/** The part that this very JSON is, as text; NULL: it is none. */
const char *http_part_text_of(struct http *http, const json_t *json, size_t *len);

/** All who woke have been answered: nothing is kept as JSON any more. */
void http_parts_settle(struct http *http);
/** -ENOMEM. */
int http_parts_open(struct http *http);
void http_parts_close(struct http *http);
