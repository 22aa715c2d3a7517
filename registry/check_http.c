/*
 * check_http.c: does a GET over HTTP or HTTPS answer well? 2xx passes, 429 (too many requests) warns, all
 * else fails.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "registry/check_curl.h"
#include "registry/table.h"

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
	return 0;
}

/* The answer's first line, printable. */
static const char *first_line(const struct request *request, char line[sizeof(request->answer) + 1])
{
	size_t len = request->len < sizeof(request->answer) ? request->len : sizeof(request->answer), i;

	for (i = 0; i < len && request->answer[i] != '\n' && request->answer[i] != '\r'; i++)
		line[i] = (char)(isprint((unsigned char)request->answer[i]) ? request->answer[i] : '?');
	line[i] = '\0';
	return line;
}

static void judge(struct check *check, const struct request *request, CURLcode rc)
{
	char line[sizeof(request->answer) + 1];
	enum check_result result = CHECK_FAIL;

	if (!request_answered(check, request, rc))
		return;
	if (request->code >= 200 && request->code < 300)
		result = CHECK_PASS;
	else if (request->code == 429)
		result = CHECK_WARN;
	first_line(request, line);
	check_done(check, result, "HTTP %ld%s%s", request->code, line[0] ? ": " : "", line);
}

static void http_start(struct check *check)
{
	struct request *request = request_new(check, check->spec.path ? check->spec.path : "/", judge);

	if (!request) {
		check_done(check, CHECK_UNKNOWN, "out of memory");
		return;
	}
	curl_easy_setopt(request->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	request_header(request, "Connection: close");
	request_begin(request);
}

const struct check_type check_http = {
	.valid = http_valid,
	.start = http_start,
	.stop = request_stop,
	.link = check_follow_port,
};
