#include "tests/unit/dataplane/vhost/say.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/unit/dataplane/vhost/world.h"
#include "tests/unit/unit.h"

ssize_t say_bytes(int fd, const void *bytes, size_t len, const int *fds, unsigned nfd)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(16 * sizeof(int))];
	} control;
	struct iovec iov = {(void *)bytes, len};
	struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1};

	if (nfd) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		hdr.msg_control = &control;
		hdr.msg_controllen = CMSG_SPACE(nfd * sizeof(int));
		c = CMSG_FIRSTHDR(&hdr);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfd * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nfd * sizeof(int));
	}
	return sendmsg(fd, &hdr, MSG_NOSIGNAL);
}

void say_flags(int fd, uint32_t request, uint32_t flags, const void *payload, uint32_t size, const int *fds,
	unsigned nfd)
{
	uint8_t bytes[sizeof(struct vhost_header) + 4096];
	struct vhost_header header = {request, flags, size};

	memcpy(bytes, &header, sizeof(header));
	if (size)
		memcpy(bytes + sizeof(header), payload, size);
	assert_int_equal(say_bytes(fd, bytes, sizeof(header) + size, fds, nfd), sizeof(header) + size);
	world_turns(2);
}

void say(int fd, uint32_t request, const void *payload, uint32_t size, const int *fds, unsigned nfd)
{
	say_flags(fd, request, VHOST_VERSION, payload, size, fds, nfd);
}

void say_u64(int fd, uint32_t request, uint64_t value)
{
	say(fd, request, &value, sizeof(value), NULL, 0);
}

void say_state(int fd, uint32_t request, uint32_t index, uint32_t num)
{
	struct vhost_wire_state state = {index, num};

	say(fd, request, &state, sizeof(state), NULL, 0);
}

void say_vring_fd(int fd, uint32_t request, uint64_t index, int event)
{
	uint64_t value = index | (event < 0 ? VHOST_VRING_NO_FD : 0);

	say(fd, request, &value, sizeof(value), &event, event >= 0);
}

uint64_t hear(int fd, uint32_t request)
{
	struct {
		struct vhost_header header;
		uint8_t payload[8];
	} answer;
	uint64_t value;

	assert_int_equal(recv(fd, &answer, sizeof(answer), MSG_DONTWAIT), 20);
	assert_int_equal(answer.header.request, request);
	assert_int_equal(answer.header.flags, VHOST_VERSION | VHOST_REPLY);
	assert_int_equal(answer.header.size, 8);
	memcpy(&value, answer.payload, sizeof(value));
	return value;
}

uint64_t ask(int fd, uint32_t request)
{
	say(fd, request, NULL, 0, NULL, 0);
	return hear(fd, request);
}

bool hung_up(int fd)
{
	char byte;

	world_turns(2);
	return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0 || errno == ECONNRESET;
}
