#include "registry/http/chunk.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static enum http_chunk_run refuse(struct http_chunk *chunk)
{
	chunk->state = CHUNK_REFUSED;
	return HTTP_CHUNK_REFUSE;
}

/* The value of the header in the line, NULL when it has another name. */
static const char *value_of(const struct http_chunk *chunk, const char *name)
{
	size_t len = strlen(name);
	const char *value = chunk->line + len + 1;

	if (strncasecmp(chunk->line, name, len) != 0 || chunk->line[len] != ':')
		return NULL;
	return value + strspn(value, " ");
}

/* Without spaces and tabs at its end. */
static size_t trimmed(const char *value)
{
	size_t len = strlen(value);

	while (len && (value[len - 1] == ' ' || value[len - 1] == '\t'))
		len--;
	return len;
}

static void begin_request(struct http_chunk *chunk)
{
	*chunk = (struct http_chunk){0};
}

/* The blank line. */
static void end_head(struct http_chunk *chunk)
{
	if (chunk->chunked && chunk->has_length)
		chunk->state = CHUNK_LOST;
	else if (!chunk->takes_body && (chunk->chunked || chunk->left))
		chunk->state = CHUNK_LOST; /* evhttp reads no body of it, and nothing behind it */
	else if (chunk->chunked)
		chunk->state = CHUNK_SIZE;
	else if (chunk->left)
		chunk->state = CHUNK_BODY;
	else
		begin_request(chunk);
}

/* evhttp goes by the first of several. */
static void take_coding(struct http_chunk *chunk, const char *value)
{
	if (!chunk->has_coding)
		chunk->chunked = trimmed(value) == 7 && strncasecmp(value, "chunked", 7) == 0;
	chunk->has_coding = true;
}

static void take_length(struct http_chunk *chunk, const char *value)
{
	size_t len = trimmed(value);

	if (!len || len > 18 || strspn(value, "0123456789") < len)
		chunk->state = CHUNK_LOST;
	else if (!chunk->has_length)
		chunk->left = strtoull(value, NULL, 10);
	chunk->has_length = true;
}

static enum http_chunk_run take_header(struct http_chunk *chunk)
{
	const char *coding = value_of(chunk, "Transfer-Encoding"),
		   *length = value_of(chunk, "Content-Length");

	if ((coding || length) && chunk->line_len >= HTTP_CHUNK_LINE)
		return refuse(chunk);
	if ((chunk->line[0] == ' ' || chunk->line[0] == '\t') && chunk->folds) {
		chunk->state = CHUNK_LOST;
		return HTTP_CHUNK_KEEP;
	}
	if (chunk->line[0] != ' ' && chunk->line[0] != '\t')
		chunk->folds = coding || length;
	if (coding)
		take_coding(chunk, coding);
	if (length)
		take_length(chunk, length);
	return HTTP_CHUNK_KEEP;
}

/* A line of the head is whole. */
static enum http_chunk_run take_line(struct http_chunk *chunk)
{
	enum http_chunk_run run = HTTP_CHUNK_KEEP;
	size_t len = chunk->line_len < HTTP_CHUNK_LINE ? chunk->line_len : HTTP_CHUNK_LINE - 1;

	if (len && len == chunk->line_len && chunk->line[len - 1] == '\r')
		len--;
	chunk->line[len] = '\0';
	if (chunk->state == CHUNK_FIRST_LINE) {
		chunk->takes_body = strncmp(chunk->line, "PUT ", 4) == 0 ||
				    strncmp(chunk->line, "POST ", 5) == 0 ||
				    strncmp(chunk->line, "PATCH ", 6) == 0;
		chunk->state = len ? CHUNK_HEADER : CHUNK_LOST;
	} else if (!len) {
		end_head(chunk);
	} else {
		run = take_header(chunk);
	}
	chunk->line_len = 0;
	return run;
}

static enum http_chunk_run head(struct http_chunk *chunk, const char *bytes, size_t n, size_t *len)
{
	const char *end = memchr(bytes, '\n', n);
	size_t part = end ? (size_t)(end - bytes) : n, room;
	bool begun = chunk->line_len;
	enum http_chunk_run run = HTTP_CHUNK_KEEP;

	*len = end ? part + 1 : part;
	if (memchr(bytes, '\0', part)) { /* evhttp's line would end there */
		chunk->state = CHUNK_REFUSED;
		return begun ? HTTP_CHUNK_REFUSE_LINE : HTTP_CHUNK_REFUSE;
	}
	room = chunk->line_len < HTTP_CHUNK_LINE - 1 ? HTTP_CHUNK_LINE - 1 - chunk->line_len : 0;
	memcpy(chunk->line + (HTTP_CHUNK_LINE - 1 - room), bytes, part < room ? part : room);
	chunk->line_len += (uint32_t)(part < HTTP_CHUNK_EXTRA ? part : HTTP_CHUNK_EXTRA);
	if (chunk->line_len > HTTP_CHUNK_EXTRA)
		chunk->line_len = HTTP_CHUNK_EXTRA;
	if (end)
		run = take_line(chunk);
	return run == HTTP_CHUNK_REFUSE && begun ? HTTP_CHUNK_REFUSE_LINE : run;
}

