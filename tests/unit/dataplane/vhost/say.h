/*
 * say.h: vhost-user messages as a test wants them said, over a front-end's end `fd` of the connection, and
 * what is answered. The ports of world.h have dealt with a message when its function returns.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "dataplane/vhost/proto.h"

/** The bytes and fds alone, whatever they mean; returns as sendmsg(2) does. The loop does not turn. */
ssize_t say_bytes(int fd, const void *bytes, size_t len, const int *fds, unsigned nfd);

/** A message of at most 4096 bytes of payload. */
void say_flags(int fd, uint32_t request, uint32_t flags, const void *payload, uint32_t size, const int *fds,
	unsigned nfd);
void say(int fd, uint32_t request, const void *payload, uint32_t size, const int *fds, unsigned nfd);
void say_u64(int fd, uint32_t request, uint64_t value);
void say_state(int fd, uint32_t request, uint32_t index, uint32_t num);
/** A kick, call or error fd; event < 0: the ring has none. */
void say_vring_fd(int fd, uint32_t request, uint64_t index, int event);

/** The answer to `request`, which must be there and have a payload of eight bytes. */
uint64_t hear(int fd, uint32_t request);
/** A request without payload, and its answer. */
uint64_t ask(int fd, uint32_t request);
/** Has the port ended the connection? If not, and it says nothing either, errno is EAGAIN. */
bool hung_up(int fd);
