#include "bench/client/paced.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/client/asker.h"
#include "bench/host/host.h"

enum { HEAD_MAX = 4096, READ = 1 << 20, EVENTS = 64 };

struct connection {
	int fd;
	uint64_t due; /* of the question under way, 0: none */
	char head[HEAD_MAX + 1];
	size_t head_len;
	uint64_t left; /* bytes of the body that have yet to come, once the head is whole */
	bool has_head;
};

struct run {
	const struct paced *paced;
	struct histogram *latency;
	uint64_t *wrong;
	struct connection *connection;
	unsigned *idle, n_idle; /* connections without a question */
	int epoll;
	char *bytes;
};

/* The head has come; what of `text` is behind it. */
static int take_head(struct run *run, struct connection *c, const char *end)
{
	const char *length = strcasestr(c->head, "\r\nContent-Length:");
	size_t behind = c->head_len - (size_t)(end + 4 - c->head);

	if (strncmp(c->head, "HTTP/1.1 ", 9) != 0 || !length || length > end)
		return -EPROTO;
	*run->wrong += strtoul(c->head + 9, NULL, 10) != 200;
	c->left = strtoull(length + 17, NULL, 10);
	if (behind > c->left)
		return -EPROTO;
	c->left -= behind;
	c->has_head = true;
	return 0;
}

/* 1: the answer is whole, 0: not yet. */
static int take(struct run *run, struct connection *c)
{
	bool head = !c->has_head;
	ssize_t n = head ? recv(c->fd, c->head + c->head_len, HEAD_MAX - c->head_len, MSG_DONTWAIT)
			 : recv(c->fd, run->bytes, READ, MSG_DONTWAIT);
	const char *end;
	int rc;

	if (n <= 0)
		return n < 0 && errno == EAGAIN ? 0 : n < 0 ? -errno : -EPIPE;
	if (!head) {
		if ((uint64_t)n > c->left)
			return -EPROTO;
		c->left -= (uint64_t)n;
		return c->left == 0;
	}
	c->head_len += (size_t)n;
	c->head[c->head_len] = '\0';
	end = strstr(c->head, "\r\n\r\n");
	if (!end)
		return c->head_len == HEAD_MAX ? -EPROTO : 0;
	rc = take_head(run, c, end);
	return rc < 0 ? rc : c->left == 0;
}

static int ask(struct run *run, uint64_t due)
{
	struct connection *c = &run->connection[run->idle[--run->n_idle]];

	c->due = due;
	c->head_len = 0;
	c->has_head = false;
	return asker_send(c->fd, "GET", run->paced->path, "");
}

/* What has come, without waiting for it. */
static int look(struct run *run)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(run->epoll, events, EVENTS, 0), rc = 0;

	for (int i = 0; i < n && rc >= 0; i++) {
		struct connection *c = &run->connection[events[i].data.u32];

		while ((rc = take(run, c)) == 0 && c->has_head && c->left > 0 &&
			recv(c->fd, run->bytes, 1, MSG_DONTWAIT | MSG_PEEK) > 0)
			;
		if (rc <= 0)
			continue;
		histogram_add(run->latency, host_tsc() - c->due, 1);
		run->idle[run->n_idle++] = events[i].data.u32;
	}
	return n < 0 && errno != EINTR ? -errno : rc < 0 ? rc : 0;
}

static int ask_all(struct run *run)
{
	const struct paced *paced = run->paced;
	uint64_t start = host_tsc();
	double hz = host_tsc_hz();
	uint64_t asked = 0, all = (uint64_t)(paced->rate * paced->seconds),
		 patience = start + (uint64_t)((paced->seconds + 10) * hz);
	int rc = 0;

	while (rc == 0 && (asked < all || run->n_idle < paced->connections) && !atomic_load(paced->stop)) {
		uint64_t due = start + (uint64_t)((double)asked / paced->rate * hz), now = host_tsc();

		if (now > patience)
			return -ETIMEDOUT;
		if (asked < all && now >= due && run->n_idle > 0) {
			rc = ask(run, due);
			asked++;
		}
		if (rc == 0)
			rc = look(run);
	}
	return rc;
}

static int open_all(struct run *run)
{
	for (unsigned i = 0; i < run->paced->connections; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
		int fd = asker_http(run->paced->port);

		if (fd < 0)
			return fd;
		run->connection[i].fd = fd;
		run->idle[run->n_idle++] = i;
		if (epoll_ctl(run->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
			return -errno;
	}
	return 0;
}

int paced_run(const struct paced *paced, struct histogram *latency, uint64_t *wrong)
{
	struct run run = {
		.paced = paced, .latency = latency, .wrong = wrong, .epoll = epoll_create1(EPOLL_CLOEXEC)};
	int rc = -ENOMEM;

	run.connection = calloc(paced->connections, sizeof(*run.connection));
	run.idle = calloc(paced->connections, sizeof(*run.idle));
	run.bytes = malloc(READ);
	if (run.connection && run.idle && run.bytes)
		rc = run.epoll < 0 ? -errno : open_all(&run);
	if (rc == 0)
		rc = ask_all(&run);
	for (unsigned i = 0; run.connection && i < paced->connections; i++)
		if (run.connection[i].fd > 0)
			close(run.connection[i].fd);
	if (run.epoll >= 0)
		close(run.epoll);
	free(run.connection);
	free(run.idle);
	free(run.bytes);
	return rc;
}
