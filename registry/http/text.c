#include "registry/http/text.h"

#include <errno.h>
#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

enum { PIECE = 65536 };

struct piece {
	char *bytes;
	size_t len, room;
};

struct http_text {
	unsigned refs;
	size_t len, npiece, room;
	struct piece *piece;
};

struct http_text *http_text_make(void)
{
	struct http_text *text = calloc(1, sizeof(*text));

	if (text)
		text->refs = 1;
	return text;
}

void http_text_hold(struct http_text *text)
{
	text->refs++;
}

static void clear(struct http_text *text)
{
	for (size_t i = 0; i < text->npiece; i++)
		free(text->piece[i].bytes);
	free(text->piece);
}

void http_text_release(struct http_text *text)
{
	if (!text || --text->refs > 0)
		return;
	clear(text);
	free(text);
}

size_t http_text_len(const struct http_text *text)
{
	return text->len;
}

size_t http_text_size(const struct http_text *text)
{
	size_t size = sizeof(*text) + text->room * sizeof(*text->piece);

	for (size_t i = 0; i < text->npiece; i++)
		size += text->piece[i].room;
	return size;
}

void http_text_trim(struct http_text *text)
{
	for (size_t i = 0; i < text->npiece; i++) {
		struct piece *piece = &text->piece[i];
		char *less = piece->room > piece->len ? realloc(piece->bytes, piece->len + 1) : NULL;

		if (!less)
			continue;
		piece->bytes = less;
		piece->room = piece->len;
	}
}

/* Room for `more` pieces beside those that there are. */
static int grow(struct http_text *text, size_t more)
{
	size_t room = text->room ? text->room : 1;
	struct piece *grown;

	while (room < text->npiece + more)
		room *= 2;
	if (room == text->room)
		return 0;
	grown = reallocarray(text->piece, room, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	text->piece = grown;
	text->room = room;
	return 0;
}

static int add_piece(struct http_text *text, char *bytes, size_t len, size_t room)
{
	if (grow(text, 1) < 0)
		return -ENOMEM;
	text->piece[text->npiece++] = (struct piece){bytes, len, room};
	text->len += len;
	return 0;
}

struct http_text *http_text_new(char *bytes)
{
	struct http_text *text = http_text_make();
	size_t len = strlen(bytes);

	if (text && add_piece(text, bytes, len, len) == 0)
		return text;
	http_text_release(text);
	free(bytes);
	return NULL;
}

int http_text_put(struct http_text *text, const char *bytes, size_t len)
{
	struct piece *last = text->npiece ? &text->piece[text->npiece - 1] : NULL;

	while (len > 0) {
		size_t room = last ? last->room - last->len : 0, part = len < room ? len : room;
		char *more;

		if (part) {
			memcpy(last->bytes + last->len, bytes, part);
			last->len += part;
			text->len += part;
			bytes += part;
			len -= part;
			continue;
		}
		more = malloc(PIECE);
		if (!more || add_piece(text, more, 0, PIECE) < 0) {
			free(more);
			return -ENOMEM;
		}
		last = &text->piece[text->npiece - 1];
	}
	return 0;
}

int http_text_join(struct http_text *text, struct http_text *from)
{
	if (grow(text, from->npiece) < 0)
		return -ENOMEM;
	if (from->npiece)
		memcpy(text->piece + text->npiece, from->piece, from->npiece * sizeof(*from->piece));
	text->npiece += from->npiece;
	text->len += from->len;
	from->npiece = from->len = 0;
	return 0;
}

static void on_sent(const void *data, size_t len, void *arg)
{
	http_text_release(arg);
}

size_t http_text_pieces(const struct http_text *text, struct iovec *piece, size_t n)
{
	size_t i;

	for (i = 0; i < text->npiece && i < n; i++)
		piece[i] = (struct iovec){text->piece[i].bytes, text->piece[i].len};
	return i;
}

size_t http_text_at(const struct http_text *text, size_t at, struct iovec *piece)
{
	for (size_t i = 0; i < text->npiece; i++) {
		const struct piece *one = &text->piece[i];

		if (at < one->len) {
			*piece = (struct iovec){one->bytes + at, one->len - at};
			return one->len - at;
		}
		at -= one->len;
	}
	*piece = (struct iovec){0};
	return 0;
}

int http_text_append_from(struct http_text *text, size_t skip, struct evbuffer *to)
{
	for (size_t i = 0; i < text->npiece; i++) {
		const struct piece *piece = &text->piece[i];
		size_t past = skip < piece->len ? skip : piece->len;

		skip -= past;
		if (past == piece->len)
			continue;
		if (evbuffer_add_reference(to, piece->bytes + past, piece->len - past, on_sent, text) < 0)
			return -ENOMEM;
		text->refs++;
	}
	return 0;
}

int http_text_append(struct http_text *text, struct evbuffer *to)
{
	return http_text_append_from(text, 0, to);
}