/* Bytes that are passed on as they are. */
static enum http_chunk_run body(struct http_chunk *chunk, size_t n, size_t *len)
{
	*len = n < chunk->left ? n : (size_t)chunk->left;
	chunk->left -= *len;
	if (chunk->left)
		return HTTP_CHUNK_KEEP;
	if (chunk->state == CHUNK_DATA)
		chunk->state = CHUNK_DATA_CR;
	else
		begin_request(chunk);
	return HTTP_CHUNK_KEEP;
}

static int digit_of(char byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f')
		return (byte | 0x20) - 'a' + 10;
	return -1;
}

/* One more byte is not passed on. */
static enum http_chunk_run drop(struct http_chunk *chunk)
{
	return ++chunk->extra > HTTP_CHUNK_EXTRA ? refuse(chunk) : HTTP_CHUNK_DROP;
}

static enum http_chunk_run size(struct http_chunk *chunk, char byte)
{
	int digit = digit_of(byte);

	if (digit >= 0) {
		if (chunk->digits == HTTP_CHUNK_DIGITS)
			return refuse(chunk);
		chunk->left = chunk->digits++ ? chunk->left << 4 | (unsigned)digit : (unsigned)digit;
		return HTTP_CHUNK_KEEP;
	}
	if (!chunk->digits)
		return refuse(chunk);
	if (byte == '\r') {
		chunk->state = CHUNK_SIZE_LF;
		return HTTP_CHUNK_KEEP;
	}
	if (byte != ';' && byte != ' ' && byte != '\t')
		return refuse(chunk);
	chunk->line_len = byte == ';';
	chunk->state = CHUNK_EXTENSION;
	return drop(chunk);
}

static bool is_control(char byte)
{
	return ((unsigned char)byte < ' ' && byte != '\t') || byte == 0x7f;
}

/* Behind the size: spaces, and from the first ; on whatever it says. */
static enum http_chunk_run extension(struct http_chunk *chunk, char byte)
{
	if (byte == '\r') {
		chunk->state = CHUNK_SIZE_LF;
		return HTTP_CHUNK_KEEP;
	}
	if (is_control(byte) || (!chunk->line_len && byte != ' ' && byte != '\t' && byte != ';'))
		return refuse(chunk);
	chunk->line_len |= byte == ';';
	return drop(chunk);
}

static enum http_chunk_run size_end(struct http_chunk *chunk)
{
	chunk->digits = 0;
	chunk->state = chunk->left ? CHUNK_DATA : CHUNK_TRAILER;
	return HTTP_CHUNK_KEEP;
}

static enum http_chunk_run data_end(struct http_chunk *chunk)
{
	chunk->state = CHUNK_SIZE;
	return HTTP_CHUNK_KEEP;
}

/* The line of a trailer: a name, a colon, and whatever it says. */
static enum http_chunk_run trailer(struct http_chunk *chunk, char byte)
{
	if (byte == '\r' && chunk->state == CHUNK_TRAILER) {
		chunk->state = CHUNK_END_LF;
		return HTTP_CHUNK_KEEP;
	}
	if (chunk->state == CHUNK_TRAILER_VALUE) {
		if (byte == '\r')
			chunk->state = CHUNK_TRAILER_LF;
		else if (is_control(byte))
			return refuse(chunk);
		return drop(chunk);
	}
	if (is_control(byte) || byte == ' ' || byte == '\t' || (byte == ':' && chunk->state == CHUNK_TRAILER))
		return refuse(chunk);
	chunk->state = byte == ':' ? CHUNK_TRAILER_VALUE : CHUNK_TRAILER_NAME;
	return drop(chunk);
}

static enum http_chunk_run trailer_end(struct http_chunk *chunk)
{
	chunk->state = CHUNK_TRAILER;
	return drop(chunk);
}

static enum http_chunk_run request_end(struct http_chunk *chunk)
{
	begin_request(chunk);
	return HTTP_CHUNK_KEEP;
}

/* One byte of what is around the data. */
static enum http_chunk_run around(struct http_chunk *chunk, char byte)
{
	switch (chunk->state) {
	case CHUNK_SIZE:
		return size(chunk, byte);
	case CHUNK_EXTENSION:
		return extension(chunk, byte);
	case CHUNK_SIZE_LF:
		return byte == '\n' ? size_end(chunk) : refuse(chunk);
	case CHUNK_DATA_CR:
		chunk->state = CHUNK_DATA_LF;
		return byte == '\r' ? HTTP_CHUNK_KEEP : refuse(chunk);
	case CHUNK_DATA_LF:
		return byte == '\n' ? data_end(chunk) : refuse(chunk);
	case CHUNK_TRAILER_LF:
		return byte == '\n' ? trailer_end(chunk) : refuse(chunk);
	case CHUNK_END_LF:
		return byte == '\n' ? request_end(chunk) : refuse(chunk);
	default:
		return trailer(chunk, byte);
	}
}

enum http_chunk_run http_chunk_next(struct http_chunk *chunk, const char *bytes, size_t n, size_t *len)
{
	*len = n;
	switch (chunk->state) {
	case CHUNK_LOST:
		return HTTP_CHUNK_KEEP;
	case CHUNK_REFUSED:
		return HTTP_CHUNK_DROP;
	case CHUNK_FIRST_LINE:
	case CHUNK_HEADER:
		return head(chunk, bytes, n, len);
	case CHUNK_BODY:
	case CHUNK_DATA:
		return body(chunk, n, len);
	default:
		*len = 1;
		return around(chunk, *bytes);
	}
}
