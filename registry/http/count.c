/* count.c: how often which group of paths was answered how, bounded whatever clients ask for. */
#include <string.h>

#include "registry/http/server.h"

const char *const http_groups[HTTP_GROUPS] = {
	"agent", "catalog", "health", "kv", "session", "status", "event", "metrics", "other"};

static unsigned group_of(const char *path)
{
	if (strncmp(path, "/v1/", 4) == 0)
		path += 4;
	else if (strcmp(path, "/metrics") == 0)
		path++;
	else
		return HTTP_GROUPS - 1;
	for (unsigned i = 0; i < HTTP_GROUPS - 1; i++) {
		size_t len = strlen(http_groups[i]);

		if (strncmp(path, http_groups[i], len) == 0 && (!path[len] || path[len] == '/'))
			return i;
	}
	return HTTP_GROUPS - 1;
}

uint64_t *http_counter(const struct http_request *rq)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(rq->raw);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
	unsigned status = (unsigned)rq->code / 100;

	if (status < HTTP_STATUS_FIRST || status >= HTTP_STATUS_FIRST + HTTP_STATUSES)
		return NULL;
	return &rq->http->answers[group_of(path ? path : "")][status - HTTP_STATUS_FIRST];
}

void http_count(const struct http_request *rq)
{
	uint64_t *counter = http_counter(rq);

	if (counter)
		++*counter;
}
