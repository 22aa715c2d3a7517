#include "bench/client/load.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/client/asker.h"
#include "bench/host/host.h"

#define CHANGE_S 0.1 /* after the last one, if all have heard of it */

enum { BATCH = 64, STEP_NS = 1000000, REST_NS = 100000000, OK = 200, EVENTS = 64 };

struct load {
	pthread_t thread;
	atomic_bool stop;
	uint16_t http_port;
	int http, dns, epoll, waiting[LOAD_WAITING];
	const char *service;
	uint64_t index, changed; /* of the last change, and when it was asked for */
	unsigned heard;		 /* how many of those who wait have */
	unsigned changes;
	int rc;
	struct load_result result;
};

static void ask(struct load *b, unsigned n)
{
	static struct mmsghdr out[BATCH];
	static struct iovec part[BATCH];
	static uint8_t question[ASKER_QUESTION];
	size_t len = asker_question(question, 1, b->service);
	int sent;

	for (unsigned i = 0; i < n; i++) {
		part[i] = (struct iovec){question, len};
		out[i].msg_hdr = (struct msghdr){.msg_iov = &part[i], .msg_iovlen = 1};
	}
	sent = sendmmsg(b->dns, out, n, MSG_DONTWAIT);
	b->result.questions += sent > 0 ? (uint64_t)sent : 0;
}

static void hear_answers(struct load *b)
{
	static struct mmsghdr in[BATCH];
	static struct iovec part[BATCH];
	static uint8_t answer[512];
	int n;

	for (unsigned i = 0; i < BATCH; i++) {
		part[i] = (struct iovec){answer, sizeof(answer)}; /* how many is all that counts */
		in[i].msg_hdr = (struct msghdr){.msg_iov = &part[i], .msg_iovlen = 1};
	}
	while ((n = recvmmsg(b->dns, in, BATCH, MSG_DONTWAIT, NULL)) > 0)
		b->result.answers += (uint64_t)n;
}

static int park(struct load *b, int fd)
{
	char path[96];

	snprintf(path, sizeof(path), "/v1/health/service/load?index=%llu&wait=10m",
		(unsigned long long)b->index);
	return asker_send(fd, "GET", path, "");
}

static int change(struct load *b)
{
	char body[128];
	int rc;

	snprintf(body, sizeof(body), "{\"Name\":\"load\",\"ID\":\"b\",\"Address\":\"10.9.0.1\",\"Port\":%u}",
		1000 + b->changes++ % 1000);
	b->changed = host_tsc();
	b->heard = 0;
	rc = asker_send(b->http, "PUT", "/v1/agent/service/register", body);
	if (rc == 0)
		rc = asker_receive(b->http, &b->index);
	return rc < 0 ? rc : rc == OK ? 0 : -EPROTO;
}

/* Clients that were woken wait again, for the change after the one that they were told of. */
static int hear_change(struct load *b)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(b->epoll, events, EVENTS, 0), rc = 0;

	for (int i = 0; i < n && rc >= 0; i++, b->heard++) {
		rc = asker_receive(events[i].data.fd, &b->index);
		if (rc >= 0)
			histogram_add(b->result.woken, host_tsc() - b->changed, 1);
		if (rc >= 0)
			rc = rc == OK ? park(b, events[i].data.fd) : -EPROTO;
	}
	return rc < 0 ? rc : 0;
}

static int park_all(struct load *b)
{
	int rc = change(b);

	if (rc == 0)
		rc = asker_send(b->http, "GET", "/v1/health/service/load", "");
	if (rc == 0)
		rc = asker_receive(b->http, &b->index);
	for (unsigned i = 0; i < LOAD_WAITING && rc >= 0; i++) {
		struct epoll_event event = {.events = EPOLLIN};

		event.data.fd = rc = b->waiting[i] = asker_http(b->http_port);
		if (rc >= 0)
			rc = epoll_ctl(b->epoll, EPOLL_CTL_ADD, event.data.fd, &event) < 0 ? -errno : 0;
		if (rc == 0)
			rc = park(b, event.data.fd);
	}
	b->heard = LOAD_WAITING;
	return rc < 0 ? rc : 0;
}

static void *run(void *arg)
{
	static const struct timespec pause = {.tv_nsec = STEP_NS}, rest = {.tv_nsec = REST_NS};
	struct load *b = arg;
	double hz = host_tsc_hz();
	uint64_t start = host_tsc(), now = start;

	while (!atomic_load(&b->stop) && b->rc == 0) {
		uint64_t due = (uint64_t)((double)(now - start) / hz * LOAD_QUESTIONS);
		uint64_t behind = due > b->result.questions ? due - b->result.questions : 0;

		ask(b, behind < BATCH ? (unsigned)behind : BATCH);
		hear_answers(b);
		b->rc = hear_change(b);
		if (b->rc == 0 && b->heard >= LOAD_WAITING && now - b->changed > (uint64_t)(CHANGE_S * hz))
			b->rc = change(b);
		if (behind < BATCH)
			nanosleep(&pause, NULL);
		now = host_tsc();
	}
	nanosleep(&rest, NULL);
	hear_answers(b);
	b->result.seconds = (double)(now - start) / hz;
	return NULL;
}

static void release(struct load *b)
{
	for (unsigned i = 0; i < LOAD_WAITING; i++)
		if (b->waiting[i] >= 0)
			close(b->waiting[i]);
	if (b->http >= 0)
		close(b->http);
	if (b->dns >= 0)
		close(b->dns);
	if (b->epoll >= 0)
		close(b->epoll);
	free(b->result.woken);
	free(b);
}

struct load *load_start(uint16_t http, uint16_t dns, const char *service)
{
	struct load *b = calloc(1, sizeof(*b));
	int rc, queue = 4 << 20; /* answers that came while it had no core */

	if (!b)
		return NULL;
	for (unsigned i = 0; i < LOAD_WAITING; i++)
		b->waiting[i] = -1;
	b->service = service;
	b->http_port = http;
	b->http = asker_http(http);
	b->dns = asker_dns(dns);
	if (b->dns >= 0)
		setsockopt(b->dns, SOL_SOCKET, SO_RCVBUFFORCE, &queue, sizeof(queue));
	b->epoll = epoll_create1(EPOLL_CLOEXEC);
	b->result.woken = calloc(1, sizeof(*b->result.woken));
	rc = b->http < 0			? b->http
	     : b->dns < 0			? b->dns
	     : b->epoll < 0 || !b->result.woken ? -ENOMEM
						: park_all(b);
	if (rc == 0)
		rc = -pthread_create(&b->thread, NULL, run, b);
	if (rc == 0)
		return b;
	release(b);
	errno = -rc;
	return NULL;
}

int load_stop(struct load *b, struct load_result *result)
{
	int rc;

	atomic_store(&b->stop, true);
	pthread_join(b->thread, NULL);
	*result = b->result;
	b->result.woken = NULL;
	rc = b->rc;
	release(b);
	return rc;
}
