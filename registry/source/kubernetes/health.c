/*
 * health.c: load balancers ask a node by HTTP whether they may send it what is for a Service. With
 * externalTrafficPolicy: Local at the Service's own port (healthCheckNodePort): are there endpoints on this node? For all
 * others at one port (healthz): does this node balance, and is it to stay (KEP-3836)?
 *
 * Anybody may ask, so that little is taken of each: a request's first KB, for some seconds, of so many at a time.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "registry/base/accept.h"
#include "registry/base/listen.h"
#include "registry/base/wheel.h"
#include "registry/source/kubernetes/inside.h"

enum {
	ASKING = 64,  /* at a time */
	DOORS = 1024, /* listeners */
	REQUEST = 1024,
	PATIENCE_S = 5,
};

/* A port that is listened on. */
struct door {
	TAILQ_ENTRY(door) link;
	struct kube_health *health;
	char key[KUBE_KEY]; /* of the Service; "": healthz */
	uint16_t port;
	unsigned round;
	struct evconnlistener *listener;
	struct accept_guard *guard;
};

struct asking {
	TAILQ_ENTRY(asking) link;
	struct kube_health *health;
	struct bufferevent *connection;
	uint64_t began_us;
	char key[KUBE_KEY];
	bool answered;
};

struct kube_health {
	struct kubernetes *k;
	TAILQ_HEAD(, door) doors;
	TAILQ_HEAD(, asking) asking;
	unsigned nasking, ndoor, round;
	bool full; /* said already */
};

static bool may_accept(void *arg)
{
	const struct kube_health *health = arg;

	return health->nasking < ASKING;
}

static void say(void *arg, const char *line)
{
	const struct kube_health *health = arg;

	registry_log(health->k->reg, LOG_WARNING, "kubernetes", line);
}

static void let_all(struct kube_health *health)
{
	struct door *door;

	TAILQ_FOREACH (door, &health->doors, link) {
		if (health->nasking >= ASKING)
			evconnlistener_disable(door->listener);
		else if (!accept_is_resting(door->guard))
			evconnlistener_enable(door->listener);
	}
}

static void end(struct asking *asking)
{
	struct kube_health *health = asking->health;

	TAILQ_REMOVE(&health->asking, asking, link);
	bufferevent_free(asking->connection);
	free(asking);
	if (health->nasking-- == ASKING)
		let_all(health);
}

/* Of the family that has more: those of two families are the same pods. */
static unsigned count_local(const struct kubernetes *k, const char *key)
{
	enum { WANTED = KUBE_LOCAL | KUBE_READY };
	struct kube_service *service;
	const struct kube_slice *slice;
	unsigned n[2] = {0};

	HASH_FIND_STR(k->services, key, service);
	if (!service)
		return 0;
	TAILQ_FOREACH (slice, &service->slices, link)
		for (unsigned i = 0; i < slice->n; i++)
			if ((slice->endpoints[i].flags & WANTED) == WANTED)
				n[ip_is4(slice->endpoints[i].address)]++;
	return n[0] > n[1] ? n[0] : n[1];
}

static bool is_serving(const struct kubernetes *k)
{
	return k->restored || (kube_follow_synced(k->follows[KUBE_SERVICES_OF]) &&
				      kube_follow_synced(k->follows[KUBE_SLICES_OF]));
}

/* The body. Returns whether all is well. */
static bool write_body(const struct kubernetes *k, const char *key, bool live, char *body, size_t size)
{
	bool serves = is_serving(k), stays = live || !k->leaving;
	const char *slash = strchr(key, '/');
	unsigned n;

	if (!slash) {
		snprintf(body, size, "{\"nodeEligible\":%s,\"synced\":%s}", k->leaving ? "false" : "true",
			serves ? "true" : "false");
		return serves && stays;
	}
	n = count_local(k, key);
	snprintf(body, size,
		"{\"service\":{\"namespace\":\"%.*s\",\"name\":\"%s\"},\"localEndpoints\":%u,"
		"\"serviceProxyHealthy\":%s}",
		(int)(slash - key), key, slash + 1, n, serves && stays ? "true" : "false");
	return serves && stays && n;
}

static void answer(struct asking *asking, bool live)
{
	char body[256 + KUBE_KEY];
	bool well = write_body(asking->health->k, asking->key, live, body, sizeof(body));

	asking->answered = true;
	bufferevent_disable(asking->connection, EV_READ);
	evbuffer_add_printf(bufferevent_get_output(asking->connection),
		"HTTP/1.1 %s\r\nContent-Type: application/json\r\nX-Content-Type-Options: nosniff\r\n"
		"Connection: close\r\nContent-Length: %zu\r\n\r\n%s",
		well ? "200 OK" : "503 Service Unavailable", strlen(body), body);
}

/* A request's header is whole, or too long to be waited for. Who says a byte now and then is no better than who says nothing. */
static void on_read(struct bufferevent *connection, void *arg)
{
	const struct asking *asking = arg;
	struct evbuffer *in = bufferevent_get_input(connection);
	char request[REQUEST + 1];
	ssize_t n = evbuffer_copyout(in, request, REQUEST);

	request[n > 0 ? n : 0] = '\0';
	if (n < REQUEST && !strstr(request, "\r\n\r\n") && !strstr(request, "\n\n")) {
		if (wheel_now_us() - asking->began_us > PATIENCE_S * UINT64_C(1000000))
			end(arg);
		return;
	}
	evbuffer_drain(in, evbuffer_get_length(in));
	answer(arg, strncmp(request, "GET /livez", 10) == 0);
}

