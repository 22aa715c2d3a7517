/*
 * put.c: the text of a list, an item at a time.
 */
#include <stdlib.h>
#include <string.h>

#include "registry/http/jsontext.h"
#include "registry/http/part.h"
#include "registry/http/work.h"

static bool is_pretty(const struct http_work *work)
{
	return http_flag(work->rq, "pretty");
}

/* What is put after it is not put: the list has failed. */
static void no_memory(struct http_work *work)
{
	http_work_fail(work, 500, "out of memory");
}

static void put_text(struct http_work *work, struct http_text *text, const char *bytes, size_t len)
{
	if (!work->fail_code && http_text_put(text, bytes, len) < 0)
		no_memory(work);
}

static void put_string(struct http_work *work, struct http_text *text, const char *string)
{
	put_text(work, text, string, strlen(string));
}

/* Lines behind the first begin at `depth`. */
static void put_lines(
	struct http_work *work, struct http_text *text, const char *bytes, size_t len, unsigned depth)
{
	const char *end = bytes + len, *line;

	while ((line = memchr(bytes, '\n', (size_t)(end - bytes)))) {
		line++;
		put_text(work, text, bytes, (size_t)(line - bytes));
		for (unsigned i = 0; i < depth; i++)
			put_string(work, text, "    ");
		bytes = line;
	}
	put_text(work, text, bytes, (size_t)(end - bytes));
}

static void put_json(struct http_work *work, struct http_text *text, const json_t *json, unsigned depth)
{
	struct http *http = work->rq->http;
	bool pretty = is_pretty(work);
	size_t flags = JSON_ENCODE_ANY | (pretty ? JSON_INDENT(4) : JSON_COMPACT), len;
	const char *known = pretty ? NULL : http_part_text_of(http, json, &len);

	if (known) {
		put_text(work, text, known, len);
		return;
	}
	len = json_dumpb(json, http->scratch, http->scratch_room, flags);
	if (len > http->scratch_room) {
		char *more = realloc(http->scratch, 2 * len);

		if (!more) {
			no_memory(work);
			return;
		}
		http->scratch = more;
		http->scratch_room = 2 * len;
		len = json_dumpb(json, http->scratch, http->scratch_room, flags);
	}
	if (len == 0)
		no_memory(work);
	else if (pretty)
		put_lines(work, text, http->scratch, len, depth);
	else
		put_text(work, text, http->scratch, len);
}

static void put_key(struct http_work *work, struct http_text *text, const char *key)
{
	json_t *name = json_string(key);

	put_json(work, text, name, 0);
	put_string(work, text, is_pretty(work) ? ": " : ":");
	json_decref(name);
}

static struct http_text *text_of(struct http_work *work, bool first)
{
	struct http_text **text = &work->text[!first];

	if (!*text)
		*text = http_text_make();
	if (!*text)
		no_memory(work);
	return *text;
}

/* Where an item follows: behind what separates it from the one before it, and at the beginning of its line. */
static struct http_text *begin_item(struct http_work *work, bool first)
{
	struct http_text *text = text_of(work, first);

	if (work->any[!first])
		put_string(work, text, ",");
	if (is_pretty(work))
		put_string(work, text, work->head ? "\n        " : "\n    ");
	work->any[!first] = true;
	work->count++;
	return text;
}

bool http_work_put(struct http_work *work, const char *key, json_t *item, bool first)
{
	struct http_text *text = begin_item(work, first);

	if (key)
		put_key(work, text, key);
	put_json(work, text, item, work->head ? 2 : 1);
	json_decref(item);
	return http_work_looked(work);
}

bool http_work_put_item(struct http_work *work, const char *item)
{
	struct http_text *text = begin_item(work, false);
	char *lines = is_pretty(work) ? jsontext_indent(item) : NULL;
	const char *shown = lines ? lines : item;

	put_lines(work, text, shown, strlen(shown), work->head ? 2 : 1);
	free(lines);
	return http_work_looked(work);
}

bool http_work_put_text(struct http_work *work, const char *text, size_t len)
{
	put_text(work, text_of(work, false), text, len);
	work->any[1] = true;
	return http_work_looked(work);
}

bool http_work_put_part(struct http_work *work, const char *text, size_t len)
{
	put_text(work, begin_item(work, false), text, len);
	return http_work_looked(work);
}

bool http_work_takes_text(const struct http_work *work)
{
	return !work->filter && !work->near[0] && !is_pretty(work);
}

struct http_text *http_work_join(struct http_work *work)
{
	struct http_text *whole = http_text_make();
	bool pretty = is_pretty(work), any = work->any[0] || work->any[1];

	if (!whole)
		no_memory(work);
	if (work->head) {
		put_string(work, whole, pretty ? "{\n    \"Node\": " : "{\"Node\":");
		put_json(work, whole, work->head, 1);
		put_string(work, whole, pretty ? ",\n    " : ",");
		put_key(work, whole, work->head_name);
	}
	put_string(work, whole, work->list->object ? "{" : "[");
	for (unsigned i = 0; i < 2; i++) {
		if (i == 1 && work->any[0] && work->any[1])
			put_string(work, whole, ",");
		if (!work->fail_code && work->text[i] && http_text_join(whole, work->text[i]) < 0)
			no_memory(work);
	}
	if (pretty && any)
		put_string(work, whole, work->head ? "\n    " : "\n");
	put_string(work, whole, work->list->object ? "}" : "]");
	if (work->head)
		put_string(work, whole, pretty ? "\n}" : "}");
	if (!work->fail_code)
		return whole;
	http_text_release(whole);
	return NULL;
}
