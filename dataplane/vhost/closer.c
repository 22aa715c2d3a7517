#include "dataplane/vhost/closer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/core/port.h"
#include "dataplane/vhost/notify.h"
#include "dataplane/vhost/proto.h"
#include "dataplane/vhost/socket.h"

enum {
	FULL = 16,
	/* what can come while it is not full: the fds of one recvmsg(2), of a message, of all rings; the sockets */
	MOST = FULL + VHOST_SCM_FDS + VHOST_MSG_FDS + 2 * PORT_QUEUES_MAX + VHOST_BACKLOG + 8,
};

struct vhost_closer {
	pthread_mutex_t lock;
	unsigned users; /* the port, and the thread while it runs */
	bool running;
	unsigned waiting;
	int fd[MOST];
};

struct vhost_closer *vhost_closer_new(void)
{
	struct vhost_closer *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->users = 1;
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

/* Unlocks. */
static void drop_user(struct vhost_closer *c)
{
	bool last = --c->users == 0;

	pthread_mutex_unlock(&c->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static void *run(void *arg)
{
	struct vhost_closer *c = arg;

	pthread_mutex_lock(&c->lock);
	while (c->waiting) {
		int fd = c->fd[--c->waiting];

		pthread_mutex_unlock(&c->lock);
		close(fd);
		pthread_mutex_lock(&c->lock);
	}
	c->running = false;
	drop_user(c);
	return NULL;
}

/* With the lock. When there can't be a thread now, the next fd to be closed tries again. */
static void start(struct vhost_closer *c)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, before;

	if (c->running)
		return;
	/* the daemon's signals are for others */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	c->running = pthread_create(&thread, &attr, run, c) == 0;
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	c->users += c->running;
}

static void close_elsewhere(struct vhost_closer *c, int fd)
{
	pthread_mutex_lock(&c->lock);
	if (c->waiting < MOST) /* it is; an fd that stays open would be better than to wait, too */
		c->fd[c->waiting++] = fd;
	start(c);
	pthread_mutex_unlock(&c->lock);
}

void vhost_closer_free(struct vhost_closer *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	if (c->waiting)
		start(c);
	drop_user(c);
}

/* Only memory of the kernel's own (memfd, tmpfs, hugetlbfs) has seals to tell. */
static bool is_harmless(int fd)
{
	return fcntl(fd, F_GET_SEALS) >= 0 || vhost_is_eventfd(fd);
}

void vhost_closer_close(struct vhost_closer *c, int fd)
{
	if (fd < 0)
		return;
	if (is_harmless(fd))
		close(fd);
	else
		close_elsewhere(c, fd);
}

void vhost_closer_hang_up(struct vhost_closer *c, int fd)
{
	char byte;

	shutdown(fd, SHUT_RDWR); /* from here on nothing more comes in */
	if (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
		close(fd);
	else
		close_elsewhere(c, fd);
}

void vhost_closer_unlisten(struct vhost_closer *c, int fd)
{
	int guest;

	shutdown(fd, SHUT_RDWR);
	while ((guest = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		vhost_closer_hang_up(c, guest);
	if (errno == EAGAIN || errno == EINVAL) /* nobody waits, and nobody can come */
		close(fd);
	else
		close_elsewhere(c, fd);
}

bool vhost_closer_is_full(struct vhost_closer *c)
{
	bool full;

	pthread_mutex_lock(&c->lock);
	full = c->waiting + c->running >= FULL;
	pthread_mutex_unlock(&c->lock);
	return full;
}
