#include "bench/client/targets.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/host/host.h"

enum { BACKLOG = 64, EVENTS = 256, SPARE_FILES = 512 };

static int listen_all(int epoll, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct sockaddr_in at = {
			.sin_family = AF_INET, .sin_port = htons((uint16_t)(TARGETS_PORT + i))};
		struct epoll_event event = {.events = EPOLLIN};
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		event.data.fd = fd;
		if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, BACKLOG) < 0 ||
			epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
			return -errno;
	}
	return 0;
}

/* In batches, so that the target's work does not keep the daemon from its own. */
static void accept_for_ever(int epoll)
{
	static const struct timespec pause = {.tv_nsec = 20000000};
	struct epoll_event events[EVENTS];

	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			int fd = accept4(events[i].data.fd, NULL, NULL, SOCK_CLOEXEC);

			if (fd >= 0)
				close(fd);
		}
		if (n < EVENTS)
			nanosleep(&pause, NULL);
	}
}

static int serve(const struct stream_end *end, unsigned count, int ready)
{
	struct rlimit files = {.rlim_cur = count + SPARE_FILES, .rlim_max = count + SPARE_FILES};
	int rc = setrlimit(RLIMIT_NOFILE, &files) < 0 ? -errno : host_enter(end->netns),
	    epoll = epoll_create1(EPOLL_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (rc == 0)
		rc = epoll < 0 ? -errno : listen_all(epoll, count);
	if (write(ready, &rc, sizeof(rc)) == sizeof(rc) && rc == 0)
		accept_for_ever(epoll);
	return 1;
}

pid_t targets_start(const struct stream_end *end, unsigned count)
{
	int ready[2], rc = -EPIPE;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		_exit(serve(end, count, ready[1]));
	close(ready[1]);
	if (pid < 0)
		rc = -errno;
	else if (read(ready[0], &rc, sizeof(rc)) != sizeof(rc))
		rc = -EPIPE;
	close(ready[0]);
	if (rc < 0 && pid > 0)
		targets_stop(pid);
	return rc < 0 ? rc : pid;
}

void targets_stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
