/*
 * param.c: what a request says in its query string. evhttp's own parser refuses `?passing`,
 * a name without a value, which Consul's clients send.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "registry/base/duration.h"
#include "registry/http/query.h"

enum { PAIRS_MAX = 256 };

static size_t count_of(const char *text, char c)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == c;
	return n;
}

/* "name=value" or "name", of `len` bytes. */
static int read_pair(const char *text, size_t len, struct http_pair *pair)
{
	char *copy = strndup(text, len), *value;

	if (!copy)
		return -ENOMEM;
	value = strchr(copy, '=');
	if (value)
		*value++ = '\0';
	pair->name = evhttp_uridecode(copy, 1, NULL);
	pair->value = evhttp_uridecode(value ? value : "", 1, NULL);
	free(copy);
	return pair->name && pair->value ? 0 : -ENOMEM;
}

int http_query_parse(const char *text, struct http_pair **out)
{
	size_t n = text ? count_of(text, '&') + 1 : 0, used = 0;
	struct http_pair *pairs = n > PAIRS_MAX ? NULL : calloc(n + 1, sizeof(*pairs));

	if (!pairs)
		return -ENOMEM;
	for (const char *at = text, *end; at; at = *end ? end + 1 : NULL) {
		end = strchrnul(at, '&');
		if (end == at)
			continue;
		if (read_pair(at, (size_t)(end - at), &pairs[used]) < 0) {
			free(pairs[used].name);
			free(pairs[used].value);
			pairs[used] = (struct http_pair){0};
			http_query_free(pairs);
			return -ENOMEM;
		}
		used++;
	}
	*out = pairs;
	return 0;
}

void http_query_free(struct http_pair *pairs)
{
	for (struct http_pair *pair = pairs; pair && pair->name; pair++) {
		free(pair->name);
		free(pair->value);
	}
	free(pairs);
}

const char *http_param(const struct http_request *rq, const char *name)
{
	for (const struct http_pair *pair = rq->query; pair->name; pair++)
		if (strcmp(pair->name, name) == 0)
			return pair->value;
	return NULL;
}

/* As Go reads them, whose clients and others (True, of Python) send what they like of these. */
int http_bool(const struct http_request *rq, const char *name)
{
	static const char *const words[2][6] = {
		{"0", "f", "F", "false", "FALSE", "False"}, {"1", "t", "T", "true", "TRUE", "True"}};
	const char *value = http_param(rq, name);

	for (int i = 0; value && i < 2; i++)
		for (size_t j = 0; j < sizeof(words[0]) / sizeof(words[0][0]); j++)
			if (strcmp(value, words[i][j]) == 0)
				return i;
	return -1;
}

bool http_flag(const struct http_request *rq, const char *name)
{
	return http_param(rq, name) && http_bool(rq, name) != 0;
}

int64_t http_duration(struct http_request *rq, const char *name, int64_t absent)
{
	const char *text = http_param(rq, name);
	int64_t us;

	if (!text || !*text)
		return absent;
	if (duration_parse(text, &us) < 0 || us < 0) {
		http_fail(rq, 400, "Invalid %s time: \"%.40s\" is no duration", name, text);
		return -1;
	}
	return us / 1000;
}

int http_number(struct http_request *rq, const char *name, uint64_t *out)
{
	const char *text = http_param(rq, name);
	char *end;

	*out = 0;
	if (!text || !*text)
		return 0;
	errno = 0;
	*out = strtoull(text, &end, 10);
	if (errno || *end || strspn(text, "0123456789") != strlen(text)) {
		http_fail(rq, 400, "Invalid %s: \"%.40s\" is no number", name, text);
		return -1;
	}
	return 0;
}

int http_number_given(struct http_request *rq, const char *name, uint64_t *out, bool *given)
{
	const char *text = http_param(rq, name);

	*given = text != NULL;
	if (text && !*text) { /* a script whose variable is empty must not change what it wanted to protect */
		http_fail(rq, 400, "Invalid %s: \"\" is no number", name);
		return -1;
	}
	return http_number(rq, name, out);
}
