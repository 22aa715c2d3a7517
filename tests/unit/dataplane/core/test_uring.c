/*
 * Several calls in one: their order, what becomes of those that fail or would wait, and that none is left under way.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dataplane/core/uring.h"
#include "tests/unit/unit.h"

enum { SMALL = 64 };

static struct uring *u;
static int near, far;

static int open_all(void **state)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair) < 0)
		return -1;
	near = pair[0];
	far = pair[1];
	return uring_new(&u);
}

static int close_all(void **state)
{
	uring_free(u);
	close(near);
	close(far);
	return 0;
}

static void send_numbers(unsigned from, unsigned n)
{
	for (unsigned i = from; i < from + n; i++)
		assert_int_equal(send(far, &i, sizeof(i), 0), sizeof(i));
}

static void test_reads_come_in_order_and_end_where_there_is_nothing(void **state)
{
	unsigned got[URING_MAX] = {0};
	int32_t result[URING_MAX];

	for (unsigned round = 0; round < 100; round++) { /* around the rings several times */
		send_numbers(round, 5);
		for (unsigned i = 0; i < URING_MAX; i++)
			uring_read(u, near, &got[i], sizeof(got[i]));
		uring_run(u, result);
		for (unsigned i = 0; i < URING_MAX; i++)
			assert_int_equal(result[i], i < 5 ? (int)sizeof(got[i]) : -EAGAIN);
		for (unsigned i = 0; i < 5; i++)
			assert_int_equal(got[i], round + i);
	}
}

/* A read that found nothing is over: it takes nothing that comes later, and writes nowhere. */
static void test_nothing_stays_under_way(void **state)
{
	unsigned got[URING_MAX], then;
	int32_t result[URING_MAX];

	memset(got, 0xff, sizeof(got));
	for (unsigned i = 0; i < URING_MAX; i++)
		uring_read(u, near, &got[i], sizeof(got[i]));
	uring_run(u, result);
	send_numbers(7, 1);
	uring_run(u, result); /* of nothing */
	assert_int_equal(recv(near, &then, sizeof(then), 0), sizeof(then));
	assert_int_equal(then, 7);
	for (unsigned i = 0; i < URING_MAX; i++)
		assert_int_equal(got[i], UINT32_MAX);
}

/* One call that fails, for whatever reason, costs the others nothing. */
static void test_failures_are_each_calls_own(void **state)
{
	char text[] = "abcdef", got[SMALL];
	void *nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec first[2] = {{text, 1}, {text + 1, 2}}, bad = {nowhere, 10}, last = {text + 5, 1};
	struct iovec many[1025];
	int32_t result[URING_MAX];

	for (unsigned i = 0; i < 1025; i++)
		many[i] = last;
	assert_true(nowhere != MAP_FAILED);
	uring_writev(u, far, first, 2);
	uring_writev(u, far, &bad, 1);
	uring_writev(u, -1, &last, 1);
	uring_writev(u, far, many, 1025);
	uring_writev(u, far, many, 1024);
	uring_writev(u, far, &last, 1);
	uring_run(u, result);
	assert_int_equal(result[0], 3);
	assert_int_equal(result[1], -EFAULT);
	assert_int_equal(result[2], -EBADF);
	assert_int_equal(result[3], -EINVAL);
	assert_int_equal(result[4], 1024);
	assert_int_equal(result[5], 1);
	assert_int_equal(recv(near, got, sizeof(got), 0), 3);
	assert_memory_equal(got, "abc", 3);
	assert_int_equal(recv(near, got, sizeof(got), MSG_TRUNC), 1024);
	assert_int_equal(recv(near, got, sizeof(got), 0), 1);
	assert_int_equal(got[0], 'f');
	munmap(nowhere, 4096);
}

