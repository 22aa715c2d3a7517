#include "bench/front/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int socket_error(void)
{
	switch (errno) {
	case EAGAIN:
		return -ETIMEDOUT;
	case EPIPE:
	case ECONNRESET:
		return -ENOTCONN;
	default:
		return -errno;
	}
}

int front_wire_send(int socket, const struct front_wire *msg, const int *fds, unsigned nfds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * FRONT_WIRE_MAX_FDS)];
	} control = {0};
	struct iovec part = {.iov_base = (void *)msg, .iov_len = FRONT_WIRE_HEADER + msg->size};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t sent;

	if (nfds > 0) {
		struct cmsghdr *rights;

		header.msg_control = control.space;
		header.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		rights = CMSG_FIRSTHDR(&header);
		*rights = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
			.cmsg_len = CMSG_LEN(sizeof(int) * nfds)};
		memcpy(CMSG_DATA(rights), fds, sizeof(int) * nfds);
	}
	do
		sent = sendmsg(socket, &header, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return socket_error();
	return sent == (ssize_t)part.iov_len ? 0 : -ETIMEDOUT;
}

static void close_rights(struct msghdr *header)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + sizeof(int) <= c->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + at, sizeof(fd));
			close(fd);
		}
	}
}

static int receive_all(int socket, void *to, size_t size)
{
	for (size_t got = 0; got < size;) {
		union {
			struct cmsghdr align;
			char space[CMSG_SPACE(sizeof(int) * FRONT_WIRE_MAX_FDS)];
		} control;
		struct iovec part = {.iov_base = (char *)to + got, .iov_len = size - got};
		struct msghdr header = {.msg_iov = &part,
			.msg_iovlen = 1,
			.msg_control = control.space,
			.msg_controllen = sizeof(control.space)};
		ssize_t n = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return socket_error();
		if (n == 0)
			return -ENOTCONN;
		close_rights(&header);
		got += (size_t)n;
	}
	return 0;
}

int front_wire_receive(int socket, struct front_wire *msg)
{
	int rc = receive_all(socket, msg, FRONT_WIRE_HEADER);

	if (rc < 0)
		return rc;
	if (msg->size > sizeof(msg->body))
		return -EPROTO;
	return receive_all(socket, &msg->body, msg->size);
}

const char *front_wire_name(uint32_t request)
{
	static const char *const names[] = {
		[FRONT_GET_FEATURES] = "GET_FEATURES",
		[FRONT_SET_FEATURES] = "SET_FEATURES",
		[FRONT_SET_OWNER] = "SET_OWNER",
		[FRONT_RESET_OWNER] = "RESET_OWNER",
		[FRONT_SET_MEM_TABLE] = "SET_MEM_TABLE",
		[FRONT_SET_VRING_NUM] = "SET_VRING_NUM",
		[FRONT_SET_VRING_ADDR] = "SET_VRING_ADDR",
		[FRONT_SET_VRING_BASE] = "SET_VRING_BASE",
		[FRONT_GET_VRING_BASE] = "GET_VRING_BASE",
		[FRONT_SET_VRING_KICK] = "SET_VRING_KICK",
		[FRONT_SET_VRING_CALL] = "SET_VRING_CALL",
		[FRONT_GET_PROTOCOL_FEATURES] = "GET_PROTOCOL_FEATURES",
		[FRONT_SET_PROTOCOL_FEATURES] = "SET_PROTOCOL_FEATURES",
		[FRONT_GET_QUEUE_NUM] = "GET_QUEUE_NUM",
		[FRONT_SET_VRING_ENABLE] = "SET_VRING_ENABLE",
		[FRONT_ADD_MEM_REG] = "ADD_MEM_REG",
		[FRONT_SET_STATUS] = "SET_STATUS",
		[FRONT_GET_STATUS] = "GET_STATUS",
	};

	if (request < sizeof(names) / sizeof(names[0]) && names[request])
		return names[request];
	return "a request";
}
