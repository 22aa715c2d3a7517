#include "dataplane/vhost/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dataplane/vhost/closer.h"

/*
 * Where the kernel writes completions, at the address that a context is named by. Nobody wants them; they are
 * taken off here, so that there is always room for the next.
 */
struct completions {
	uint32_t id, slots;
	_Atomic(uint32_t) head, tail;
	uint32_t magic, compat, incompat, header_bytes;
};

enum { AIO_MAGIC = 0xa10a10a1 };

struct notifier {
	aio_context_t context;
	int null_fd; /* what nothing is read from */
	struct iocb request;
};

static struct completions *completions(const struct notifier *n)
{
	return (struct completions *)n->context; /* NOLINT: an address is what the kernel names it by */
}

int notifier_new(struct notifier **out)
{
	struct notifier *n = calloc(1, sizeof(*n));
	int rc;

	if (!n)
		return -ENOMEM;
	n->null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (n->null_fd < 0 || syscall(SYS_io_setup, 1, &n->context) < 0) {
		rc = -errno;
		goto fail;
	}
	rc = -ENOSYS;
	if (completions(n)->magic != AIO_MAGIC || completions(n)->incompat)
		goto fail;
	n->request = (struct iocb){.aio_fildes = (uint32_t)n->null_fd,
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_flags = IOCB_FLAG_RESFD};
	*out = n;
	return 0;
fail:
	notifier_free(n);
	return rc;
}

void notifier_free(struct notifier *n)
{
	if (!n)
		return;
	if (n->context)
		syscall(SYS_io_destroy, n->context);
	if (n->null_fd >= 0)
		close(n->null_fd);
	free(n);
}

bool vhost_is_eventfd(int fd)
{
	char path[32], what[32];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	len = readlink(path, what, sizeof(what) - 1);
	if (len < 0)
		return false;
	what[len] = '\0';
	return strcmp(what, "anon_inode:[eventfd]") == 0;
}

static bool is_unix_socket(int fd)
{
	int domain;
	socklen_t len = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX;
}

int vhost_call_take(int fd, struct vhost_call *call)
{
	if (vhost_is_eventfd(fd))
		*call = (struct vhost_call){fd, VHOST_CALL_EVENTFD};
	else if (is_unix_socket(fd))
		*call = (struct vhost_call){fd, VHOST_CALL_SOCKET};
	else
		return -EINVAL;
	return 0;
}

void vhost_call_close(struct vhost_call *call, struct vhost_closer *closer)
{
	vhost_closer_close(closer, call->fd);
	*call = (struct vhost_call){.fd = -1};
}

static void add_one(struct notifier *n, int fd)
{
	struct iocb *request = &n->request;

	request->aio_resfd = (uint32_t)fd;
	/* done when it returns, for nothing is read; so one slot is enough */
	syscall(SYS_io_submit, n->context, 1, &request);
	atomic_store_explicit(&completions(n)->head,
		atomic_load_explicit(&completions(n)->tail, memory_order_acquire), memory_order_release);
}

void vhost_notify(struct notifier *n, struct vhost_call call)
{
	const uint64_t one = 1;

	if (call.kind == VHOST_CALL_EVENTFD && n)
		add_one(n, call.fd);
	else if (call.kind == VHOST_CALL_SOCKET)
		send(call.fd, &one, sizeof(one), MSG_DONTWAIT | MSG_NOSIGNAL);
	else if (call.kind == VHOST_CALL_EVENTFD && write(call.fd, &one, sizeof(one)) < 0)
		return; /* full: it has been notified already */
}
