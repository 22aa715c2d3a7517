/*
 * grpc.c: what does the server's standard health service say? Calls grpc.health.v1.Health/Check (gRPC
 * health checking protocol) over HTTP/2. Its messages are so small that they are written by hand:
 *
 *   HealthCheckRequest  { string service = 1; }
 *   HealthCheckResponse { ServingStatus status = 1; }     each after one byte of flags and four of length
 */
#include <errno.h>
#include <string.h>

#include "registry/base/error.h"
#include "registry/check/curl.h"

#define PATH "/grpc.health.v1.Health/Check"

enum {
	PREFIX = 5,
	TAG_TEXT = 1 << 3 | 2,	 /* field 1, with its length */
	TAG_NUMBER = 1 << 3 | 0, /* field 1, a number */
	SERVING = 1,
	SERVICE_MAX = 127, /* its length is one byte */
};

static int grpc_valid(const struct reg_check *spec, struct reg_err *err)
{
	if (spec->service && strlen(spec->service) > SERVICE_MAX)
		return reg_fail(err, -EINVAL, "check.service: longer than %d bytes", SERVICE_MAX);
	return 0;
}

static size_t put_request(const char *service, uint8_t out[PREFIX + 2 + SERVICE_MAX])
{
	size_t len = strlen(service), size = len ? 2 + len : 0;

	memset(out, 0, PREFIX);
	out[PREFIX - 1] = (uint8_t)size;
	if (!size)
		return PREFIX;
	out[PREFIX] = TAG_TEXT;
	out[PREFIX + 1] = (uint8_t)len;
	for (size_t i = 0; i < len; i++)
		out[PREFIX + 2 + i] = (uint8_t)service[i];
	return PREFIX + size;
}

/* The status in the answer, 0 (unknown) when there is none. */
static unsigned status_of(const struct request *request)
{
	const uint8_t *bytes = (const uint8_t *)request->answer;

	if (request->len < PREFIX + 2 || bytes[0] != 0 || bytes[PREFIX] != TAG_NUMBER)
		return 0;
	return bytes[PREFIX + 1];
}

static void judge(struct check *check, const struct request *request, CURLcode rc)
{
	static const char *const words[] = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};
	static const char *const names[] = {[5] = "NOT_FOUND: it knows no such service",
		[12] = "UNIMPLEMENTED: it has no health service",
		[16] = "UNAUTHENTICATED"};
	unsigned code = (unsigned)request->rpc_status, status = status_of(request);

	if (!request_answered(check, request, rc))
		return;
	if (request->code != 200 || request->rpc_status < 0)
		check_done(check, CHECK_FAIL, "no gRPC: HTTP %ld", request->code);
	else if (code)
		check_done(check, CHECK_FAIL, "gRPC status %u %s", code,
			code < sizeof(names) / sizeof(names[0]) && names[code] ? names[code] : "");
	else
		check_done(check, status == SERVING ? CHECK_PASS : CHECK_FAIL, "%s",
			words[status < sizeof(words) / sizeof(words[0]) ? status : 0]);
}

static void grpc_start(struct check *check)
{
	struct request *request = request_new(check, PATH, judge);
	uint8_t body[PREFIX + 2 + SERVICE_MAX];
	size_t len = put_request(check->spec->service ? check->spec->service : "", body);

	if (!request) {
		check_done(check, CHECK_UNKNOWN, "out of memory");
		return;
	}
	curl_easy_setopt(request->easy, CURLOPT_HTTP_VERSION,
		(long)(check->spec->tls ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE));
	curl_easy_setopt(request->easy, CURLOPT_POSTFIELDSIZE, (long)len);
	curl_easy_setopt(request->easy, CURLOPT_COPYPOSTFIELDS, body);
	request_header(request, "Content-Type: application/grpc");
	request_header(request, "TE: trailers");
	request_begin(request);
}

const struct check_type check_grpc = {
	.name = "grpc",
	.aimed = true,
	.valid = grpc_valid,
	.start = grpc_start,
	.stop = request_stop,
	.link = check_follow_port,
};
