/* What evhttp is given of a connection: the same wherever the bytes are split, and nothing more to be taken out of it.
 * The first two bytes say where it is split. */
#include <stdlib.h>
#include <string.h>

#include "registry/http/chunk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct told {
	char *text;
	size_t len;
	bool refused;
};

static void piece(struct http_chunk *chunk, const uint8_t *data, size_t size, struct told *told)
{
	char *bytes = malloc(size + !size);
	size_t at = 0, len;

	memcpy(bytes, data, size);
	for (; at < size; at += len) {
		enum http_chunk_run run = http_chunk_next(chunk, bytes + at, size - at, &len);

		if (!len || len > size - at)
			abort();
		told->refused |= run == HTTP_CHUNK_REFUSE || run == HTTP_CHUNK_REFUSE_LINE;
		if (run != HTTP_CHUNK_KEEP)
			continue;
		memcpy(told->text + told->len, bytes + at, len);
		told->len += len;
	}
	free(bytes);
}

static struct told tell(const uint8_t *data, size_t size, size_t first, size_t second)
{
	struct told told = {.text = malloc(size + 1)};
	struct http_chunk chunk = {0};

	first = first < size ? first : size;
	second = first + second < size ? second : size - first;
	piece(&chunk, data, first, &told);
	piece(&chunk, data + first, second, &told);
	piece(&chunk, data + first + second, size - first - second, &told);
	return told;
}

static bool same(const struct told *a, const struct told *b)
{
	return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct told whole, split, again;

	if (size < 2)
		return 0;
	whole = tell(data + 2, size - 2, size, 0);
	split = tell(data + 2, size - 2, data[0], data[1]);
	again = tell((const uint8_t *)whole.text, whole.len, data[1], data[0]);
	if (whole.refused != split.refused)
		abort();
	/* of a line of the head that is refused evhttp may have a part already */
	if (!whole.refused && (!same(&whole, &split) || again.refused || !same(&whole, &again)))
		abort();
	free(whole.text);
	free(split.text);
	free(again.text);
	return 0;
}
