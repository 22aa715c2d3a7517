#include "registry/http/jsontext.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Numbers that the library refuses are given to it as strings that begin so: no key, base64, name or id has a control
 * character, so that nothing else that is read is taken for one, nor the other way round.
 */
#define MARK "\\u0001"
enum { MARK_CHAR = 1, DIGITS = 18 }; /* so many always fit */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Behind the string that begins here, or the end of the text. */
static const char *skip_string(const char *at, const char *end)
{
	for (at++; at < end && *at != '"'; at++)
		at += *at == '\\' && at + 1 < end;
	return at < end ? at + 1 : at;
}

/* Behind the number that begins here; *whole: it has neither fraction nor exponent. */
static const char *skip_number(const char *at, const char *end, bool *whole)
{
	for (at += *at == '-'; at < end && is_digit(*at);)
		at++;
	*whole = at == end || !strchr(".eE", *at);
	return at;
}

/* What follows, up to the end of a number or string. *mark: it is a number for which the library has no room. */
static const char *next_token(const char *at, const char *end, bool *mark)
{
	const char *begin = at;
	bool whole;

	*mark = false;
	if (*at == '"')
		return skip_string(at, end);
	if (!is_digit(*at) && *at != '-')
		return at + 1;
	at = skip_number(at, end, &whole);
	*mark = whole && at - begin > DIGITS && begin[*begin == '-'] != '0';
	return at == begin ? at + 1 : at;
}

json_t *jsontext_load(const char *text, size_t len, json_error_t *err)
{
	const char *end = text + len, *next;
	size_t more = 0, used = 0;
	json_t *json;
	char *copy;
	bool mark;

	for (const char *at = text; at < end; at = next) {
		next = next_token(at, end, &mark);
		more += mark ? strlen(MARK) + 2 : 0;
	}
	if (!more)
		return json_loadb(text, len, 0, err);
	copy = malloc(len + more + 1);
	if (!copy) {
		snprintf(err->text, sizeof(err->text), "out of memory");
		return NULL;
	}
	for (const char *at = text; at < end; at = next) {
		next = next_token(at, end, &mark);
		used += (size_t)sprintf(copy + used, "%s", mark ? "\"" MARK : "");
		memcpy(copy + used, at, (size_t)(next - at));
		used += (size_t)(next - at);
		if (mark)
			copy[used++] = '"';
	}
	json = json_loadb(copy, used, 0, err);
	free(copy);
	return json;
}

bool jsontext_unsigned(const json_t *value, uint64_t *out)
{
	const char *text = json_string_value(value);
	uint64_t number;
	char *end;

	if (json_is_integer(value) && json_integer_value(value) >= 0) {
		*out = (uint64_t)json_integer_value(value);
		return true;
	}
	if (!text || text[0] != MARK_CHAR || !is_digit(text[1]))
		return false;
	errno = 0;
	number = strtoull(text + 1, &end, 10);
	if (errno || *end)
		return false;
	*out = number;
	return true;
}

char *jsontext_quote(const char *text)
{
	json_t *string = json_string(text);
	char *quoted = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;

	json_decref(string);
	return quoted;
}

static void put_line(FILE *out, unsigned depth)
{
	fprintf(out, "\n%*s", 4 * (int)depth, "");
}

/* One character of structure; returns the depth behind it. */
static unsigned put_mark(FILE *out, char c, char next, unsigned depth)
{
	bool empty = (c == '[' && next == ']') || (c == '{' && next == '}');

	if (strchr("]}", c)) {
		put_line(out, --depth);
		fputc(c, out);
		return depth;
	}
	fputc(c, out);
	if (c == ':')
		fputc(' ', out);
	if (empty)
		fputc(next, out);
	else if (c == ',')
		put_line(out, depth);
	else if (strchr("[{", c))
		put_line(out, ++depth);
	return depth;
}

char *jsontext_indent(const char *text)
{
	const char *end = text + strlen(text), *next;
	char *indented = NULL;
	size_t size;
	FILE *out = open_memstream(&indented, &size);
	unsigned depth = 0;
	bool failed;

	if (!out)
		return NULL;
	for (const char *at = text; at < end; at = next) {
		next = *at == '"' ? skip_string(at, end) : at + 1;
		if (!strchr("[]{},:", *at)) {
			fwrite(at, 1, (size_t)(next - at), out);
			continue;
		}
		depth = put_mark(out, *at, *next, depth);
		next += (*at == '[' && *next == ']') || (*at == '{' && *next == '}');
	}
	failed = ferror(out) != 0;
	if (fclose(out) == 0 && !failed)
		return indented;
	free(indented);
	return NULL;
}
