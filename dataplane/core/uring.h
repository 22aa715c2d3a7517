/*
 * uring.h: several reads or writes of a TAP in one system call, by the kernel's io_uring. A TAP has no call of its own for
 * that, and where system calls are dear (a virtual machine, mitigations) the call costs more than the frame.
 *
 * Only what can be done at once is done, and it is done when uring_run() returns: nothing stays under way, no memory is
 * pinned, and an fd may be closed at any time. So a worker uses it as it would use the calls themselves. One worker each.
 */
#pragma once

#include <stdint.h>
#include <sys/uio.h>

enum { URING_MAX = 32 }; /* calls in one go */

struct uring;

/**
 * Any thread. Returns 0 or -errno: the kernel has none (-ENOSYS), or one that cannot do so with TAPs (-EINVAL before Linux 5.18,
 * -EOPNOTSUPP before 6.4), or does not let this process use it (-EPERM: kernel.io_uring_disabled, a container's seccomp filter);
 * or there is no /dev/net/tun to try it with (-ENOENT).
 */
int uring_new(struct uring **out);

/** NULL is fine. */
void uring_free(struct uring *u);

/** Worker. Adds a read of up to `len` bytes to `to`. At most URING_MAX calls are added between two uring_run(). */
void uring_read(struct uring *u, int fd, void *to, uint32_t len);

/** Worker. Adds a writev; iov[0..n) stays as it is until uring_run() has returned. */
void uring_writev(struct uring *u, int fd, const struct iovec *iov, unsigned n);

/**
 * Worker. Does what was added, in that order, and writes what the i-th call returned to result[i], or its -errno: -EAGAIN where it
 * would have had to wait, or the kernel had no memory to begin it. A call that fails does not keep later ones from being made.
 */
void uring_run(struct uring *u, int32_t result[URING_MAX]);
