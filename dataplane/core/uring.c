#include "dataplane/core/uring.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct uring {
	int fd;
	unsigned added; /* calls since uring_run() */
	int refused;	/* why the last uring_run() began none, errno; or 0 */
	/* what is shared with the kernel: it writes sq_head and cq_tail */
	_Atomic(uint32_t) *sq_head, *sq_tail, *cq_head, *cq_tail;
	uint32_t *sq_index;
	uint32_t sq_mask, cq_mask;
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	void *rings; /* of submissions and completions, in one mapping */
	size_t rings_bytes, sqes_bytes;
};

static void *map(int fd, size_t bytes, off_t what)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, what);

	return at == MAP_FAILED ? NULL : at;
}

static int map_rings(struct uring *u, const struct io_uring_params *p)
{
	size_t sq = p->sq_off.array + p->sq_entries * sizeof(uint32_t),
	       cq = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
	uint8_t *rings;

	if (!(p->features & IORING_FEAT_SINGLE_MMAP))
		return -ENOSYS;
	u->rings_bytes = sq > cq ? sq : cq;
	u->sqes_bytes = p->sq_entries * sizeof(struct io_uring_sqe);
	u->rings = rings = map(u->fd, u->rings_bytes, IORING_OFF_SQ_RING);
	u->sqe = map(u->fd, u->sqes_bytes, IORING_OFF_SQES);
	if (!u->rings || !u->sqe)
		return -ENOMEM;
	u->sq_head = (void *)(rings + p->sq_off.head);
	u->sq_tail = (void *)(rings + p->sq_off.tail);
	u->sq_index = (void *)(rings + p->sq_off.array);
	u->sq_mask = *(uint32_t *)(void *)(rings + p->sq_off.ring_mask);
	u->cq_head = (void *)(rings + p->cq_off.head);
	u->cq_tail = (void *)(rings + p->cq_off.tail);
	u->cq_mask = *(uint32_t *)(void *)(rings + p->cq_off.ring_mask);
	u->cqe = (void *)(rings + p->cq_off.cqes);
	for (uint32_t i = 0; i <= u->sq_mask; i++)
		u->sq_index[i] = i;
	return 0;
}

/* The kernel takes no notice of it before uring_run() moves the tail. */
static void add(struct uring *u, uint8_t opcode, int fd, const void *address, uint32_t len)
{
	uint32_t at = atomic_load_explicit(u->sq_tail, memory_order_relaxed) + u->added;

	assert(u->added < URING_MAX);
	u->sqe[at & u->sq_mask] = (struct io_uring_sqe){.opcode = opcode,
		.fd = fd,
		.off = UINT64_MAX, /* these files have no position */
		.addr = (uintptr_t)address,
		.len = len,
		.rw_flags = RWF_NOWAIT, /* without it a call that would wait stays under way */
		.user_data = u->added};
	u->added++;
}

void uring_read(struct uring *u, int fd, void *to, uint32_t len)
{
	add(u, IORING_OP_READ, fd, to, len);
}

void uring_writev(struct uring *u, int fd, const struct iovec *iov, unsigned n)
{
	add(u, IORING_OP_WRITEV, fd, iov, n);
}

/* Takes off what the kernel has completed. Returns how many calls that were. */
static unsigned reap(struct uring *u, int32_t result[URING_MAX])
{
	uint32_t head = atomic_load_explicit(u->cq_head, memory_order_relaxed),
		 tail = atomic_load_explicit(u->cq_tail, memory_order_acquire), n = tail - head;

	for (; head != tail; head++) {
		const struct io_uring_cqe *cqe = &u->cqe[head & u->cq_mask];

		assert(cqe->user_data < URING_MAX);
		result[cqe->user_data] = cqe->res;
	}
	atomic_store_explicit(u->cq_head, head, memory_order_release);
	return n;
}

void uring_run(struct uring *u, int32_t result[URING_MAX])
{
	uint32_t tail = atomic_load_explicit(u->sq_tail, memory_order_relaxed), begun, done;

	for (unsigned i = 0; i < u->added; i++)
		result[i] = -EAGAIN;
	atomic_store_explicit(u->sq_tail, tail + u->added, memory_order_release);
	/* it says how many calls it has begun, or why none */
	u->refused =
		syscall(SYS_io_uring_enter, u->fd, u->added, u->added, IORING_ENTER_GETEVENTS, NULL, 0) < 0
			? errno
			: 0;
	begun = atomic_load_explicit(u->sq_head, memory_order_acquire) - tail;
	done = reap(u, result);
	/* a kernel that completes such a call later would still be writing to what is the caller's */
	while (__builtin_expect(done < begun, 0)) {
		syscall(SYS_io_uring_enter, u->fd, 0, begun - done, IORING_ENTER_GETEVENTS, NULL, 0);
		done += reap(u, result);
	}
	atomic_store_explicit(
		u->sq_tail, tail + begun, memory_order_release); /* the others are not to be made */
	u->added = 0;
}

/*
 * Is a TAP read this way? One without an interface says EBADFD. Before Linux 6.4 it knows no RWF_NOWAIT, EOPNOTSUPP; and a filter
 * may refuse io_uring_enter alone.
 */
static int try_tap(struct uring *u)
{
	int32_t result[URING_MAX];
	uint8_t byte;
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	uring_read(u, fd, &byte, sizeof(byte));
	uring_run(u, result);
	close(fd);
	if (u->refused)
		return -u->refused;
	return result[0] == -EBADFD ? 0 : result[0] < 0 ? result[0] : -EIO;
}

int uring_new(struct uring **out)
{
	struct io_uring_params p = {.flags = IORING_SETUP_SUBMIT_ALL};
	struct uring *u = calloc(1, sizeof(*u));
	int rc;

	if (!u)
		return -ENOMEM;
	u->fd = (int)syscall(SYS_io_uring_setup, URING_MAX, &p);
	if (u->fd < 0) {
		rc = -errno;
		free(u);
		return rc;
	}
	rc = map_rings(u, &p);
	if (!rc)
		rc = try_tap(u);
	if (rc) {
		uring_free(u);
		return rc;
	}
	*out = u;
	return 0;
}

void uring_free(struct uring *u)
{
	if (!u)
		return;
	if (u->sqe)
		munmap(u->sqe, u->sqes_bytes);
	if (u->rings)
		munmap(u->rings, u->rings_bytes);
	close(u->fd);
	free(u);
}
