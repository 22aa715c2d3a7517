/*
 * http.c: does a request, a GET unless told otherwise, answer well over HTTP or HTTPS? 2xx passes, 429 (too many requests) warns, all
 * else fails.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "registry/base/error.h"
#include "registry/check/curl.h"

enum { METHOD_MAX = 20, KEY_MAX = 128, VALUE_MAX = 1024, BODY_MAX = 4096 };

/* RFC 9110, section 5.6.2 */
static bool is_token(const char *text, size_t max)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~";
	size_t len = strlen(text);

	return len > 0 && len <= max && strspn(text, letters) == len;
}

static int headers_valid(const struct reg_check *spec, struct reg_err *err)
{
	for (unsigned i = 0; i < spec->nheader; i++) {
		const struct reg_pair *header = &spec->headers[i];

		if (!is_token(header->key, KEY_MAX))
			return reg_fail(
				err, -EINVAL, "check.headers: \"%.40s\" is no name of a header", header->key);
		if (strlen(header->value) > VALUE_MAX || header->value[strcspn(header->value, "\r\n")])
			return reg_fail(err, -EINVAL,
				"check.headers: the value of %s is over %d bytes or lines", header->key,
				VALUE_MAX);
	}
	return 0;
}

static int http_valid(const struct reg_check *spec, struct reg_err *err)
{
	const char *path = spec->path ? spec->path : "/";

	if (path[0] != '/')
		return reg_fail(err, -EINVAL, "check.path: must begin with /");
	if (strlen(path) > REG_PATH_MAX)
		return reg_fail(err, -EINVAL, "check.path: longer than %d bytes", REG_PATH_MAX);
	for (const char *c = path; *c; c++)
		if (!isgraph((unsigned char)*c))
			return reg_fail(err, -EINVAL,
				"check.path: has a space or another character that must be encoded");
	if (spec->method && !is_token(spec->method, METHOD_MAX))
		return reg_fail(err, -EINVAL, "check.method: \"%.40s\" is no method of HTTP", spec->method);
	if (spec->body && strlen(spec->body) > BODY_MAX)
		return reg_fail(err, -EINVAL, "check.body: longer than %d bytes", BODY_MAX);
	return headers_valid(spec, err);
}

/* The body's first line, or as much of it as is to be kept. */
static int shown(const struct check *check, const struct request *request)
{
	size_t len = request->len < request->room ? request->len : request->room;

	return (int)(check->spec->output_max ? len : strcspn(request->answer, "\r\n"));
}

static void judge(struct check *check, const struct request *request, CURLcode rc)
{
	enum check_result result = CHECK_FAIL;

	if (!request_answered(check, request, rc))
		return;
	if (request->code >= 200 && request->code < 300)
		result = CHECK_PASS;
	else if (request->code == 429)
		result = CHECK_WARN;
	if (!request->answer[0] || !check_tells_body(check))
		check_done(check, result, "HTTP %ld", request->code);
	else
		check_done(check, result, "HTTP %ld: %.*s", request->code, shown(check, request),
			request->answer);
}

/* One header of the definition; a value that is empty is written so that libcurl sends it. */
static void put_header(struct request *request, const struct reg_pair *header)
{
	char line[KEY_MAX + VALUE_MAX + 3];

	snprintf(line, sizeof(line), header->value[0] ? "%s: %s" : "%s;", header->key, header->value);
	request_header(request, line);
}

/* A body as it is, without what libcurl says of forms. */
static void put_body(struct request *request, const struct reg_check *spec)
{
	bool typed = false;

	for (unsigned i = 0; i < spec->nheader; i++)
		typed |= strcasecmp(spec->headers[i].key, "Content-Type") == 0;
	if (!typed)
		request_header(request, "Content-Type:");
	request_header(request, "Expect:");
	curl_easy_setopt(request->easy, CURLOPT_POSTFIELDS, spec->body);
}

static void http_start(struct check *check)
{
	const struct reg_check *spec = check->spec;
	struct request *request = request_new(check, spec->path ? spec->path : "/", judge);

	if (!request) {
		check_done(check, CHECK_UNKNOWN, "out of memory");
		return;
	}
	curl_easy_setopt(request->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	if (spec->body)
		put_body(request, spec);
	if (spec->method && strcmp(spec->method, "HEAD") == 0)
		curl_easy_setopt(request->easy, CURLOPT_NOBODY, 1L);
	else if (spec->method || spec->body)
		curl_easy_setopt(request->easy, CURLOPT_CUSTOMREQUEST, spec->method ? spec->method : "GET");
	request_header(request, "Connection: close");
	for (unsigned i = 0; i < spec->nheader; i++)
		put_header(request, &spec->headers[i]);
	request_begin(request);
}

const struct check_type check_http = {
	.name = "http",
	.aimed = true,
	.valid = http_valid,
	.start = http_start,
	.stop = request_stop,
	.link = check_follow_port,
};
