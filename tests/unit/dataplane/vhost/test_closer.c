/* Files that take for ever to close: who gives them to a port makes nobody wait but a thread of that port's. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dataplane/vhost/port.h"
#include "tests/unit/dataplane/vhost/guest.h"
#include "tests/unit/unit.h"

enum { MANY = 16, PATIENCE_TURNS = 1000 };

/* A TCP connection of which the last close of `near` waits for an hour, or until `far` is closed. */
struct slow {
	int near, far;
};

static struct slow slow_new(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(address);
	struct linger linger = {1, 3600};
	static const uint8_t bytes[65536];
	struct slow s;

	assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	s.near = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(s.near, (struct sockaddr *)&address, len), 0);
	s.far = accept(listener, NULL, NULL);
	assert_true(s.far >= 0);
	close(listener);
	while (send(s.near, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		; /* until nothing more fits: what is under way can't be delivered */
	assert_int_equal(setsockopt(s.near, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	return s;
}

/* The connection is reset, so nothing is left to wait for. */
static void slow_end(struct slow *s)
{
	close(s->far);
}

static const struct {
	struct vhost_header header;
	uint64_t ring;
} __attribute__((packed)) call = {{VHOST_SET_VRING_CALL, VHOST_VERSION, 8}, 0};

/* Makes port i's copy the last one before it is told what it is for. */
static void give(int fd, struct slow *s)
{
	assert_int_equal(say_bytes(fd, &call, 1, &s->near, 1), 1);
	world_turns(1);
	close(s->near);
	assert_int_equal(
		say_bytes(fd, (const uint8_t *)&call + 1, sizeof(call) - 1, NULL, 0), sizeof(call) - 1);
	world_turns(1);
}

static unsigned open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void expect_open_files(unsigned n)
{
	for (unsigned i = 0; i < PATIENCE_TURNS && open_files() != n; i++)
		usleep(5000);
	assert_int_equal(open_files(), n);
}

/* The device ends the connection, and serves the guest that comes next. */
static void expect_hung_up(int fd)
{
	struct guest g;

	assert_true(hung_up(fd));
	guest_leave(fd);
	guest_boot(&g, 0);
	guest_expect_alive(&g, 0);
	guest_shut(&g);
}

static void refused(void **state)
{
	unsigned before = open_files();
	struct slow s = slow_new();
	int fd = guest_join(0);

	give(fd, &s);
	expect_hung_up(fd);
	slow_end(&s);
	expect_open_files(before);
}

/* A connection that ends takes with it what was sent through it. */
static void never_read(void **state)
{
	const struct vhost_header wrong = {VHOST_GET_FEATURES, VHOST_VERSION + 1, 0};
	unsigned before = open_files();
	struct slow s = slow_new();
	int fd = guest_join(0);

	assert_int_equal(say_bytes(fd, &wrong, sizeof(wrong), NULL, 0), sizeof(wrong));
	assert_int_equal(say_bytes(fd, &call, sizeof(call), &s.near, 1), sizeof(call));
	close(s.near);
	expect_hung_up(fd);
	slow_end(&s);
	expect_open_files(before);
}

/* So does the socket that a ring is called by. */
static void descriptors_queued_in_a_given_socket_are_closed(void **state)
{
	unsigned before = open_files();
	struct slow s = slow_new();
	uint64_t ring = 1;
	struct guest g;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(say_bytes(pair[0], &ring, 1, &s.near, 1), 1);
	close(s.near);
	guest_boot(&g, 0);
	say(g.fd, VHOST_SET_VRING_CALL, &ring, sizeof(ring), &pair[1], 1);
	close(pair[1]);
	guest_expect_alive(&g, 0);
	guest_shut(&g);
	slow_end(&s);
	close(pair[0]);
	expect_open_files(before);
}

/* Connections that wait to be accepted when the port is closed. */
static void never_accepted(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	unsigned before = open_files();
	struct slow s = slow_new();
	int fd = guest_join(0), other = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(address.sun_path, world->path[0]);
	assert_int_equal(connect(other, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(say_bytes(other, &call, sizeof(call), &s.near, 1), sizeof(call));
	close(s.near);
	port_vhost_ops.close(&world->port[0]);
	assert_true(hung_up(other));
	close(fd);
	close(other);
	assert_int_equal(world_open(0, false, 2, NULL), 0);
	slow_end(&s);
	expect_open_files(before);
}

/* Whoever gives many is not served until they are closed; another port is. */
static void many(void **state)
{
	const struct vhost_header question = {VHOST_GET_FEATURES, VHOST_VERSION, 0};
	unsigned before = open_files();
	struct slow s[MANY];
	struct guest other;
	char byte;
	int fd;

	for (unsigned i = 0; i < MANY; i++) {
		s[i] = slow_new();
		fd = guest_join(0);
		give(fd, &s[i]);
		assert_true(hung_up(fd));
		guest_leave(fd);
	}
	fd = guest_join(0);
	say_bytes(fd, &question, sizeof(question), NULL, 0);
	world_turns(10);
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK), -1);
	guest_boot(&other, 1);
	guest_expect_alive(&other, 1);
	guest_shut(&other);
	for (unsigned i = 0; i < MANY; i++)
		slow_end(&s[i]);
	for (unsigned i = 0; i < PATIENCE_TURNS && recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0; i++)
		loop_turn(&world->loop, 20);
	assert_true(hear(fd, VHOST_GET_FEATURES) != 0);
	guest_leave(fd);
	expect_open_files(before);
}

enum { FILE_NODE = 2 };

static void answer(int dev, uint64_t unique, const void *body, uint32_t len)
{
	struct fuse_out_header head = {(uint32_t)sizeof(head) + len, 0, unique};
	struct iovec iov[2] = {{&head, sizeof(head)}, {(void *)body, len}};

	assert_int_equal(writev(dev, iov, 2), sizeof(head) + len);
}

/* Answers until a file was opened. What it is told of the file is true for no time, so it is asked again. */
static void serve_until_open(int dev)
{
	static const struct fuse_init_out init = {
		.major = FUSE_KERNEL_VERSION, .minor = 31, .max_write = 4096};
	static const struct fuse_entry_out entry = {.nodeid = FILE_NODE,
		.entry_valid = 3600,
		.attr = {.ino = FILE_NODE, .mode = S_IFREG | 0600, .nlink = 1, .size = GUEST_MEM}};
	static const struct fuse_open_out opened = {.fh = 1};
	bool open = false;

	while (!open) {
		union {
			struct fuse_in_header head;
			uint8_t room[65536];
		} in;

		if (read(dev, &in, sizeof(in)) < (ssize_t)sizeof(in.head))
			return;
		open = in.head.opcode == FUSE_OPEN;
		if (in.head.opcode == FUSE_INIT)
			answer(dev, in.head.unique, &init, sizeof(init));
		else if (in.head.opcode == FUSE_LOOKUP)
			answer(dev, in.head.unique, &entry, sizeof(entry));
		else if (open)
			answer(dev, in.head.unique, &opened, sizeof(opened));
	}
}

/*
 * A process of its own, which ends by itself: what waits for the file system then fails. Otherwise a test that
 * is killed while it waits could not even die.
 */
static pid_t serve(int dev)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	alarm(20);
	serve_until_open(dev);
	for (;;)
		pause();
}

/* A file of a FUSE file system in a mount namespace of this process's own. -1: it may not make one. */
static int open_silent_file(pid_t *server)
{
	int dev = open("/dev/fuse", O_RDWR | O_CLOEXEC), fd;
	char options[96], path[96];

	if (dev < 0 || unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		goto fail;
	snprintf(path, sizeof(path), "%s/fuse", world_dir);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", dev);
	if (mount("silent", path, "fuse", 0, options) < 0) {
		rmdir(path);
		goto fail;
	}
	*server = serve(dev);
	assert_true(*server > 0);
	close(dev);
	snprintf(path, sizeof(path), "%s/fuse/file", world_dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	snprintf(path, sizeof(path), "%s/fuse", world_dir);
	assert_int_equal(umount2(path, MNT_DETACH), 0);
	assert_int_equal(rmdir(path), 0);
	assert_true(fd >= 0);
	return fd;
fail:
	if (dev >= 0)
		close(dev);
	return -1;
}

static void of_a_silent_file_system(void **state)
{
	static const uint32_t requests[] = {VHOST_SET_MEM_TABLE, VHOST_SET_VRING_CALL};
	unsigned before = open_files();
	pid_t server = -1;
	int file = open_silent_file(&server);
	struct guest g;

	if (file < 0)
		skip();
	for (unsigned i = 0; i < 2; i++) {
		int fd = guest_join(0);

		if (requests[i] == VHOST_SET_MEM_TABLE)
			guest_say_memory(fd, file, GUEST_MEM);
		else
			say_vring_fd(fd, VHOST_SET_VRING_CALL, 0, file);
		assert_true(hung_up(fd));
		guest_leave(fd);
	}
	guest_boot(&g, 0);
	guest_expect_alive(&g, 0);
	guest_shut(&g);
	kill(server, SIGKILL); /* the file system is gone, and what waits for it fails */
	waitpid(server, NULL, 0);
	close(file);
	expect_open_files(before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)
		T(refused),
		T(never_read),
		T(descriptors_queued_in_a_given_socket_are_closed),
		T(never_accepted),
		T(many),
		T(of_a_silent_file_system),
	};

	return cmocka_run_group_tests(tests, world_make_dir, world_remove_dir);
}
