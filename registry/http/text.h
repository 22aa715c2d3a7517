/*
 * text.h: the text of an answer, in one piece or in many, which is sent without a copy and may be sent to several.
 * Freed with its last reference.
 */
#pragma once

#include <stddef.h>

struct evbuffer;
struct iovec;
struct http_text;

/** Without a byte; one reference, the caller's. NULL: no memory. */
struct http_text *http_text_make(void);
/** Takes over `text`, from malloc, ended by a 0. NULL (`text` is freed): no memory. */
struct http_text *http_text_new(char *text);
/** One more reference. */
void http_text_hold(struct http_text *text);
/** NULL is allowed. */
void http_text_release(struct http_text *text);
size_t http_text_len(const struct http_text *text);
/** Bytes of memory that it takes. */
size_t http_text_size(const struct http_text *text);
/** Gives back what it has taken beyond its bytes; before it is appended anywhere. */
void http_text_trim(struct http_text *text);

/** Puts bytes behind what there is. -ENOMEM, also when they are not all there then. */
int http_text_put(struct http_text *text, const char *bytes, size_t len);
/** Puts all that `from` has behind it, which is empty then. -ENOMEM. */
int http_text_join(struct http_text *text, struct http_text *from);

/** Its pieces, at most `n`; returns how many. */
size_t http_text_pieces(const struct http_text *text, struct iovec *piece, size_t n);
/** The bytes from `at` on, as many as are in one piece; 0 at the end. */
size_t http_text_at(const struct http_text *text, size_t at, struct iovec *piece);
/** As http_text_append(), what is behind the first `skip` bytes. */
int http_text_append_from(struct http_text *text, size_t skip, struct evbuffer *to);
/** Appends it without a copy, which takes a reference until it has been sent. -ENOMEM. */
int http_text_append(struct http_text *text, struct evbuffer *to);
