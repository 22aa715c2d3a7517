#include "bench/client/offer.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/client/asker.h"
#include "bench/host/host.h"

enum { SOCKETS = 32, BATCH = 64 };

struct question {
	uint8_t data[ASKER_QUESTION];
	size_t len;
};

struct offer {
	int fd[SOCKETS];
	struct question *question;
	unsigned services;
	struct offer_result *result;
};

static int ask(struct offer *o, int fd, unsigned n)
{
	struct mmsghdr out[BATCH];
	struct iovec part[BATCH];
	int sent;

	for (unsigned i = 0; i < n; i++) {
		struct question *q = &o->question[(o->result->questions + i) % o->services];

		part[i] = (struct iovec){q->data, q->len};
		out[i].msg_hdr = (struct msghdr){.msg_iov = &part[i], .msg_iovlen = 1};
	}
	sent = sendmmsg(fd, out, n, MSG_DONTWAIT);
	o->result->questions += sent > 0 ? (uint64_t)sent : 0;
	return sent < 0 && errno != EAGAIN && errno != ENOBUFS ? -errno : 0;
}

/* Those that lie in the sockets, and those that these had no room for, which the kernel counted: to read them all would cost the
 * core that asks. */
static uint64_t answers(int fd)
{
	uint32_t counters[SK_MEMINFO_VARS] = {0};
	socklen_t size = sizeof(counters);
	uint8_t answer[ASKER_QUESTION];
	uint64_t n = 0;

	getsockopt(fd, SOL_SOCKET, SO_MEMINFO, counters, &size);
	while (recv(fd, answer, sizeof(answer), MSG_DONTWAIT) > 0)
		n++;
	return n + counters[SK_MEMINFO_DROPS];
}

static int offer(struct offer *o, double rate, double seconds, const atomic_bool *stop)
{
	uint64_t start = host_now_ns();
	double now = 0;
	int rc = 0;

	for (unsigned turn = 0; now < seconds && rc == 0 && !atomic_load(stop);) {
		double behind = rate * now - (double)o->result->questions;

		if (behind >= 1)
			rc = ask(o, o->fd[turn++ % SOCKETS], behind < BATCH ? (unsigned)behind : BATCH);
		now = (double)(host_now_ns() - start) / 1e9;
	}
	o->result->seconds = now;
	for (unsigned i = 0; i < SOCKETS; i++)
		o->result->answers += answers(o->fd[i]);
	return rc;
}

int offer_run(uint16_t port, unsigned services, double rate, double seconds, const atomic_bool *stop,
	struct offer_result *result)
{
	struct offer o = {
		.question = calloc(services, sizeof(*o.question)), .services = services, .result = result};
	int rc = o.question ? 0 : -ENOMEM, opened = 0;
	char name[24];

	*result = (struct offer_result){0};
	for (unsigned i = 0; i < services && rc == 0; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		o.question[i].len = asker_question(o.question[i].data, (uint16_t)i, name);
	}
	for (; opened < SOCKETS && rc == 0; opened++) {
		rc = o.fd[opened] = asker_dns(port);
		if (rc < 0)
			break;
		rc = 0;
	}
	if (rc == 0)
		rc = offer(&o, rate, seconds, stop);
	while (opened-- > 0)
		close(o.fd[opened]);
	free(o.question);
	return rc;
}
