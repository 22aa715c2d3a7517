#include "bench/client/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/host/host.h"

enum {
	PORT = 5201,
	WORDS = 32768, /* after which what is sent repeats */
	BYTES = WORDS * 8,
	PATIENCE_S = 10,
	STREAMS_MAX = 64,
};

struct stream {
	struct streams *all;
	pthread_t thread[2];
	_Atomic(uint64_t) bytes;
	uint64_t wrong;
};

struct streams {
	const struct stream_end *end[2]; /* from, to */
	int core, listener;
	atomic_bool stop;
	_Atomic(int) failed; /* -errno of whoever failed first */
	_Atomic(unsigned) receiving;
	uint64_t word[WORDS]; /* what is sent */
	struct stream stream[STREAMS_MAX];
};

static void fail(struct streams *all, int rc)
{
	int none = 0;

	atomic_compare_exchange_strong(&all->failed, &none, rc);
	atomic_store(&all->stop, true);
}

/* The calling thread goes to the end's namespace, and to the streams' core. */
static int go_to(const struct streams *all, const struct stream_end *end)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (all->core < 0 || i == all->core)
			CPU_SET(i, &set);
	sched_setaffinity(0, sizeof(set), &set);
	return host_enter(end->netns);
}

static int make_socket(void)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)); /* connect(2) too */
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)); /* accept(2) too */
	return fd;
}

static struct sockaddr_in address_of(const struct stream_end *end)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};

	inet_pton(AF_INET, end->address, &address.sin_addr);
	return address;
}

static void *send_all(void *arg)
{
	struct stream *s = arg;
	struct streams *all = s->all;
	struct sockaddr_in to = address_of(all->end[1]);
	int rc = go_to(all, all->end[0]), fd = rc < 0 ? rc : make_socket();
	size_t at = 0;

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		fail(all, fd < 0 ? fd : -errno);
		goto out;
	}
	while (!atomic_load_explicit(&all->stop, memory_order_relaxed)) {
		ssize_t n = send(fd, (const char *)all->word + at, BYTES - at, MSG_NOSIGNAL);

		if (n <= 0)
			break; /* the other end says why */
		at = (at + (size_t)n) % BYTES;
	}
out:
	if (fd >= 0)
		close(fd);
	return NULL;
}

/* The first whole word of what was read, `at` bytes after the beginning. */
static bool is_right(const struct streams *all, const char *data, size_t n, uint64_t at)
{
	size_t skip = (size_t)(-at % 8);
	uint64_t word;

	if (n < skip + 8)
		return true;
	memcpy(&word, data + skip, sizeof(word));
	return word == all->word[(at + skip) / 8 % WORDS];
}

static void *receive_all(void *arg)
{
	struct stream *s = arg;
	struct streams *all = s->all;
	int rc = go_to(all, all->end[1]), fd = rc < 0 ? rc : accept(all->listener, NULL, NULL);
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	char *buffer = malloc(BYTES);
	uint64_t at = 0;

	if (fd < 0 || !buffer) {
		fail(all, fd >= 0 ? -ENOMEM : rc < 0 ? rc : -errno);
		goto out;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	atomic_fetch_add(&all->receiving, 1);
	for (;;) {
		ssize_t n = recv(fd, buffer, BYTES, 0);

		if (n < 0)
			fail(all, -errno);
		if (n <= 0)
			break;
		s->wrong += !is_right(all, buffer, (size_t)n, at);
		at += (uint64_t)n;
		atomic_store_explicit(&s->bytes, at, memory_order_relaxed);
	}
out:
	free(buffer);
	if (fd >= 0)
		close(fd);
	return NULL;
}

/* Thread: namespaces are a thread's, so the caller's own stays what it is. */
static void *listen_there(void *arg)
{
	struct streams *all = arg;
	struct sockaddr_in at = address_of(all->end[1]);
	const int one = 1;
	int rc = go_to(all, all->end[1]), fd = rc < 0 ? rc : make_socket();

	if (fd >= 0 &&
		(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
			bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, STREAMS_MAX) < 0)) {
		rc = -errno;
		close(fd);
		fd = rc;
	}
	all->listener = fd;
	return NULL;
}

static uint64_t sum(const struct streams *all, unsigned count)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < count; i++)
		bytes += atomic_load(&all->stream[i].bytes);
	return bytes;
}

static void pass_time(const struct streams *all, double seconds)
{
	const struct timespec nap = {.tv_nsec = 5000000};
	uint64_t end = host_now_ns() + (uint64_t)(seconds * 1e9);

	while (host_now_ns() < end && !atomic_load(&all->stop))
		nanosleep(&nap, NULL);
}

static void measure(
	struct streams *all, unsigned count, double warm_up, double seconds, struct stream_result *result)
{
	uint64_t start, bytes;

	for (unsigned ms = 0; ms < PATIENCE_S * 1000 && atomic_load(&all->receiving) < count; ms += 5)
		pass_time(all, 0.005);
	pass_time(all, warm_up);
	start = host_now_ns();
	bytes = sum(all, count);
	pass_time(all, seconds);
	result->bytes = sum(all, count) - bytes;
	result->seconds = (double)(host_now_ns() - start) * 1e-9;
	atomic_store(&all->stop, true);
}

static int start_all(struct streams *all, unsigned count, unsigned *started)
{
	for (unsigned i = 0; i < count; i++) {
		struct stream *s = &all->stream[i];

		s->all = all;
		if (pthread_create(&s->thread[1], NULL, receive_all, s) != 0)
			return -EAGAIN;
		if (pthread_create(&s->thread[0], NULL, send_all, s) != 0) {
			shutdown(all->listener, SHUT_RDWR);
			pthread_join(s->thread[1], NULL);
			return -EAGAIN;
		}
		++*started;
	}
	return 0;
}

int stream_run(const struct stream_end *from, const struct stream_end *to, unsigned count, int core,
	double warm_up, double seconds, struct stream_result *result, char error[256])
{
	struct streams *all = calloc(1, sizeof(*all));
	pthread_t listening;
	unsigned started = 0;
	int rc = -ENOMEM;

	*result = (struct stream_result){0};
	if (!all || count > STREAMS_MAX) {
		free(all);
		snprintf(error, 256, count > STREAMS_MAX ? "at most %d connections" : "no memory",
			STREAMS_MAX);
		return all ? -EINVAL : -ENOMEM;
	}
	all->end[0] = from;
	all->end[1] = to;
	all->core = core;
	all->listener = -1;
	for (unsigned i = 0; i < WORDS; i++)
		all->word[i] = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
	if (pthread_create(&listening, NULL, listen_there, all) == 0) {
		pthread_join(listening, NULL);
		rc = all->listener < 0 ? all->listener : start_all(all, count, &started);
	}
	if (rc == 0)
		measure(all, count, warm_up, seconds, result);
	atomic_store(&all->stop, true);
	for (unsigned i = 0; i < started; i++)
		pthread_join(all->stream[i].thread[0], NULL);
	if (all->listener >= 0)
		shutdown(all->listener, SHUT_RDWR); /* for those that nobody came to */
	for (unsigned i = 0; i < started; i++) {
		pthread_join(all->stream[i].thread[1], NULL);
		result->wrong += all->stream[i].wrong;
	}
	if (all->listener >= 0)
		close(all->listener);
	rc = rc < 0 ? rc : atomic_load(&all->failed);
	if (rc < 0)
		snprintf(error, 256, "from %s to %s: %s", from->name, to->name, strerror(-rc));
	free(all);
	return rc;
}
