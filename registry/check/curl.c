#include "registry/check/curl.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "addr/ip_text.h"
#include "registry/base/multi.h"

enum {
	BODY_MAX = 65536, /* bytes after which the status must do */
	IDLE_MAX = 64,	  /* handles kept for later requests */
	SHORT = 80,	  /* bytes of a body that are kept at least */
};

/* libcurl at work on an event loop. */
struct requests {
	struct multi multi;
	CURL *idle[IDLE_MAX];
	unsigned nidle;
};

static void collect(void *arg)
{
	struct requests *all = arg;
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(all->multi.curl, &left))) {
		CURLcode rc = message->data.result;
		struct request *request;
		struct check *check;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &request);
		curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &request->code);
		check = request->check;
		/* its connection goes first: the check may be probed again, or freed, by what follows */
		curl_multi_remove_handle(all->multi.curl, request->easy);
		request->done(check, request, rc);
		request_stop(check);
	}
}

/* The one of these checks, made when it is first needed. */
static struct requests *requests_of(struct checks *checks)
{
	struct requests *all = checks->requests;

	if (all)
		return all;
	all = calloc(1, sizeof(*all));
	if (!all)
		return NULL;
	if (multi_open(&all->multi, checks->base, collect, all) < 0) {
		free(all);
		return NULL;
	}
	checks->requests = all;
	return all;
}

void requests_close(struct requests *all)
{
	if (!all)
		return;
	while (all->nidle)
		curl_easy_cleanup(all->idle[--all->nidle]);
	multi_close(&all->multi);
	free(all);
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
	static const struct linger reset = {.l_onoff = 1};
	struct request *request = arg;
	struct check *check = request->check;
	const struct registry_sink *sink = check->all->sink;
	int fd = sink->socket(sink->ctx, check_network(check), to->family, to->socktype);

	if (fd < 0) {
		request->error = -fd;
		return CURL_SOCKET_BAD;
	}
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	return fd;
}

/* Keeps what fits; ends a body that does not end. */
static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct request *request = arg;
	size_t room = request->room, len = size * n;

	if (request->len < room)
		memcpy(request->answer + request->len, data,
			len < room - request->len ? len : room - request->len);
	request->len += len;
	return request->len > BODY_MAX ? 0 : len;
}

/* Of headers and trailers. */
static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
	static const char name[] = "grpc-status:";
	struct request *request = arg;
	size_t at = sizeof(name) - 1, len = size * n;

	if (len <= at || strncasecmp(data, name, at) != 0)
		return len;
	while (at < len && data[at] == ' ')
		at++;
	request->rpc_status = 0;
	for (; at < len && data[at] >= '0' && data[at] <= '9' && request->rpc_status < 1000; at++)
		request->rpc_status = 10 * request->rpc_status + data[at] - '0';
	return len;
}

static CURL *easy_of(struct requests *all)
{
	return all->nidle ? all->idle[--all->nidle] : curl_easy_init();
}

static void set_options(struct request *request, const char *url)
{
	CURL *easy = request->easy;

	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, request);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->why);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, request);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, request);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "sluice/" SLUICE_VERSION);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, request->check->spec->tls_skip_verify ? 0L : 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, request->check->spec->tls_skip_verify ? 0L : 2L);
}

struct request *request_new(struct check *check, const char *path,
	void (*done)(struct check *check, const struct request *request, CURLcode rc))
{
	struct requests *all = requests_of(check->all);
	size_t room = check->spec->output_max > SHORT ? check->spec->output_max : SHORT;
	struct request *request = all ? calloc(1, sizeof(*request) + room + 1) : NULL;
	char place[IP_PORT_TEXT], url[REG_PATH_MAX + IP_PORT_TEXT + 16];

	if (!request)
		return NULL;
	request->check = check;
	request->done = done;
	request->rpc_status = -1;
	request->room = room;
	request->easy = easy_of(all);
	if (!request->easy) {
		free(request);
		return NULL;
	}
	snprintf(url, sizeof(url), "%s://%s%s", check->spec->tls ? "https" : "http",
		ip_port_text(check->target.address, check->target.port, place), path);
	set_options(request, url);
	return request;
}

void request_header(struct request *request, const char *line)
{
	struct curl_slist *more = curl_slist_append(request->headers, line);

	if (more)
		request->headers = more;
	else
		request->error = ENOMEM;
}

void request_begin(struct request *request)
{
	struct check *check = request->check;

	assert(!check->probe);
	check->probe = request;
	curl_easy_setopt(request->easy, CURLOPT_HTTPHEADER, request->headers);
	if (!request->error &&
		curl_multi_add_handle(check->all->requests->multi.curl, request->easy) == CURLM_OK)
		return;
	request_stop(check);
	check_done(check, CHECK_UNKNOWN, "out of memory");
}

void request_stop(struct check *check)
{
	struct request *request = check->probe;
	struct requests *all = check->all->requests;

	if (!request)
		return;
	check->probe = NULL;
	curl_multi_remove_handle(all->multi.curl, request->easy);
	curl_easy_reset(request->easy);
	if (all->nidle < IDLE_MAX)
		all->idle[all->nidle++] = request->easy;
	else
		curl_easy_cleanup(request->easy);
	curl_slist_free_all(request->headers);
	free(request);
}

/* libcurl's words where it has any, those of the system where a connection failed. */
static const char *reason(const struct request *request, CURLcode rc)
{
	long error = 0;

	curl_easy_getinfo(request->easy, CURLINFO_OS_ERRNO, &error);
	if (rc == CURLE_COULDNT_CONNECT && error)
		return strerror((int)error);
	return request->why[0] ? request->why : curl_easy_strerror(rc);
}

bool request_answered(struct check *check, const struct request *request, CURLcode rc)
{
	if (rc == CURLE_OK || (rc == CURLE_WRITE_ERROR && request->len > BODY_MAX))
		return true;
	if (request->error || rc == CURLE_OUT_OF_MEMORY) {
		int error = request->error ? request->error : ENOMEM;

		check_done(check, check_is_local(error) ? CHECK_UNKNOWN : CHECK_FAIL, "%s", strerror(error));
	} else {
		check_done(check, CHECK_FAIL, "%s", reason(request, rc));
	}
	return false;
}
