#include "registry/store/line.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum {
	SUM = 16,	 /* digits of a checksum */
	FRONT = 2 + SUM, /* what precedes the rest: [" and the checksum */
	NUMBER = 20,	 /* digits of a number at most */
	HEAD = 64,
};

int journal_text_add(struct journal_text *out, const char *bytes, size_t len)
{
	if (len == 0)
		return 0;
	if (out->len + len > out->room) {
		size_t room = 2 * (out->len + len) + 4096;
		char *grown = realloc(out->text, room);

		if (!grown)
			return -ENOMEM;
		out->text = grown;
		out->room = room;
	}
	memcpy(out->text + out->len, bytes, len);
	out->len += len;
	return 0;
}

char *journal_change(const char *key, const char *value)
{
	json_t *pair = json_pack("[s, s?]", key, value);
	char *text = pair ? json_dumps(pair, JSON_COMPACT) : NULL, *line = NULL;

	json_decref(pair);
	if (text && asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	free(text);
	return line;
}

/* The two values from the `at`-th element on. */
static bool read_pair(json_t *json, size_t at, const char **key, const char **value)
{
	const json_t *second = json_array_get(json, at + 1);

	*key = json_string_value(json_array_get(json, at));
	*value = json_string_value(second);
	return json_array_size(json) == at + 2 && *key && (*value || json_is_null(second));
}

bool journal_change_read(const char *text, size_t len, json_t **json, const char **key, const char **value)
{
	*json = json_loadb(text, len, 0, NULL);
	if (read_pair(*json, 0, key, value))
		return true;
	json_decref(*json);
	return false;
}

/* The checksum's digits, of what follows them: `",17,...]`. */
static void sum_of(const char *text, size_t len, char sum[SUM + 1])
{
	snprintf(sum, SUM + 1, "%016" PRIx64, (uint64_t)XXH3_64bits(text, len));
}

/* `body` ends with its bracket. */
static int add_line(struct journal_text *out, uint64_t number, const char *body, size_t len)
{
	size_t begin = out->len;
	char front[FRONT + NUMBER + 4], sum[SUM + 1];
	int n = snprintf(front, sizeof(front), "[\"%0*d\",%" PRIu64 ",", SUM, 0, number);

	if (journal_text_add(out, front, (size_t)n) < 0 || journal_text_add(out, body, len) < 0 ||
		journal_text_add(out, "\n", 1) < 0) {
		out->len = begin;
		return -ENOMEM;
	}
	sum_of(out->text + begin + FRONT, out->len - 1 - begin - FRONT, sum);
	memcpy(out->text + begin + 2, sum, SUM);
	return 0;
}

int journal_line_head(struct journal_text *out, uint64_t *number, size_t lines)
{
	char body[HEAD];
	int n = snprintf(body, sizeof(body), "{\"journal\":%d,\"lines\":%zu}]", JOURNAL_VERSION, lines);
	int rc = add_line(out, *number, body, (size_t)n);

	*number += rc == 0;
	return rc;
}

int journal_line_add(struct journal_text *out, uint64_t *number, const char *changes, size_t len)
{
	const char *at = changes, *end;
	int rc = 0;

	for (; !rc && len && (end = memchr(at, '\n', len - (size_t)(at - changes))); at = end + 1) {
		rc = add_line(out, *number, at + 1, (size_t)(end - at) - 1);
		*number += rc == 0;
	}
	return rc;
}

/* A decimal number as it is written here, with the comma after it; returns what follows. */
static const char *read_number(const char *text, const char *end, uint64_t *number)
{
	const char *at = text;

	for (*number = 0; at < end && *at >= '0' && *at <= '9'; at++)
		*number = *number * 10 + (uint64_t)(*at - '0');
	return at > text && at - text < NUMBER && at < end && *at == ',' ? at + 1 : NULL;
}

bool journal_line_sound(const char *text, size_t len, struct journal_line *line)
{
	char sum[SUM + 1];

	if (len < FRONT + 3 || memcmp(text, "[\"", 2) != 0 || memcmp(text + FRONT, "\",", 2) != 0 ||
		text[len - 1] != ']')
		return false;
	sum_of(text + FRONT, len - FRONT, sum);
	if (memcmp(sum, text + 2, SUM) != 0)
		return false;
	line->body = read_number(text + FRONT + 2, text + len, &line->number);
	if (!line->body)
		return false;
	line->len = (size_t)(text + len - line->body);
	return true;
}

bool journal_line_is_head(const struct journal_line *line, unsigned *version, size_t *lines)
{
	char body[HEAD];

	if (line->len >= sizeof(body))
		return false;
	memcpy(body, line->body, line->len);
	body[line->len] = '\0';
	return sscanf(body, "{\"journal\":%u,\"lines\":%zu}]", version, lines) == 2;
}

int journal_line_change(struct journal_text *out, const struct journal_line *line)
{
	size_t begin = out->len;

	if (journal_text_add(out, "[", 1) == 0 && journal_text_add(out, line->body, line->len) == 0 &&
		journal_text_add(out, "\n", 1) == 0)
		return 0;
	out->len = begin;
	return -ENOMEM;
}

static enum journal_found found(struct journal_scan *scan, enum journal_found what, const char *why)
{
	scan->why = why;
	return what;
}

/* The files of version 1 had neither head nor checksum. */
static bool is_old(const char *text, size_t len)
{
	const char *key, *value;
	json_t *json;

	if (!journal_change_read(text, len, &json, &key, &value))
		return false;
	json_decref(json);
	return true;
}

/* A line that ends with a newline. */
static enum journal_found check_line(
	struct journal_scan *scan, const char *text, size_t len, struct journal_line *line, size_t *lines)
{
	bool first = scan->line == 1;
	unsigned version;

	if (!journal_line_sound(text, len, line))
		return first && is_old(text, len)
			       ? found(scan, JOURNAL_OTHER, "is of an older version, which is not read")
			       : found(scan, JOURNAL_DAMAGED, "the checksum is wrong");
	if (first && !journal_line_is_head(line, &version, lines))
		return found(scan, JOURNAL_DAMAGED, "the first lines are missing");
	if (first && version != JOURNAL_VERSION)
		return found(scan, JOURNAL_OTHER, "is of another version, which is not read");
	if (!first && line->number > scan->next)
		return found(scan, JOURNAL_DAMAGED, "lines before it are missing");
	if (!first && line->number < scan->next)
		return found(scan, JOURNAL_DAMAGED, "the line belongs elsewhere");
	return JOURNAL_SOUND;
}

static enum journal_found check_end(struct journal_scan *scan, const char *tail, size_t len, size_t lines)
{
	struct journal_line line;

	if (scan->line == 1)
		return found(scan, JOURNAL_DAMAGED, len ? "the first line is torn" : "the file is empty");
	if (scan->line - 2 < lines)
		return found(scan, JOURNAL_DAMAGED, "the file ends too early");
	if (len > 1 && journal_line_sound(tail, len - 1, &line))
		return found(scan, JOURNAL_DAMAGED, "the line's end is altered");
	return len ? JOURNAL_TORN : JOURNAL_SOUND;
}

enum journal_found journal_scan(const char *text, size_t len,
	void (*fn)(void *arg, const struct journal_line *line, const char *key, const char *value), void *arg,
	struct journal_scan *scan)
{
	const char *key, *value, *end;
	struct journal_line line;
	enum journal_found what;
	size_t at = 0, lines = 0;
	json_t *json;

	*scan = (struct journal_scan){.line = 1, .next = 1};
	while (at < len && (end = memchr(text + at, '\n', len - at))) {
		size_t n = (size_t)(end - text) - at;

		what = check_line(scan, text + at, n, &line, &lines);
		if (what != JOURNAL_SOUND)
			return what;
		if (scan->line > 1) {
			json = json_loadb(text + at, n, 0, NULL);
			if (read_pair(json, 2, &key, &value))
				fn(arg, &line, key, value);
			else
				what = found(scan, JOURNAL_DAMAGED, "the line says nothing");
			json_decref(json);
		}
		if (what != JOURNAL_SOUND)
			return what;
		at += n + 1;
		scan->next = line.number + 1;
		scan->good = at;
		scan->line++;
	}
	return check_end(scan, text + at, len - at, lines);
}
