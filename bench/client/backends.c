#include "bench/client/backends.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/host/host.h"

enum {
	CONNECTIONS = 1 << 16, /* at once; who comes then waits in the kernel */
	BACKLOG = 4096,
	EVENTS = 128,
	LONGEST_NS = 20000000, /* that it sleeps: so soon it sees that it is to stop */
};

struct connection {
	int fd;
	unsigned backend;
	uint8_t number[4];
};

struct backends {
	pthread_t thread;
	atomic_bool stop;
	const char *netns;
	int core, epoll, listener[QUEUES], rc;
	struct queues *queues;
	struct connection connection[CONNECTIONS];
	uint32_t free[CONNECTIONS], n_free;
	pthread_barrier_t listening;
};

static int listen_at(struct backends *b, unsigned i)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(BACKENDS_PORT + i))};
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = CONNECTIONS + i};
	const int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	b->listener[i] = fd;
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
		bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, BACKLOG) < 0 ||
		epoll_ctl(b->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		return -errno;
	return 0;
}

static void end(struct backends *b, uint32_t n)
{
	close(b->connection[n].fd);
	b->connection[n].fd = -1;
	b->free[b->n_free++] = n;
}

/* 0: it is in its queue; -EAGAIN: the request has not come. */
static int take_request(struct backends *b, uint32_t n)
{
	struct connection *c = &b->connection[n];
	ssize_t got = recv(c->fd, c->number, sizeof(c->number), 0);

	if (got < 0 && errno == EAGAIN)
		return -EAGAIN;
	if (got != sizeof(c->number) || !queues_add(b->queues, c->backend, n, host_tsc()))
		return -EPROTO;
	return 0;
}

/* Often the request is there already. */
static void accept_all(struct backends *b, unsigned backend)
{
	while (b->n_free > 0) {
		struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT};
		int rc, fd = accept4(b->listener[backend], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		uint32_t n;

		if (fd < 0)
			return;
		n = event.data.u32 = b->free[--b->n_free];
		b->connection[n] = (struct connection){.fd = fd, .backend = backend};
		rc = take_request(b, n);
		if (rc == -EAGAIN && epoll_ctl(b->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
			rc = -errno;
		if (rc < 0 && rc != -EAGAIN)
			end(b, n);
	}
}

static void answer_all(struct backends *b)
{
	uint8_t answer[BACKENDS_ANSWER];
	unsigned backend;
	uint32_t n;

	while (queues_done(b->queues, host_tsc(), &backend, &n)) {
		memcpy(answer, b->connection[n].number, sizeof(b->connection[n].number));
		answer[BACKENDS_ANSWER - 1] = (uint8_t)backend;
		(void)send(b->connection[n].fd, answer, sizeof(answer), MSG_NOSIGNAL); /* it may have gone */
		end(b, n);
	}
}

/* Until something comes, or is done. */
static int look(struct backends *b)
{
	struct epoll_event events[EVENTS];
	uint64_t next = queues_next(b->queues), now = host_tsc();
	double ns = next == UINT64_MAX ? LONGEST_NS
		    : next <= now      ? 0
				       : (double)(next - now) / host_tsc_hz() * 1e9;
	struct timespec wait = {.tv_nsec = ns < LONGEST_NS ? (long)ns : LONGEST_NS};
	int n = epoll_pwait2(b->epoll, events, EVENTS, &wait, NULL);

	for (int i = 0; i < n; i++) {
		uint32_t at = events[i].data.u32;

		if (at >= CONNECTIONS)
			accept_all(b, at - CONNECTIONS);
		else if (take_request(b, at) < 0)
			end(b, at);
	}
	return n < 0 && errno != EINTR ? -errno : 0;
}

static void *serve(void *arg)
{
	struct backends *b = arg;

	host_pin(b->core);
	b->rc = host_enter(b->netns);
	for (unsigned i = 0; i < QUEUES && b->rc == 0; i++)
		b->rc = listen_at(b, i);
	pthread_barrier_wait(&b->listening);
	while (b->rc == 0 && !atomic_load(&b->stop)) {
		b->rc = look(b);
		answer_all(b);
	}
	return NULL;
}

static void release(struct backends *b)
{
	for (unsigned i = 0; i < QUEUES; i++)
		if (b->listener[i] >= 0)
			close(b->listener[i]);
	for (uint32_t n = 0; n < CONNECTIONS; n++)
		if (b->connection[n].fd >= 0)
			close(b->connection[n].fd);
	if (b->epoll >= 0)
		close(b->epoll);
	queues_close(b->queues);
	free(b);
}

struct backends *backends_start(const char *netns, int core, uint64_t seed, double slower)
{
	struct backends *b = calloc(1, sizeof(*b));
	int rc;

	if (!b)
		return NULL;
	for (unsigned i = 0; i < QUEUES; i++)
		b->listener[i] = -1;
	for (uint32_t n = 0; n < CONNECTIONS; n++) {
		b->connection[n].fd = -1;
		b->free[b->n_free++] = CONNECTIONS - 1 - n;
	}
	b->netns = netns;
	b->core = core;
	b->epoll = epoll_create1(EPOLL_CLOEXEC);
	b->queues = queues_open(host_tsc(), seed, slower);
	pthread_barrier_init(&b->listening, NULL, 2);
	rc = b->epoll < 0 || !b->queues ? -ENOMEM : -pthread_create(&b->thread, NULL, serve, b);
	if (rc == 0) {
		pthread_barrier_wait(&b->listening);
		return b;
	}
	release(b);
	errno = -rc;
	return NULL;
}

int backends_stop(struct backends *b)
{
	int rc;

	if (!b)
		return 0;
	atomic_store(&b->stop, true);
	pthread_join(b->thread, NULL);
	rc = b->rc;
	release(b);
	return rc;
}
