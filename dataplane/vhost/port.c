/*
 * port.c: the vhost-user port: a device (dev.h) and how its front-end gets to it. As a server it
 * listens while nobody is connected; as a client it connects when a socket appears at its path, and tries again
 * now and then.
 */
#include "dataplane/vhost/port.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/core/dp.h"
#include "dataplane/core/path_watch.h"
#include "dataplane/vhost/conn.h"
#include "dataplane/vhost/dev.h"
#include "dataplane/vhost/socket.h"

enum {
	RETRY_MS = 10, /* at first: a socket appears when it is bound, and answers when it is listened to */
	RETRY_QUICK = 100,
	RETRY_SLOW_MS = 1000, /* after RETRY_QUICK tries */
	RETRY_BLIND_MS = 100, /* the same when nobody tells that a socket has appeared */
};

struct vhost_port {
	struct vhost_dev dev; /* port->priv points here */
	struct vhost_conn conn;
	struct vhost_listener listener;
	void *watch; /* of the listener, while nobody is connected */
	void *timer; /* of the next try to connect or accept */
	unsigned tries;
	struct path_watch appears; /* client: the socket */
	bool watched;
	int lost_fd; /* eventfd: guest memory was lost */
	void *lost_watch;
};

static void await(struct vhost_port *vp);

static const struct dp_loop *loop_of(const struct vhost_port *vp)
{
	return &vp->dev.port->dp->config.loop;
}

static void stop_timer(struct vhost_port *vp)
{
	const struct dp_loop *loop = loop_of(vp);

	if (vp->timer)
		loop->timer_del(loop->ctx, vp->timer);
	vp->timer = NULL;
}

static void stop_watch(struct vhost_port *vp)
{
	const struct dp_loop *loop = loop_of(vp);

	if (vp->watch)
		loop->fd_del(loop->ctx, vp->watch);
	vp->watch = NULL;
}

static void on_retry(void *arg)
{
	struct vhost_port *vp = arg;

	vp->tries++;
	stop_timer(vp);
	await(vp);
}

static void retry_later(struct vhost_port *vp)
{
	const struct dp_loop *loop = loop_of(vp);
	unsigned slow = vp->watched ? RETRY_SLOW_MS : RETRY_BLIND_MS;
	unsigned ms = vp->tries < RETRY_QUICK ? RETRY_MS : slow;

	if (!vp->timer)
		vp->timer = loop->timer_add(loop->ctx, ms, on_retry, vp);
}

