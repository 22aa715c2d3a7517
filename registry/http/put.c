/*
 * put.c: the text of a list, an item at a time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "registry/http/jsontext.h"
#include "registry/http/part.h"
#include "registry/http/work.h"

static bool is_pretty(const struct http_work *work)
{
	return http_flag(work->rq, "pretty");
}

static int no_memory(struct http_work *work)
{
	http_work_fail(work, 500, "out of memory");
	return -ENOMEM;
}

static int put_text(struct http_work *work, struct http_text *text, const char *bytes, size_t len)
{
	return http_text_put(text, bytes, len) < 0 ? no_memory(work) : 0;
}

static int put_string(struct http_work *work, struct http_text *text, const char *string)
{
	return put_text(work, text, string, strlen(string));
}

/* Lines behind the first begin at `depth`. */
static int put_lines(
	struct http_work *work, struct http_text *text, const char *bytes, size_t len, unsigned depth)
{
	const char *end = bytes + len, *line;

	while ((line = memchr(bytes, '\n', (size_t)(end - bytes)))) {
		line++;
		if (put_text(work, text, bytes, (size_t)(line - bytes)) < 0)
			return -ENOMEM;
		for (unsigned i = 0; i < depth; i++)
			if (put_string(work, text, "    ") < 0)
				return -ENOMEM;
		bytes = line;
	}
	return put_text(work, text, bytes, (size_t)(end - bytes));
}

static int put_json(struct http_work *work, struct http_text *text, const json_t *json, unsigned depth)
{
	struct http *http = work->rq->http;
	bool pretty = is_pretty(work);
	size_t flags = JSON_ENCODE_ANY | (pretty ? JSON_INDENT(4) : JSON_COMPACT), len;
	const char *known = pretty ? NULL : http_part_text_of(http, json, &len);

	if (known)
		return put_text(work, text, known, len);
	len = json_dumpb(json, http->scratch, http->scratch_room, flags);
	if (len > http->scratch_room) {
		char *more = realloc(http->scratch, 2 * len);

		if (!more)
			return no_memory(work);
		http->scratch = more;
		http->scratch_room = 2 * len;
		len = json_dumpb(json, http->scratch, http->scratch_room, flags);
	}
	if (len == 0)
		return no_memory(work);
	return pretty ? put_lines(work, text, http->scratch, len, depth)
		      : put_text(work, text, http->scratch, len);
}

/* What separates an item from the one before it, and the line that it begins. */
static int put_before(struct http_work *work, struct http_text *text, bool any)
{
	if (any && put_string(work, text, ",") < 0)
		return -ENOMEM;
	if (!is_pretty(work))
		return 0;
	return put_string(work, text, work->head ? "\n        " : "\n    ");
}

static int put_key(struct http_work *work, struct http_text *text, const char *key)
{
	json_t *name = json_string(key);
	int rc = name ? put_json(work, text, name, 0) : no_memory(work);

	json_decref(name);
	return rc < 0 ? rc : put_string(work, text, is_pretty(work) ? ": " : ":");
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

bool http_work_put(struct http_work *work, const char *key, json_t *item, bool first)
{
	struct http_text *text = item ? text_of(work, first) : NULL;

	if (!item)
		no_memory(work);
	if (text && put_before(work, text, work->any[!first]) == 0 &&
		(!key || put_key(work, text, key) == 0) &&
		put_json(work, text, item, work->head ? 2 : 1) == 0) {
		work->any[!first] = true;
		work->count++;
	}
	json_decref(item);
	return http_work_looked(work);
}

bool http_work_put_item(struct http_work *work, const char *item)
{
	struct http_text *text = text_of(work, false);
	char *lines = text && is_pretty(work) ? jsontext_indent(item) : NULL;
	const char *shown = lines ? lines : item;

	if (text && put_before(work, text, work->any[1]) == 0 &&
		put_lines(work, text, shown, strlen(shown), work->head ? 2 : 1) == 0) {
		work->any[1] = true;
		work->count++;
	}
	free(lines);
	return http_work_looked(work);
}

bool http_work_put_text(struct http_work *work, const char *text, size_t len)
{
	struct http_text *to = text_of(work, false);

	if (to && put_text(work, to, text, len) == 0)
		work->any[1] = true;
	return http_work_looked(work);
}

bool http_work_put_part(struct http_work *work, const char *text, size_t len)
{
	struct http_text *to = text_of(work, false);

	if (to && put_before(work, to, work->any[1]) == 0 && put_text(work, to, text, len) == 0) {
		work->any[1] = true;
		work->count++;
	}
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
	int rc = whole ? 0 : no_memory(work);

	if (rc == 0 && work->head) {
		rc = put_string(work, whole, pretty ? "{\n    \"Node\": " : "{\"Node\":");
		if (rc == 0)
			rc = put_json(work, whole, work->head, 1);
		if (rc == 0)
			rc = put_string(work, whole, pretty ? ",\n    " : ",");
		if (rc == 0)
			rc = put_key(work, whole, work->head_name);
	}
	if (rc == 0)
		rc = put_string(work, whole, work->list->object ? "{" : "[");
	for (unsigned i = 0; rc == 0 && i < 2; i++) {
		if (i == 1 && work->any[0] && work->any[1])
			rc = put_string(work, whole, ",");
		if (rc == 0 && work->text[i])
			rc = http_text_join(whole, work->text[i]);
	}
	if (rc == 0 && pretty && any)
		rc = put_string(work, whole, work->head ? "\n    " : "\n");
	if (rc == 0)
		rc = put_string(work, whole, work->list->object ? "}" : "]");
	if (rc == 0 && work->head)
		rc = put_string(work, whole, pretty ? "\n}" : "}");
	if (rc == 0)
		return whole;
	http_text_release(whole);
	return NULL;
}
