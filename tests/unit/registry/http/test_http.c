/* The HTTP server by itself: what it serves is handed to it, and it needs neither Consul's API nor a journal. */
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "registry/http/server.h"
#include "tests/unit/registry/world.h"

enum { ANSWER = 4096, TURNS = 100000 };

static struct http *open_http(struct world *w, const struct http_api *api, const char *listen)
{
	struct http_config config = {.base = w->base, .reg = w->reg, .listen = listen, .api = *api};
	struct http *http = NULL;

	if (http_open(&config, &http, &w->err) < 0)
		fail_msg("%s", w->err.text);
	return http;
}

/* The whole answer to a request, until the server hangs up. */
static const char *ask(struct world *w, const struct http *http, const char *request)
{
	static char answer[ANSWER];
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons(http_port(http)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), turns = 0;
	size_t len = 0;
	char text[256];
	ssize_t n = -1;

	snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", request);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (n != 0 && turns++ < TURNS) {
		event_base_loop(w->base, EVLOOP_NONBLOCK);
		n = read(fd, answer + len, sizeof(answer) - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	assert_int_equal(n, 0);
	answer[len] = '\0';
	return answer;
}

static void write_page(void *ctx, struct evbuffer *out)
{
	evbuffer_add_printf(out, "a page of %s", (const char *)ctx);
}

static void pages_are_served_without_an_api(void **state)
{
	struct world *w = *state;
	const struct http_page pages[] = {{"/page", "text/plain", write_page, "mine"}, {0}};
	struct http *http = open_http(w, &(struct http_api){.pages = pages}, "127.0.0.1:0");
	const char *answer = ask(w, http, "GET /page");

	assert_non_null(strstr(answer, "HTTP/1.1 200"));
	assert_non_null(strstr(answer, "a page of mine"));
	assert_null(strstr(answer, "X-Consul"));
	assert_non_null(strstr(ask(w, http, "GET /v1/catalog/services"), "HTTP/1.1 404"));
	assert_non_null(strstr(ask(w, http, "PUT /v1/agent/service/register?durable"), "HTTP/1.1 404"));
	http_close(http);
}

static void greet(struct http_request *rq)
{
	http_reply_text(rq, 200, "%s, %s", (const char *)rq->http->api.ctx, rq->arg[0]);
}

static void add_header(struct http_request *rq)
{
	evhttp_add_header(
		evhttp_request_get_output_headers(rq->raw), "X-Greeting", (const char *)rq->http->api.ctx);
}

static void routes_and_headers_are_those_that_were_handed_in(void **state)
{
	static const struct http_route routes[] = {{VERB_GET, "/greet/:", greet}, {0}};
	char hello[] = "hello";
	const struct http_api api = {.routes = routes, .ctx = hello, .headers = add_header};
	struct world *w = *state;
	struct http *http = open_http(w, &api, "127.0.0.1:0");
	const char *answer = ask(w, http, "GET /greet/you");

	assert_non_null(strstr(answer, "HTTP/1.1 200"));
	assert_non_null(strstr(answer, "X-Greeting: hello\r\n"));
	assert_non_null(strstr(answer, "hello, you"));
	assert_non_null(strstr(ask(w, http, "PUT /greet/you"), "HTTP/1.1 405"));
	answer = ask(w, http, "GET /healthz"); /* Consul's */
	assert_non_null(strstr(answer, "HTTP/1.1 404"));
	assert_non_null(strstr(answer, "X-Greeting: hello\r\n"));
	http_close(http);
}

static const char *topic(struct http_request *rq)
{
	return REG_WATCH_NAMES;
}

static uint64_t index_now(struct http_request *rq)
{
	return 7;
}

static json_t *render(struct http_request *rq)
{
	return json_string("shown");
}

static bool accepts(struct http_request *rq)
{
	return http_flag(rq, "please") || http_fail(rq, 400, "say please");
}

static void the_api_says_which_queries_it_takes(void **state)
{
	static const struct http_scope scope = {topic, index_now, NULL};
	static const struct http_view view = {.scope = &scope, .render = render};
	static const struct http_route routes[] = {{VERB_GET, "/view", .view = &view}, {0}};
	struct world *w = *state;
	struct http_api api = {.routes = routes, .accepts = accepts};
	struct http *http = open_http(w, &api, "127.0.0.1:0");
	const char *answer = ask(w, http, "GET /view");

	assert_non_null(strstr(answer, "HTTP/1.1 400"));
	assert_non_null(strstr(answer, "say please"));
	answer = ask(w, http, "GET /view?please");
	assert_non_null(strstr(answer, "HTTP/1.1 200"));
	assert_non_null(strstr(answer, "\"shown\""));
	http_close(http);
}

static void an_address_that_is_taken_can_be_had_when_it_is_free(void **state)
{
	struct world *w = *state;
	struct http *first = open_http(w, &(struct http_api){0}, "127.0.0.1:0"), *second = NULL;
	struct http_config config = {.base = w->base, .reg = w->reg};
	char listen[32];

	snprintf(listen, sizeof(listen), "127.0.0.1:%u", http_port(first));
	config.listen = listen;
	assert_int_equal(http_open(&config, &second, &w->err), -EADDRINUSE);
	assert_null(second);
	http_close(first);
	second = open_http(w, &(struct http_api){0}, listen);
	assert_non_null(strstr(ask(w, second, "GET /"), "HTTP/1.1 404"));
	http_close(second);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pages_are_served_without_an_api),
		TEST(routes_and_headers_are_those_that_were_handed_in),
		TEST(the_api_says_which_queries_it_takes),
		TEST(an_address_that_is_taken_can_be_had_when_it_is_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
