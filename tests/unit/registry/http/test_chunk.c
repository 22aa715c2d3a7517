/* What evhttp is given of a connection: the same wherever the bytes are split, and plain. */
#include <stdlib.h>
#include <string.h>

#include "registry/http/chunk.h"
#include "tests/unit/unit.h"

enum { ROOM = 256 * 1024 };

struct told {
	char text[ROOM];
	size_t len;
};

static void tell(struct told *told, const char *bytes, size_t n)
{
	assert_true(told->len + n <= ROOM);
	memcpy(told->text + told->len, bytes, n);
	told->len += n;
}

/* Each piece lies in memory of its own, so that a byte too far is noticed. */
static void piece(struct http_chunk *chunk, const char *bytes, size_t n, struct told *told)
{
	char *copy = malloc(n);
	size_t at = 0, len;

	memcpy(copy, bytes, n);
	for (; at < n; at += len) {
		enum http_chunk_run run = http_chunk_next(chunk, copy + at, n - at, &len);

		assert_true(len > 0 && len <= n - at);
		if (run == HTTP_CHUNK_KEEP)
			tell(told, copy + at, len);
		else if (run != HTTP_CHUNK_DROP)
			tell(told, "!", 1);
	}
	free(copy);
}

/* In pieces of `size`, but the first of `first`. */
static void told_of(const char *text, size_t n, size_t first, size_t size, struct told *told)
{
	struct http_chunk chunk = {0};
	size_t at = first < n ? first : n;

	told->len = 0;
	if (at)
		piece(&chunk, text, at, told);
	for (size_t len; at < n; at += len) {
		len = size < n - at ? size : n - at;
		piece(&chunk, text + at, len, told);
	}
}

#define PUT "PUT /v1/kv/a HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED PUT "Transfer-Encoding: chunked\r\n\r\n"

static const struct row {
	const char *name, *in, *out; /* NULL: as it is; "!" stands for a refusal */
} rows[] = {
	{"nothing around", CHUNKED "3\r\nabc\r\n0\r\n\r\n", NULL},
	{"an extension", CHUNKED "3;a=b\r\nabc\r\n0\r\n\r\n", CHUNKED "3\r\nabc\r\n0\r\n\r\n"},
	{"spaces", CHUNKED "3 \t; a = \"b\"\r\nabc\r\n0 \r\n\r\n", CHUNKED "3\r\nabc\r\n0\r\n\r\n"},
	{"a trailer", CHUNKED "0\r\nHost: b\r\nX:\r\n\r\n", CHUNKED "0\r\n\r\n"},
	{"data like a size", CHUNKED "5\r\n3;a\r\n\r\n0;b\r\n\r\n", CHUNKED "5\r\n3;a\r\n\r\n0\r\n\r\n"},
	{"the next request", CHUNKED "0;a\r\n\r\n" CHUNKED "0;b\r\n\r\n",
		CHUNKED "0\r\n\r\n" CHUNKED "0\r\n\r\n"},
	{"a body by its length", PUT "Content-Length: 5\r\n\r\n3;a\r\n" CHUNKED "0;b\r\n\r\n",
		PUT "Content-Length: 5\r\n\r\n3;a\r\n" CHUNKED "0\r\n\r\n"},
	{"no body", "GET / HTTP/1.1\r\n\r\n" CHUNKED "0;b\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n" CHUNKED "0\r\n\r\n"},
	{"lines that end in LF", "PUT / HTTP/1.1\nTransfer-Encoding:chunked\n\n0;a\r\n\r\n",
		"PUT / HTTP/1.1\nTransfer-Encoding:chunked\n\n0\r\n\r\n"},
	{"other spelling", PUT "TRANSFER-ENCODING:   CHUNKED \t\r\n\r\n0;a\r\n\r\n",
		PUT "TRANSFER-ENCODING:   CHUNKED \t\r\n\r\n0\r\n\r\n"},
	{"another name", PUT "X-Transfer-Encoding: chunked\r\n\r\n" CHUNKED "0;a\r\n\r\n",
		PUT "X-Transfer-Encoding: chunked\r\n\r\n" CHUNKED "0\r\n\r\n"},
	/* what evhttp and frame.c refuse is left to them */
	{"another coding first",
		PUT "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0;a\r\n\r\n", NULL},
	{"length and chunks", PUT "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0;a\r\n\r\n", NULL},
	{"chunks where no body is", "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0;a\r\n\r\n", NULL},
	{"a coding that goes on", PUT "Transfer-Encoding: chunked\r\n x\r\n\r\n0;a\r\n\r\n", NULL},
	{"a length that goes on", PUT "Content-Length: 1\r\n 2\r\n\r\n" CHUNKED "0;a\r\n\r\n", NULL},
	{"no length", PUT "Content-Length: 1x\r\n\r\n" CHUNKED "0;a\r\n\r\n", NULL},
	{"a blank line first", "\r\n" CHUNKED "0;a\r\n\r\n", NULL},
	/* what is refused here */
	{"no size", CHUNKED "\r\n", CHUNKED "!"},
	{"a size that is no number", CHUNKED "3g\r\n", CHUNKED "3!"},
	{"a size of 16 digits", CHUNKED "000000000000000a\r\n0123456789\r\n0\r\n\r\n", NULL},
	{"a size of 17 digits", CHUNKED "0000000000000000a\r\n", CHUNKED "0000000000000000!"},
	{"a size that ends in LF", CHUNKED "3\nabc", CHUNKED "3!"},
	{"a size that ends in CR", CHUNKED "3\rabc", CHUNKED "3\r!"},
	{"an extension that ends in LF", CHUNKED "3;a\nabc", CHUNKED "3!"},
	{"an extension with CR in it", CHUNKED "3;a\rb\r\nabc", CHUNKED "3\r!"},
	{"two sizes", CHUNKED "3 4\r\nabc", CHUNKED "3!"},
	{"more data than its size", CHUNKED "3\r\nabcd\r\n", CHUNKED "3\r\nabc!"},
	{"data that ends in LF", CHUNKED "3\r\nabc\n0\r\n\r\n", CHUNKED "3\r\nabc!"},
	{"a trailer without a colon", CHUNKED "0\r\nabc\r\n\r\n", CHUNKED "0\r\n!"},
	{"a trailer without a name", CHUNKED "0\r\n: x\r\n\r\n", CHUNKED "0\r\n!"},
	{"a trailer that goes on", CHUNKED "0\r\nX: x\r\n y\r\n\r\n", CHUNKED "0\r\n!"},
};

