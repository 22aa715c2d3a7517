#include "dataplane/vhost/conn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/core/dp.h"

/*
 * After so many messages the loop's other clients have a turn. A message that started a ring ends the turn
 * too: it took a grace period and a walk over the ring.
 */
enum { MESSAGES_A_TURN = 64 };

static void close_fds(struct vhost_conn *conn)
{
	struct vhost_msg *msg = &conn->msg;

	for (unsigned i = 0; i < msg->nfd; i++)
		vhost_closer_close(conn->dev->closer, msg->fd[i]);
	msg->nfd = 0;
}

/* Keeps the fds of one recvmsg(). -EPROTO: more than a message may have, and none of these is kept. */
static int keep_fds(struct vhost_conn *conn, struct msghdr *hdr)
{
	struct vhost_msg *msg = &conn->msg;
	int rc = hdr->msg_flags & MSG_CTRUNC ? -EPROTO : 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(hdr); c; c = CMSG_NXTHDR(hdr, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (msg->nfd < VHOST_MSG_FDS) {
				msg->fd[msg->nfd++] = fd;
			} else {
				vhost_closer_close(conn->dev->closer, fd);
				rc = -EPROTO;
			}
		}
	}
	return rc;
}

/*
 * Reads up to `len` bytes, with the fds that come with them: all of them, for the kernel would close here and
 * now what has no room. Returns the bytes, or -errno; the end is -ECONNRESET.
 */
static ssize_t receive(struct vhost_conn *conn, void *dst, size_t len)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(VHOST_SCM_FDS * sizeof(int))];
	} control;
	struct iovec iov = {dst, len};
	struct msghdr hdr = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n;
	int rc;

	if (vhost_closer_is_full(conn->dev->closer))
		return -EDQUOT;
	n = recvmsg(conn->fd, &hdr, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return -errno;
	rc = keep_fds(conn, &hdr);
	if (rc < 0)
		return rc;
	return n ? n : -ECONNRESET;
}

static int check_header(struct vhost_conn *conn)
{
	const struct vhost_header *header = &conn->msg.header;

	if ((header->flags & VHOST_VERSION_MASK) != VHOST_VERSION || (header->flags & VHOST_REPLY) ||
		header->size > sizeof(conn->msg.payload))
		return -EPROTO;
	memset(&conn->msg.payload, 0, sizeof(conn->msg.payload));
	return 0;
}

/* Reads on. Returns 1 when a message is whole, 0 when there is nothing more to read now, or -errno. */
static int assemble(struct vhost_conn *conn)
{
	struct vhost_msg *msg = &conn->msg;
	const uint32_t head = sizeof(msg->header);

	for (;;) {
		uint8_t *dst = conn->got < head ? (uint8_t *)&msg->header + conn->got
						: (uint8_t *)&msg->payload + (conn->got - head);
		uint32_t end = conn->got < head ? head : head + msg->header.size;
		ssize_t n;

		if (conn->got >= head && conn->got == end)
			return 1;
		n = receive(conn, dst, end - conn->got);
		if (n == -EAGAIN)
			return 0;
		if (n == -EINTR)
			continue;
		if (n < 0)
			return (int)n;
		conn->got += (uint32_t)n;
		if (conn->got == head && check_header(conn) < 0)
			return -EPROTO;
	}
}

/* Answers with `len` bytes of the payload. A front-end that reads so little that they do not fit is given up.
 */
static int answer(struct vhost_conn *conn, unsigned len)
{
	struct vhost_msg *msg = &conn->msg;
	struct vhost_header header = {msg->header.request, VHOST_VERSION | VHOST_REPLY, len};
	struct iovec iov[2] = {{&header, sizeof(header)}, {&msg->payload, len}};
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(VHOST_MSG_FDS * sizeof(int))];
	} control = {0};
	struct msghdr hdr = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t n;

	if (msg->answer_fds) {
		hdr.msg_control = &control;
		hdr.msg_controllen = CMSG_SPACE(msg->answer_fds * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(msg->answer_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.align), msg->fd, msg->answer_fds * sizeof(int));
	}
	n = sendmsg(conn->fd, &hdr, MSG_DONTWAIT | MSG_NOSIGNAL);

	return n == (ssize_t)(sizeof(header) + len) ? 0 : -EPIPE;
}

/* Reads and does one message. Returns as assemble(). */
static int serve(struct vhost_conn *conn)
{
	int rc = assemble(conn);
	unsigned reply;

	if (rc <= 0)
		return rc;
	rc = vhost_request(conn->dev, &conn->msg, &reply);
	conn->got = 0;
	conn->served += rc >= 0;
	if (rc >= 0 && reply && answer(conn, reply) < 0)
		rc = -EPIPE;
	close_fds(conn);
	return rc < 0 ? rc : 1;
}

/* `rc` of serve(): what the front-end did. */
static void end_for(struct vhost_conn *conn, int rc)
{
	char why[sizeof(((struct dp_port_guest *)0)->last_end)];

	if (rc == -ECONNRESET)
		snprintf(why, sizeof(why), "it hung up%s", conn->got ? " in the middle of a message" : "");
	else if (rc == -EPROTO)
		snprintf(why, sizeof(why), "no vhost-user message");
	else if (rc == -EPIPE)
		snprintf(why, sizeof(why), "it does not read its answers");
	else if (rc == -EDQUOT)
		snprintf(why, sizeof(why), "it gives what takes long to close");
	else
		snprintf(why, sizeof(why), "%s: %s", vhost_request_name(conn->msg.header.request),
			rc == -EINVAL	 ? "malformed"
			: rc == -ENOTSUP ? "not offered"
			: rc == -EFBIG	 ? "more memory than memory_mb allows"
					 : strerror(-rc));
	vhost_conn_end(conn, rc != -ECONNRESET, why);
}

static void on_readable(void *arg, unsigned events)
{
	struct vhost_conn *conn = arg;
	const unsigned published = conn->dev->published;
	int rc = 1;

	for (unsigned i = 0; i < MESSAGES_A_TURN && rc > 0 && conn->dev->published == published; i++)
		rc = serve(conn);
	if (rc < 0)
		end_for(conn, rc);
}

int vhost_conn_start(struct vhost_conn *conn, int fd)
{
	const struct dp_loop *loop = &conn->dev->port->dp->config.loop;

	conn->watch = loop->fd_add(loop->ctx, fd, DP_READ, on_readable, conn);
	if (!conn->watch) {
		vhost_closer_hang_up(conn->dev->closer, fd);
		return -ENOMEM;
	}
	conn->fd = fd;
	conn->got = 0;
	conn->served = 0;
	conn->msg.nfd = 0;
	return 0;
}

void vhost_conn_end(struct vhost_conn *conn, bool fault, const char *why)
{
	const struct dp_loop *loop = &conn->dev->port->dp->config.loop;

	if (conn->fd < 0)
		return;
	loop->fd_del(loop->ctx, conn->watch);
	vhost_closer_hang_up(conn->dev->closer, conn->fd);
	conn->fd = -1;
	close_fds(conn);
	vhost_dev_reset(conn->dev);
	conn->ended(conn->arg, why, fault);
}
