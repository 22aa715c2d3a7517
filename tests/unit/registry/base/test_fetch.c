/* What is heard of a fetch may end it. */
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "registry/base/fetch.h"
#include "tests/unit/unit.h"

struct world {
	struct event_base *base;
	struct evhttp *http;
	struct fetcher *fetcher;
	struct fetch *fetch;
	unsigned told;
	char path[64];
};

static void answer(struct evhttp_request *rq, void *arg)
{
	struct evbuffer *body = evbuffer_new();

	evbuffer_add_printf(body, "one\ntwo\n");
	evhttp_send_reply(rq, 200, "OK", body);
	evbuffer_free(body);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct evconnlistener *listener;

	snprintf(w->path, sizeof(w->path), "/tmp/sluice-fetch-%d", (int)getpid());
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", w->path);
	unlink(w->path);
	w->base = event_base_new();
	w->http = evhttp_new(w->base);
	listener = evconnlistener_new_bind(
		w->base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE, -1, (struct sockaddr *)&at, sizeof(at));
	assert_non_null(listener);
	assert_non_null(evhttp_bind_listener(w->http, listener));
	evhttp_set_gencb(w->http, answer, w);
	w->fetcher = fetch_open(w->base, w->path);
	assert_non_null(w->fetcher);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	fetch_close(w->fetcher);
	evhttp_free(w->http);
	event_base_free(w->base);
	unlink(w->path);
	free(w);
	return 0;
}

static void run(struct world *w)
{
	static const struct timeval most = {.tv_sec = 5};

	event_base_loopexit(w->base, &most);
	event_base_dispatch(w->base);
}

static void end(struct world *w)
{
	w->told++;
	event_base_loopexit(w->base, NULL);
}

static void on_done(void *arg, const struct fetch_reply *reply)
{
	struct world *w = arg;

	assert_int_equal(reply->code, 200);
	assert_string_equal(reply->body, "one\ntwo\n");
	fetch_cancel(w->fetch);
	end(w);
}

static void done_may_cancel_it(void **state)
{
	struct world *w = *state;

	w->told = 0;
	w->fetch = fetch_get(w->fetcher, "/", 1024, 5000, on_done, w);
	assert_non_null(w->fetch);
	run(w);
	assert_int_equal(w->told, 1);
}

static void never(void *arg, const struct fetch_reply *reply)
{
	fail();
}

static void on_begun(void *arg) {}

static void on_line(void *arg, const char *text, size_t len)
{
	struct world *w = arg;

	assert_string_equal(text, "one");
	assert_int_equal(len, 3);
	fetch_cancel(w->fetch);
	end(w);
}

static void a_line_may_cancel_it(void **state)
{
	struct world *w = *state;

	w->told = 0;
	w->fetch = fetch_lines(w->fetcher, "/", 1024, on_begun, on_line, never, w);
	assert_non_null(w->fetch);
	run(w);
	assert_int_equal(w->told, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(done_may_cancel_it),
		cmocka_unit_test(a_line_may_cancel_it),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
