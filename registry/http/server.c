/*
 * server.c: listens and bounds connections. libevent's evhttp speaks HTTP.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>

#include "registry/base/accept.h"
#include "registry/base/listen.h"
#include "registry/http/cache.h"
#include "registry/http/conn.h"
#include "registry/http/part.h"
#include "registry/http/repeat.h"
#include "registry/http/stream.h"
#include "registry/http/work.h"

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct http *http = arg;

	http->sweeps++;
	http_conn_sweep(http);
	if (http->nconns < http->max_conns && !accept_is_resting(http->guard))
		evconnlistener_enable(http->listener);
}

static bool is_loopback(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
	return address->sa_family == AF_INET6 &&
	       IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

static uint16_t bound_port(int fd)
{
	struct sockaddr_in6 address = {0};
	socklen_t size = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		return 0;
	return ntohs(address.sin6_port); /* at the same place in both families */
}

static bool may_accept(void *arg)
{
	const struct http *http = arg;

	return http->nconns < http->max_conns;
}

static void say(void *arg, const char *line)
{
	const struct registry_sink *sink = &((struct http *)arg)->reg->sink;

	sink->log(sink->ctx, LOG_WARNING, "control.http", line);
}

/* The address that it listens on is one of its names. */
static int take_own_name(struct http *http, const struct sockaddr *address)
{
	const void *bytes = address->sa_family == AF_INET
				    ? (const void *)&((const struct sockaddr_in *)address)->sin_addr
				    : &((const struct sockaddr_in6 *)address)->sin6_addr;
	char text[INET6_ADDRSTRLEN];
	unsigned n = 0;

	while (http->hosts[n])
		n++;
	http->hosts[n] = strdup(inet_ntop(address->sa_family, bytes, text, sizeof(text)) ? text : "");
	return http->hosts[n] ? 0 : -ENOMEM;
}

/* Where to listen, if clients may be served there. */
static int read_address(const struct http_config *config, const struct http_tls *tls,
	struct sockaddr_storage *address, socklen_t *size, struct reg_err *err)
{
	bool any;

	if (!listen_read(config->listen, address, size, &any))
		return reg_fail(err, -EINVAL, "%s: must be ADDRESS:PORT", config->listen);
	if (!is_loopback((struct sockaddr *)address) && !config->token && !http_tls_asks_clients(tls) &&
		!config->insecure)
		return reg_fail(err, -EINVAL,
			"%s is not a loopback address: it needs a token (control.http_token), certificates "
			"of clients (control.http_tls_client_ca), or control.http_insecure",
			config->listen);
	return 0;
}

int http_check(const struct http_config *config, struct reg_err *err)
{
	struct sockaddr_storage address;
	socklen_t size;
	struct http_tls *tls;
	int rc = http_tls_open(&config->tls, &tls, err);

	if (rc < 0)
		return rc;
	if (config->listen[0]) {
		rc = read_address(config, tls, &address, &size, err);
		if (rc == 0) {
			rc = listen_try(&address, size, SOCK_STREAM);
			if (rc < 0)
				reg_fail(err, rc, "%s: %s", config->listen, strerror(-rc));
		}
	}
	http_tls_close(tls);
	return rc;
}

