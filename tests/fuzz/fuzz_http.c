/* Requests to Consul's API: the first byte chooses the path, the rest is the body (or, for a GET, the query string).
 * Each is answered, and what it has made can be shown and is gone with the daemon. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "registry/http/http.h"
#include "registry/source/consul/consul.h"
#include "tests/unit/registry/world.h"

enum { TURNS = 10000, BODY_MAX = 16384 };

static const struct {
	const char *verb, *path;
} requests[] = {
	{"PUT", "/v1/agent/service/register"},
	{"PUT", "/v1/agent/check/register"},
	{"PUT", "/v1/agent/check/update/service:web"},
	{"PUT", "/v1/catalog/register"},
	{"PUT", "/v1/catalog/deregister"},
	{"PUT", "/v1/session/create"},
	{"PUT", "/v1/kv/a?cas=0"},
	/* with an index of their own they would wait */
	{"GET", "/v1/health/service/web?index=0&"},
	{"GET", "/v1/catalog/service/web?index=0&"},
	{"GET", "/v1/catalog/services?index=0&"},
	{"GET", "/v1/kv/a?index=0&recurse&"},
	{"GET", "/v1/"},
	{"PUT", "/v1/event/fire/x?service=^w&tag=v"},
	{"GET", "/v1/event/list?index=0&"},
	{"GET", "/v1/agent/services?filter="},
	{"PUT", "/v1/txn"},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int client(uint16_t port)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct linger at_once = {.l_onoff = 1};
	int fd = socket(AF_INET, SOCK_STREAM, 0), size = 1 << 18;

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)); /* leaves nothing in TIME_WAIT */
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

/* Sends, and runs the loop until the daemon has hung up. */
static void ask(struct world *w, uint16_t port, const char *text, size_t len)
{
	int fd = client(port), turns = 0;
	char reply[65536];
	ssize_t n;

	assert_int_equal(write(fd, text, len), (ssize_t)len);
	while (turns++ < TURNS && ((n = read(fd, reply, sizeof(reply))) > 0 || (n < 0 && errno == EAGAIN)))
		event_base_loop(w->base, EVLOOP_NONBLOCK);
	close(fd);
	assert_true(turns < TURNS);
}

static void ask_for(
	struct world *w, uint16_t port, const char *verb, const char *path, const uint8_t *data, size_t size)
{
	char head[256], *text = malloc(sizeof(head) + size);
	size_t len;

	if (strcmp(verb, "GET") == 0) /* what ends a query string is left out */
		len = (size_t)sprintf(text, "GET %s%.*s HTTP/1.1\r\nConnection: close\r\n\r\n", path,
			(int)strcspn((const char *)data, " \r\n"), (const char *)data);
	else
		len = (size_t)sprintf(text,
			"%s %s HTTP/1.1\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n", verb, path,
			size);
	if (strcmp(verb, "GET") != 0) {
		memcpy(text + len, data, size);
		len += size;
	}
	ask(w, port, text, len);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t which = size ? data[0] % (sizeof(requests) / sizeof(requests[0])) : 0;
	uint8_t body[BODY_MAX + 1] = {0};
	struct http_config config = {.listen = "127.0.0.1:0"};
	struct consul_config api = {0};
	struct consul *consul;
	struct http *http;
	struct world *w;

	if (size < 1 || size > BODY_MAX)
		return 0;
	memcpy(body, data + 1, size - 1);
	world_setup((void **)&w);
	w->socket_error = ENETUNREACH; /* checks that it makes probe nobody */
	config.base = api.base = w->base;
	config.reg = api.reg = w->reg;
	assert_int_equal(consul_open(&api, &consul), 0);
	config.api = consul_api(consul);
	assert_int_equal(http_open(&config, &http, &w->err), 0);
	ask_for(w, http_port(http), requests[which].verb, requests[which].path, body, size - 1);
	ask_for(w, http_port(http), "GET", "/v1/health/state/any", (const uint8_t *)"", 0);
	http_close(http);
	consul_close(consul);
	world_teardown((void **)&w);
	return 0;
}
