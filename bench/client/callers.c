#include "bench/client/callers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/client/backends.h"
#include "bench/host/host.h"

enum {
	OPEN = 1 << 15, /* connections at once of one host: it has not many more ports */
	EVENTS = 128,
	BURST = 32, /* requests that are late are sent so many at once */
	LONGEST_NS = 20000000,
};

#define PATIENCE_S 5.0

struct call {
	int fd;
	uint64_t due;	 /* 0: answered, and waits for the end */
	uint32_t number; /* what is asked; 0: not yet */
};

struct caller {
	const struct callers *all;
	const struct stream_end *from;
	struct sockaddr_in to;
	pthread_t thread;
	int epoll, rc;
	uint64_t random, timed_from; /* what is due before that is not timed */
	struct callers_result result;
	struct call call[OPEN];
	uint32_t free[OPEN], n_free, number;
};

/* xorshift64* (Vigna, 2016): exponential with mean 1. */
static double exponential(struct caller *c)
{
	c->random ^= c->random >> 12;
	c->random ^= c->random << 25;
	c->random ^= c->random >> 27;
	return -log((double)((c->random * UINT64_C(0x2545f4914f6cdd1d) >> 11) + 1) / 9007199254740992.0);
}

static void hang_up(struct caller *c, uint32_t n)
{
	close(c->call[n].fd);
	c->call[n].fd = -1;
	c->free[c->n_free++] = n;
}

static void lose(struct caller *c, uint32_t n)
{
	c->result.lost += c->call[n].due != 0;
	hang_up(c, n);
}

static void ask(struct caller *c, uint64_t due)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET};
	struct call *call;
	uint32_t n;

	c->result.sent++;
	if (c->n_free == 0) {
		c->result.lost++;
		return;
	}
	n = event.data.u32 = c->free[--c->n_free];
	call = &c->call[n];
	*call = (struct call){
		.due = due, .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
	if (call->fd < 0) {
		c->free[c->n_free++] = n;
		c->result.lost++;
		return;
	}
	if ((connect(call->fd, (struct sockaddr *)&c->to, sizeof(c->to)) < 0 && errno != EINPROGRESS) ||
		epoll_ctl(c->epoll, EPOLL_CTL_ADD, call->fd, &event) < 0)
		lose(c, n);
}

static void take_answer(struct caller *c, struct call *call, const uint8_t *answer)
{
	uint8_t backend = answer[BACKENDS_ANSWER - 1];

	if (memcmp(answer, &call->number, sizeof(call->number)) != 0 || backend >= QUEUES)
		c->result.wrong++;
	else
		c->result.reached |= UINT32_C(1) << backend;
	if (call->due >= c->timed_from)
		histogram_add(c->result.took, host_tsc() - call->due, 1);
	call->due = 0;
}

/* The server hangs up first, so that no port of the client's is kept from being used again. */
static void hear(struct caller *c, uint32_t n, uint32_t events)
{
	struct call *call = &c->call[n];
	uint8_t answer[BACKENDS_ANSWER + 1];
	ssize_t got;

	if (call->number == 0 && !(events & EPOLLERR)) {
		call->number = ++c->number;
		if (send(call->fd, &call->number, sizeof(call->number), MSG_NOSIGNAL) !=
			sizeof(call->number)) {
			lose(c, n);
			return;
		}
	}
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	while ((got = recv(call->fd, answer, sizeof(answer), 0)) == BACKENDS_ANSWER && call->due)
		take_answer(c, call, answer);
	if (got >= 0 || errno != EAGAIN)
		lose(c, n);
}

/* What has come, or until the time `until`. */
static int look(struct caller *c, uint64_t until)
{
	struct epoll_event events[EVENTS];
	uint64_t now = host_tsc();
	double ns = until > now ? (double)(until - now) / host_tsc_hz() * 1e9 : 0;
	struct timespec wait = {.tv_nsec = ns < LONGEST_NS ? (long)ns : LONGEST_NS};
	int n = epoll_pwait2(c->epoll, events, EVENTS, &wait, NULL);

	for (int i = 0; i < n; i++)
		hear(c, events[i].data.u32, events[i].events);
	return n < 0 && errno != EINTR ? -errno : 0;
}

static uint64_t cycles(double seconds)
{
	return (uint64_t)(seconds * host_tsc_hz());
}

static int call_all(struct caller *c)
{
	const struct callers *all = c->all;
	double rate = all->rate / all->n;
	uint64_t start = host_tsc(), end = start + cycles(all->warm_up + all->seconds), now,
		 next = start + cycles(exponential(c) / rate), patience = end + cycles(PATIENCE_S);
	int rc = 0;

	c->timed_from = start + cycles(all->warm_up);
	while (rc == 0 && (now = host_tsc()) < patience && !atomic_load(all->stop)) {
		for (unsigned i = 0; i < BURST && next <= now && next < end; i++) {
			ask(c, next);
			next += cycles(exponential(c) / rate);
		}
		if (next >= end && c->n_free == OPEN)
			break;
		rc = look(c, next < end ? next : patience);
	}
	return rc;
}

static void *live(void *arg)
{
	struct caller *c = arg;

	host_pin(c->all->core);
	c->rc = host_enter(c->from->netns);
	if (c->rc == 0)
		c->rc = call_all(c);
	for (uint32_t n = 0; n < OPEN; n++)
		if (c->call[n].fd >= 0)
			lose(c, n);
	return NULL;
}

static struct caller *open_caller(const struct callers *all, unsigned i)
{
	struct caller *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->all = all;
	c->from = all->from[i];
	c->to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(all->port)};
	inet_pton(AF_INET, all->address, &c->to.sin_addr);
	c->random = (all->seed * CALLERS_MAX + i) * UINT64_C(0x9e3779b97f4a7c15) + 1;
	for (uint32_t n = 0; n < OPEN; n++) {
		c->call[n].fd = -1;
		c->free[c->n_free++] = OPEN - 1 - n;
	}
	c->epoll = epoll_create1(EPOLL_CLOEXEC);
	c->result.took = calloc(1, sizeof(*c->result.took));
	if (c->epoll >= 0 && c->result.took && pthread_create(&c->thread, NULL, live, c) == 0)
		return c;
	if (c->epoll >= 0)
		close(c->epoll);
	free(c->result.took);
	free(c);
	return NULL;
}

static int close_caller(struct caller *c, struct callers_result *result)
{
	int rc;

	pthread_join(c->thread, NULL);
	rc = c->rc;
	histogram_merge(result->took, c->result.took);
	result->sent += c->result.sent;
	result->lost += c->result.lost;
	result->wrong += c->result.wrong;
	result->reached |= c->result.reached;
	close(c->epoll);
	free(c->result.took);
	free(c);
	return rc;
}

int callers_run(const struct callers *all, struct callers_result *result)
{
	struct caller *caller[CALLERS_MAX];
	unsigned n = 0;
	int rc = 0, one;

	host_tsc_hz(); /* it is measured once, before threads ask for it */
	while (n < all->n && (caller[n] = open_caller(all, n)) != NULL)
		n++;
	if (n < all->n)
		rc = -ENOMEM;
	for (unsigned i = 0; i < n; i++) {
		one = close_caller(caller[i], result);
		rc = rc < 0 ? rc : one;
	}
	return rc;
}