/* A receiver that is full takes what there is room for, and is waited for by nobody. */
static void test_a_full_receiver(void **state)
{
	struct iovec iov = {"x", 1};
	int32_t result[URING_MAX];
	unsigned taken = 0, refused = 0;
	char got;

	for (unsigned round = 0; round < 1000 && !refused; round++) {
		for (unsigned i = 0; i < URING_MAX; i++)
			uring_writev(u, far, &iov, 1);
		uring_run(u, result);
		for (unsigned i = 0; i < URING_MAX; i++) {
			assert_true(result[i] == 1 || result[i] == -EAGAIN);
			taken += result[i] == 1;
			refused += result[i] != 1;
		}
	}
	assert_true(refused > 0);
	while (recv(near, &got, 1, 0) == 1)
		taken--;
	assert_int_equal(taken, 0);
}

/* A file that cannot say that it would wait refuses: its call does not stay behind either. */
static void test_files_that_would_wait(void **state)
{
	int32_t result[URING_MAX];
	uint8_t got[SMALL];
	int fd = inotify_init1(IN_CLOEXEC);

	assert_true(fd >= 0);
	send_numbers(3, 1);
	uring_read(u, fd, got, sizeof(got));
	uring_read(u, near, got, sizeof(got));
	uring_run(u, result);
	assert_true(result[0] == -EOPNOTSUPP || result[0] == -EAGAIN);
	assert_int_equal(result[1], sizeof(unsigned));
	close(fd);
}

/* Files come and go between one run and the next, under the same number. */
static void test_a_number_is_another_file_later(void **state)
{
	int32_t result[URING_MAX];
	unsigned got;
	int pair[2];

	for (unsigned round = 0; round < 1000; round++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair), 0);
		assert_int_equal(send(pair[1], &round, sizeof(round), 0), sizeof(round));
		for (unsigned i = 0; i < 2; i++)
			uring_read(u, pair[0], &got, sizeof(got));
		uring_run(u, result);
		assert_int_equal(result[0], sizeof(round));
		assert_int_equal(result[1], -EAGAIN);
		assert_int_equal(got, round);
		close(pair[0]);
		close(pair[1]);
		uring_read(u, pair[0], &got, sizeof(got));
		uring_run(u, result);
		assert_int_equal(result[0], -EBADF);
	}
}

/* Refuses one system call from here on, as a container's filter does. */
static bool refuse(long nr)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {4, program};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0;
}

/* Has another file stand for all TAPs, for this process alone. */
static bool replace_tap(const char *path)
{
	return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount(path, "/dev/net/tun", NULL, MS_BIND, NULL) == 0;
}

enum refusal { NO_SETUP, NO_ENTER, NO_TAP, OLD_TAP };

/* What uring_new() says in a process that cannot have all of it. */
static int refusal(enum refusal kind)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		struct uring *mine = NULL;
		bool ready = kind == NO_SETUP	? refuse(SYS_io_uring_setup)
			     : kind == NO_ENTER ? refuse(SYS_io_uring_enter)
			     : kind == NO_TAP	? replace_tap("/dev/null")
						: replace_tap("/proc/self/oom_score_adj");
		int rc = ready ? uring_new(&mine) : 0;

		_exit(mine ? 255 : -rc);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Who cannot have it is told at once, and why: a TAP that is never read would be noticed by nobody. */
static void test_refusals(void **state)
{
	assert_int_equal(refusal(NO_SETUP), EPERM);
	assert_int_equal(refusal(NO_ENTER), EPERM);
	if (geteuid() != 0)
		return;
	assert_int_equal(refusal(NO_TAP), EIO);
	assert_int_equal(refusal(OLD_TAP), EOPNOTSUPP);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_reads_come_in_order_and_end_where_there_is_nothing, open_all, close_all),
		cmocka_unit_test_setup_teardown(test_nothing_stays_under_way, open_all, close_all),
		cmocka_unit_test_setup_teardown(test_failures_are_each_calls_own, open_all, close_all),
		cmocka_unit_test_setup_teardown(test_a_full_receiver, open_all, close_all),
		cmocka_unit_test_setup_teardown(test_files_that_would_wait, open_all, close_all),
		cmocka_unit_test_setup_teardown(test_a_number_is_another_file_later, open_all, close_all),
		cmocka_unit_test(test_refusals),
	};
	int rc = uring_new(&u);

	if (rc < 0) {
		printf("skipped: io_uring: %s\n", strerror(-rc));
		return EXIT_SKIPPED;
	}
	uring_free(u);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