static int http_listen(struct http *http, const struct http_config *config, struct reg_err *err)
{
	unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE;
	struct sockaddr_storage address;
	socklen_t size;
	int rc = read_address(config, http->tls, &address, &size, err);

	if (rc < 0)
		return rc;
	http->listener = evconnlistener_new_bind(
		http->base, NULL, NULL, flags, 1024, (struct sockaddr *)&address, (int)size);
	if (!http->listener) {
		rc = -errno;
		return reg_fail(err, rc, "%s: %s", config->listen, strerror(-rc));
	}
	/* Accepted sockets have it from here. The last part of a long answer must not wait until the client has confirmed the
	 * first, which it does after 40 ms; where it cannot be set answers are only late. */
	setsockopt(evconnlistener_get_fd(http->listener), IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	http->checks_host = is_loopback((struct sockaddr *)&address) || config->nhosts;
	if (http->checks_host && take_own_name(http, (struct sockaddr *)&address) < 0)
		return reg_fail(err, -ENOMEM, "out of memory");
	http->port = bound_port(evconnlistener_get_fd(http->listener));
	if (!evhttp_bind_listener(http->server, http->listener)) {
		evconnlistener_free(http->listener);
		http->listener = NULL;
		return reg_fail(err, -ENOMEM, "out of memory");
	}
	http->guard = accept_guard(http->base, http->listener, "control.http", may_accept, say, http);
	if (!http->guard)
		return reg_fail(err, -ENOMEM, "out of memory");
	return 0;
}

static int http_start(struct http *http)
{
	static const struct timeval second = {.tv_sec = 1};

	http->server = evhttp_new(http->base);
	http->sweep = event_new(http->base, -1, EV_PERSIST, on_sweep, http);
	if (!http->server || !http->sweep || http_park_open(http) < 0 || http_works_open(http) < 0 ||
		http_cache_open(http) < 0 || http_parts_open(http) < 0 || http_repeats_open(http) < 0)
		return -ENOMEM;
	evhttp_set_max_headers_size(http->server, HTTP_HEADERS_MAX);
	evhttp_set_max_body_size(http->server, HTTP_BODY_MAX);
	evhttp_set_timeout(http->server, (int)http->slow_s);
	evhttp_set_allowed_methods(http->server, EVHTTP_REQ_GET | EVHTTP_REQ_PUT | EVHTTP_REQ_POST |
							 EVHTTP_REQ_DELETE | EVHTTP_REQ_HEAD |
							 EVHTTP_REQ_OPTIONS);
	evhttp_set_bevcb(http->server, http_conn_accept, http);
	evhttp_set_gencb(http->server, http_dispatch, http);
	evhttp_set_default_content_type(http->server, NULL);
	return event_add(http->sweep, &second) < 0 ? -ENOMEM : 0;
}

static int http_make(const struct http_config *config, struct http *http)
{
	TAILQ_INIT(&http->parked);
	TAILQ_INIT(&http->woken);
	TAILQ_INIT(&http->blocked);
	LIST_INIT(&http->streams);
	http->base = config->base;
	http->reg = config->reg;
	http->api = config->api;
	http->journal = config->journal;
	http->changes_by_get = config->changes_by_get;
	http->max_conns = config->conns ? config->conns : HTTP_CONNS;
	http->max_parked = config->parked ? config->parked : HTTP_PARKED;
	http->slow_s = config->slow_s ? config->slow_s : HTTP_SLOW_S;
	http->token = config->token ? strdup(config->token) : NULL;
	if (config->token && !http->token)
		return -ENOMEM;
	for (size_t i = 0; i < config->nhosts && i < HTTP_HOSTS; i++) {
		http->hosts[i] = strdup(config->hosts[i]);
		if (!http->hosts[i])
			return -ENOMEM;
	}
	return 0;
}

int http_open(const struct http_config *config, struct http **out, struct reg_err *err)
{
	struct http *http = calloc(1, sizeof(*http));
	int rc = http ? http_make(config, http) : -ENOMEM;

	reg_fail(err, 0, "out of memory");
	if (!rc)
		rc = http_tls_open(&config->tls, &http->tls, err);
	if (!rc)
		rc = http_start(http);
	if (!rc)
		rc = http_listen(http, config, err);
	if (rc < 0) {
		http_close(http);
		return rc;
	}
	*out = http;
	return 0;
}

void http_close(struct http *http)
{
	if (!http)
		return;
	http_works_close(http);
	http_streams_close(http);
	http_park_close(http);
	http_cache_close(http);
	http_parts_close(http);
	accept_unguard(http->guard);
	if (http->server)
		evhttp_free(http->server);
	http_conns_close(http);
	http_repeats_close(http);
	if (http->sweep)
		event_free(http->sweep);
	http_tls_close(http->tls);
	free(http->token);
	free(http->scratch);
	for (unsigned i = 0; http->hosts[i]; i++)
		free(http->hosts[i]);
	free(http);
}

struct http_info http_info(const struct http *http)
{
	const struct http_works_info works = http_works_info(http);

	struct http_info info = {.connections = http->nconns,
		.lists = works.active + works.waiting,
		.slices = works.slices,
		.parked = http->nparked,
		.streams = http->nstreams,
		.streams_cut = http->streams_cut,
		.streams_refused = http->streams_refused,
		.answers = http->answers};

	http_cache_info(http, &info);
	return info;
}

int http_reload(struct http *http, struct reg_err *err)
{
	return http->tls ? http_tls_reload(http->tls, err) : 0;
}

uint16_t http_port(const struct http *http)
{
	return http->port;
}