static void every_row_wherever_it_is_split(void **state)
{
	struct told *told = calloc(1, sizeof(*told));

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		const char *out = row->out ? row->out : row->in;
		size_t n = strlen(row->in);

		for (size_t first = 0; first <= n; first++) {
			told_of(row->in, n, first, n, told);
			if (told->len != strlen(out) || memcmp(told->text, out, told->len) != 0)
				fail_msg("%s, split at %zu: %.*s", row->name, first, (int)told->len,
					told->text);
		}
		told_of(row->in, n, 0, 1, told);
		assert_int_equal(told->len, strlen(out));
	}
	free(told);
}

/* A part of the head, `count` times `byte`, and an end: how many bytes are passed on of that. */
static void passes(const char *start, char byte, size_t count, const char *end, const char *expected)
{
	struct told *told = calloc(1, sizeof(*told));
	size_t n = strlen(start);
	char *text = malloc(n + count + strlen(end) + 1);

	strcpy(text, start);
	memset(text + n, byte, count);
	strcpy(text + n + count, end);
	told_of(text, n + count + strlen(end), 0, 1000, told);
	assert_int_equal(told->len, strlen(expected));
	assert_memory_equal(told->text, expected, told->len);
	free(text);
	free(told);
}

static void what_is_taken_out_has_a_limit(void **state)
{
	passes(CHUNKED "3;", 'e', HTTP_CHUNK_EXTRA - 1, "\r\nabc\r\n0\r\n\r\n",
		CHUNKED "3\r\nabc\r\n0\r\n\r\n");
	passes(CHUNKED "3;", 'e', HTTP_CHUNK_EXTRA, "\r\nabc\r\n0\r\n\r\n", CHUNKED "3!");
	passes(CHUNKED "0\r\nX:", 'e', HTTP_CHUNK_EXTRA - 4, "\r\n\r\n", CHUNKED "0\r\n\r\n");
	passes(CHUNKED "0\r\nX:", 'e', HTTP_CHUNK_EXTRA - 3, "\r\n\r\n", CHUNKED "0\r\n!");
}

static void a_head_that_cannot_be_followed_is_refused(void **state)
{
	static const char zero[] = PUT "Host: a\0Transfer-Encoding: chunked\r\n\r\n0;a\r\n\r\n";
	struct told *told = calloc(1, sizeof(*told));
	struct http_chunk chunk = {0};
	size_t len;

	passes(PUT "Transfer-Encoding:", ' ', 200, "chunked\r\n\r\n0;a\r\n\r\n", PUT "!");
	told_of(zero, sizeof(zero) - 1, 0, sizeof(zero), told);
	assert_int_equal(told->len, strlen(PUT) + 1);
	/* of a line that evhttp has the beginning of */
	piece(&chunk, PUT "Host: a", strlen(PUT "Host: a"), told);
	assert_int_equal(http_chunk_next(&chunk, "\0", 1, &len), HTTP_CHUNK_REFUSE_LINE);
	assert_int_equal(http_chunk_next(&chunk, "abc", 3, &len), HTTP_CHUNK_DROP);
	assert_int_equal(len, 3);
	free(told);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_wherever_it_is_split),
		cmocka_unit_test(what_is_taken_out_has_a_limit),
		cmocka_unit_test(a_head_that_cannot_be_followed_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