static void on_written(struct bufferevent *connection, void *arg)
{
	const struct asking *asking = arg;

	if (asking->answered)
		end(arg);
}

static void on_event(struct bufferevent *connection, short what, void *arg)
{
	end(arg);
}

static void on_accept(
	struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from, int len, void *arg)
{
	static const struct timeval patience = {.tv_sec = PATIENCE_S};
	struct door *door = arg;
	struct kube_health *health = door->health;
	struct asking *asking = calloc(1, sizeof(*asking));

	accept_taken(door->guard);
	if (asking)
		asking->connection = bufferevent_socket_new(health->k->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!asking || !asking->connection) {
		evutil_closesocket(fd);
		free(asking);
		return;
	}
	asking->health = health;
	asking->began_us = wheel_now_us();
	strcpy(asking->key, door->key);
	TAILQ_INSERT_TAIL(&health->asking, asking, link);
	bufferevent_setcb(asking->connection, on_read, on_written, on_event, asking);
	bufferevent_setwatermark(asking->connection, EV_READ, 0, REQUEST);
	bufferevent_set_timeouts(asking->connection, &patience, &patience);
	bufferevent_enable(asking->connection, EV_READ | EV_WRITE);
	if (++health->nasking == ASKING)
		let_all(health);
}

static void close_door(struct kube_health *health, struct door *door)
{
	TAILQ_REMOVE(&health->doors, door, link);
	health->ndoor--;
	accept_unguard(door->guard);
	if (door->listener)
		evconnlistener_free(door->listener);
	free(door);
}

static void open_door(
	struct kube_health *health, const char *key, uint16_t port, const struct sockaddr *at, socklen_t size)
{
	enum { FLAGS = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE };
	struct door *door = health->ndoor < DOORS ? calloc(1, sizeof(*door)) : NULL;
	char line[KUBE_KEY + 128];

	if (!door)
		return;
	*door = (struct door){.health = health, .port = port, .round = health->round};
	strcpy(door->key, key);
	TAILQ_INSERT_TAIL(&health->doors, door, link);
	health->ndoor++;
	door->listener =
		evconnlistener_new_bind(health->k->base, on_accept, door, FLAGS, ASKING, at, (int)size);
	if (door->listener)
		door->guard = accept_guard(
			health->k->base, door->listener, "health of a Service", may_accept, say, health);
	if (door->guard)
		return;
	snprintf(line, sizeof(line), "kubernetes: %s is not told about at port %u: %s",
		key[0] ? key : "the node's health", port, strerror(errno));
	if (!health->full)
		registry_log(health->k->reg, LOG_WARNING, "kubernetes", line);
	health->full = true;
	close_door(health, door);
}

static bool has_door(struct kube_health *health, const char *key, uint16_t port)
{
	struct door *door;

	TAILQ_FOREACH (door, &health->doors, link)
		if (door->port == port && strcmp(door->key, key) == 0) {
			door->round = health->round;
			return true;
		}
	return false;
}

void kube_health_update(struct kubernetes *k)
{
	struct kube_health *health = k->health;
	struct kube_service *service, *next_service;
	struct sockaddr_in6 at = {.sin6_family = AF_INET6};
	struct sockaddr_in at4 = {.sin_family = AF_INET};
	struct door *door, *next;

	if (!health)
		return;
	health->round++;
	HASH_ITER(hh, k->services, service, next_service)
	if (service->spec.outside.health_port)
		has_door(health, service->key, service->spec.outside.health_port);
	for (door = TAILQ_FIRST(&health->doors); door; door = next) {
		next = TAILQ_NEXT(door, link);
		if (door->key[0] && door->round != health->round)
			close_door(health, door);
	}
	HASH_ITER(hh, k->services, service, next_service)
	{
		uint16_t port = service->spec.outside.health_port;

		if (!port || has_door(health, service->key, port))
			continue;
		at.sin6_port = at4.sin_port = htons(port);
		if (access("/proc/net/if_inet6", F_OK) == 0)
			open_door(health, service->key, port, (struct sockaddr *)&at, sizeof(at));
		else
			open_door(health, service->key, port, (struct sockaddr *)&at4, sizeof(at4));
	}
}

int kube_health_open(struct kubernetes *k, const char *healthz)
{
	struct kube_health *health = k->health = calloc(1, sizeof(*health));
	struct sockaddr_storage at;
	socklen_t size;
	bool any;

	if (!health)
		return -ENOMEM;
	health->k = k;
	TAILQ_INIT(&health->doors);
	TAILQ_INIT(&health->asking);
	if (healthz && listen_read(healthz, &at, &size, &any))
		open_door(health, "", ntohs(((struct sockaddr_in *)&at)->sin_port), (struct sockaddr *)&at,
			size);
	return 0;
}

void kube_health_close(struct kubernetes *k)
{
	struct kube_health *health = k->health;
	struct asking *asking;
	struct door *door;

	if (!health)
		return;
	while ((door = TAILQ_FIRST(&health->doors)))
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): one that was freed is in the list no more */
		close_door(health, door);
	while ((asking = TAILQ_FIRST(&health->asking)))
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the same */
		end(asking);
	free(health);
	k->health = NULL;
}