static void on_accept(void *arg, unsigned events)
{
	struct vhost_port *vp = arg;
	int fd;

	if (vhost_closer_is_full(vp->dev.closer)) {
		stop_watch(vp);
		retry_later(vp);
		return;
	}
	fd = accept4(vp->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
		return;
	/* watched on, the socket would be reported for ever: out of fds, or this one front-end is served */
	stop_watch(vp);
	if (fd < 0 || vhost_conn_start(&vp->conn, fd) < 0)
		retry_later(vp);
	else
		vp->tries = 0;
}

static void on_appears(void *arg)
{
	struct vhost_port *vp = arg;

	if (vp->conn.fd >= 0)
		return;
	vp->tries = 0;
	stop_timer(vp);
	await(vp);
}

/* Watches first and tries then, so that no socket appears unseen in between. */
static void await_server(struct vhost_port *vp)
{
	const struct dp_port *spec = &vp->dev.port->spec;
	int fd;

	if (!vp->watched) {
		vp->appears = (struct path_watch){.path = spec->socket, .fn = on_appears, .arg = vp};
		vp->watched = path_watch_add(&vp->dev.port->dp->paths, loop_of(vp), &vp->appears) == 0;
	}
	fd = vhost_closer_is_full(vp->dev.closer) ? -EDQUOT : vhost_connect(spec);
	if (fd < 0 || vhost_conn_start(&vp->conn, fd) < 0)
		retry_later(vp);
}

/* Nobody is connected: listens on, or connects. */
static void await(struct vhost_port *vp)
{
	const struct dp_loop *loop = loop_of(vp);

	if (vp->dev.port->spec.client) {
		await_server(vp);
		return;
	}
	vp->watch = loop->fd_add(loop->ctx, vp->listener.fd, DP_READ, on_accept, vp);
	if (!vp->watch)
		retry_later(vp);
}

static void on_ended(void *arg, const char *why, bool fault)
{
	struct vhost_port *vp = arg;
	struct dp_port_guest *guest = &vp->dev.port->guest;

	guest->ends++;
	guest->faults += fault;
	snprintf(guest->last_end, sizeof(guest->last_end), "%s", why);

	/* one that hangs up without a word is no better than none */
	if (vp->conn.served)
		vp->tries = 0;
	if (vp->dev.port->spec.client)
		retry_later(vp); /* not at once: a front-end that hangs up at once would keep the loop busy */
	else
		await(vp);
}

/* The guest's memory shrank under a worker: there is no going on with it. */
static void on_lost(void *arg, unsigned events)
{
	struct vhost_port *vp = arg;
	uint64_t n;

	if (read(vp->lost_fd, &n, sizeof(n)) == sizeof(n))
		vhost_conn_end(&vp->conn, true, "its memory shrank while it was in use");
}

static void vhost_close(struct port *port)
{
	struct vhost_port *vp = port->priv;
	const struct dp_loop *loop = &port->dp->config.loop;

	if (!vp)
		return;
	vhost_conn_end(&vp->conn, false, "the port closed");
	stop_timer(vp);
	stop_watch(vp);
	if (vp->watched)
		path_watch_del(&port->dp->paths, &vp->appears);
	vhost_listener_close(&port->spec, vp->dev.closer, &vp->listener);
	if (vp->lost_watch)
		loop->fd_del(loop->ctx, vp->lost_watch);
	if (vp->lost_fd >= 0)
		close(vp->lost_fd);
	vhost_closer_free(vp->dev.closer);
	free(vp);
	port->priv = NULL;
}

static int vhost_open(struct port *port, struct dp_err *err)
{
	const struct dp_loop *loop = &port->dp->config.loop;
	struct vhost_port *vp;
	int rc = vhost_socket_check(&port->spec, err);

	if (rc < 0)
		return rc;
	if (!port->spec.queues || port->spec.queues > PORT_QUEUES_MAX)
		return dp_fail(err, -EINVAL, "queues: %u, and it must be 1 to %u", port->spec.queues,
			PORT_QUEUES_MAX);
	vp = aligned_alloc(_Alignof(struct vhost_port), sizeof(*vp));
	if (!vp)
		return dp_fail(err, -ENOMEM, "no memory for a vhost-user port");
	memset(vp, 0, sizeof(*vp));
	port->priv = vp;
	port->nqueue = port->spec.queues;
	vp->listener.fd = -1;
	vp->lost_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	vhost_dev_init(&vp->dev, port, vp->lost_fd);
	vp->dev.closer = vhost_closer_new();
	vp->conn = (struct vhost_conn){.dev = &vp->dev, .fd = -1, .ended = on_ended, .arg = vp};
	rc = vp->lost_fd < 0 ? dp_fail(err, -errno, "eventfd: %s", strerror(errno)) : 0;
	if (!rc && !vp->dev.closer)
		rc = dp_fail(err, -ENOMEM, "no memory for a vhost-user port");
	if (!rc && !(vp->lost_watch = loop->fd_add(loop->ctx, vp->lost_fd, DP_READ, on_lost, vp)))
		rc = dp_fail(err, -ENOMEM, "no memory for a vhost-user port");
	if (!rc && !port->spec.client)
		rc = vhost_listen(&port->spec, vp->dev.closer, &vp->listener, err);
	if (rc < 0) {
		vhost_close(port);
		return rc;
	}
	await(vp);
	return 0;
}

const struct port_ops port_vhost_ops = {
	.name = "vhost-user",
	.guest_memory = true,
	.open = vhost_open,
	.close = vhost_close,
	.rx = vhost_rx,
	.complete = vhost_complete,
	.tx = vhost_tx,
	.arm = vhost_arm,
	.rx_fd = vhost_rx_fd,
};
