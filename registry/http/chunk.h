/*
 * chunk.h: bodies in chunks, made plain before evhttp reads them. RFC 9112, section 7.1 lets a chunk have extensions and a
 * body have trailers. evhttp refuses the first, and takes the second for headers of the request. It also reads on where a
 * chunk is not ended by CRLF, and keeps the line of a chunk's size however long it is. So what comes on a connection is gone
 * through by the rules of the RFC: extensions and trailers are taken out, and what is not by the rules is ended where
 * evhttp refuses it.
 *
 * It follows where requests begin and end as evhttp does. Where evhttp could see that another way, the rest of the
 * connection is left as it is: frame.c refuses such a request.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	HTTP_CHUNK_LINE = 64,	      /* bytes of a header that are looked at */
	HTTP_CHUNK_DIGITS = 16,	      /* of a chunk's size */
	HTTP_CHUNK_EXTRA = 16 * 1024, /* bytes of a request's extensions and trailers */
};

/* Where a connection is. {0}: before its first request. */
struct http_chunk {
	enum {
		CHUNK_FIRST_LINE,
		CHUNK_HEADER,
		CHUNK_BODY, /* `left` bytes, by its length */
		CHUNK_SIZE,
		CHUNK_EXTENSION,
		CHUNK_SIZE_LF,
		CHUNK_DATA, /* `left` bytes */
		CHUNK_DATA_CR,
		CHUNK_DATA_LF,
		CHUNK_TRAILER, /* at the beginning of a line */
		CHUNK_TRAILER_NAME,
		CHUNK_TRAILER_VALUE,
		CHUNK_TRAILER_LF,
		CHUNK_END_LF,
		CHUNK_LOST, /* evhttp may see it another way */
		CHUNK_REFUSED,
	} state;
	bool takes_body, chunked, has_coding, has_length, folds;
	uint8_t digits;
	uint32_t extra; /* bytes taken out of this request */
	uint64_t left;
	uint32_t line_len; /* of the line so far, may be more than are kept */
	char line[HTTP_CHUNK_LINE];
};

enum http_chunk_run {
	HTTP_CHUNK_KEEP,
	HTTP_CHUNK_DROP,
	HTTP_CHUNK_REFUSE,	/* evhttp is to be told nonsense instead; what follows is dropped */
	HTTP_CHUNK_REFUSE_LINE, /* the same after a line's end: of this line it was told a part */
};

/* No first line, header, size of a chunk or trailer: what evhttp refuses, wherever it is in these. */
#define HTTP_CHUNK_NONSENSE "x\r\n"

/** What is to be done with the next `*len` of the `n` bytes (n > 0) that have come; 0 < *len <= n. Any thread. */
enum http_chunk_run http_chunk_next(struct http_chunk *chunk, const char *bytes, size_t n, size_t *len);
